"""The gradient through a translator from its result alone.

Backwards, each block gets its outputs, finds its inputs by its inverse, and differentiates its sub-networks
there: one evaluation more of each, and no memory that grows with the number of blocks. Gomez et al., "The
reversible residual network: backpropagation without storing activations", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmreg_train.methods.innreg.block import Block, Pair, mixed

Gradients = dict[nn.Parameter, Tensor]


def through(blocks: Sequence[Block], pair: Pair, back: bool) -> Pair:
    """The pair through all blocks, or back through their inverses, the last one first."""
    ordered = list(reversed(blocks)) if back else list(blocks)
    parameters = [parameter for block in ordered for parameter in block.parameters()]
    found: Pair = _Through.apply(ordered, back, *pair, *parameters)
    return found


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, blocks: list[Block], back: bool, one: Tensor, other: Tensor, *parameters: nn.Parameter
    ) -> Pair:
        ctx.blocks, ctx.back, ctx.parameters = blocks, back, parameters
        ctx.autocast = _autocast(one.device.type)
        pair = one, other
        for block in blocks:
            pair = block.inverse(pair) if back else block(pair)
        ctx.save_for_backward(*pair)
        return pair

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        pair, slopes, found = tuple(ctx.saved_tensors), upstream, Gradients()
        undo = _undo_inverse if ctx.back else _undo
        with torch.autocast(**ctx.autocast), torch.no_grad():
            for block in reversed(ctx.blocks):
                pair, slopes = undo(block, pair, (slopes[0], slopes[1]), found)
        return None, None, *slopes, *(found.get(parameter) for parameter in ctx.parameters)


def _undo(block: Block, made: Pair, slopes: Pair, found: Gradients) -> tuple[Pair, Pair]:
    """Inputs of ``block(inputs) = made``, and the slopes there from those at its outputs."""
    (one, other), (d_one, d_other) = made, slopes
    at, (shift, log_scale) = _watched(one, block.coupled)
    other = (other - shift.detach()) * (-log_scale.detach()).exp()
    d_source = d_other * log_scale.detach().exp()
    d_one = d_one + _slope(
        (shift, log_scale), (d_other, d_source * other), at, (block.shift, block.scale), found
    )
    d_other = d_source
    at, added = _watched(other, block.added)
    one = one - added.detach()
    d_other = d_other + _slope((added,), (d_one,), at, (block.add,), found)
    inputs = mixed(block.mixing.inverse_matrix(), (one, other))
    d_inputs = mixed(block.mixing.matrix().T, (d_one, d_other))
    _matrix_slope(block, (d_one, d_other), inputs, found)
    return inputs, d_inputs


def _undo_inverse(block: Block, made: Pair, slopes: Pair, found: Gradients) -> tuple[Pair, Pair]:
    """The same of ``block.inverse(inputs) = made``."""
    one, other = block.mixing(made)
    d_one, d_other = mixed(block.mixing.inverse_matrix().T, slopes)
    _matrix_slope(block, (-d_one, -d_other), made, found)  # of the inverse: -W^-T (slope of W^-1) W^-T
    at, added = _watched(other, block.added)
    one = one + added.detach()
    d_other = d_other + _slope((added,), (-d_one,), at, (block.add,), found)
    at, (shift, log_scale) = _watched(one, block.coupled)
    d_input = d_other * (-log_scale.detach()).exp()
    d_one = d_one + _slope(
        (shift, log_scale), (-d_input, -d_other * other), at, (block.shift, block.scale), found
    )
    return (one, other * log_scale.detach().exp() + shift.detach()), (d_one, d_input)


def _watched(value: Tensor, function: Any) -> tuple[Tensor, Any]:
    """``value`` as the start of a graph, and the function of it."""
    with torch.enable_grad():
        at = value.detach().requires_grad_()
        return at, function(at)


def _slope(
    outputs: tuple[Tensor, ...],
    slopes: tuple[Tensor, ...],
    at: Tensor,
    networks: tuple[nn.Module, ...],
    found: Gradients,
) -> Tensor:
    """Back to ``at`` and to the weights of the sub-networks, which are noted."""
    weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    made = torch.autograd.grad(outputs, [at, *weights], slopes)
    found.update(zip(weights, made[1:], strict=True))
    return made[0]


def _matrix_slope(block: Block, slopes: Pair, inputs: Pair, found: Gradients) -> None:
    """Of the mixing's weights, where ``slopes`` are at what it makes of ``inputs``."""
    weights = [weight for weight in block.mixing.parameters() if weight.requires_grad]
    if weights:
        by_entry = torch.stack([(slope * value).sum() for slope in slopes for value in inputs]).view(2, 2)
        with torch.enable_grad():
            matrix = block.mixing.matrix()
        found.update(zip(weights, torch.autograd.grad(matrix, weights, by_entry), strict=True))


def _autocast(device: str) -> dict[str, Any]:
    return {
        "device_type": device,
        "dtype": torch.get_autocast_dtype(device),
        "enabled": torch.is_autocast_enabled(device),
    }
