"""Gradient through a translator from its result, without stored activations.

In the backward pass each block computes its inputs from its outputs by its inverse, and differentiates its
sub-networks there: one more evaluation of each, and no memory that grows with the number of blocks. Gomez et
al., "The reversible residual network: backpropagation without storing activations", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmreg_train.methods.innreg.block import Block, Pair, mix

Gradients = dict[nn.Parameter, Tensor]


def run_reversibly(blocks: Sequence[Block], pair: Pair, back: bool) -> Pair:
    """Run the pair through all blocks, or back through their inverses, the last one first."""
    ordered = list(reversed(blocks)) if back else list(blocks)
    parameters = [parameter for block in ordered for parameter in block.parameters()]
    result: Pair = _ReversibleRun.apply(ordered, back, *pair, *parameters)
    return result


class _ReversibleRun(torch.autograd.Function):
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
        pair, slopes, gradients = tuple(ctx.saved_tensors), upstream, Gradients()
        undo = _undo_inverse_block if ctx.back else _undo_block
        with torch.autocast(**ctx.autocast), torch.no_grad():
            for block in reversed(ctx.blocks):
                pair, slopes = undo(block, pair, (slopes[0], slopes[1]), gradients)
        return None, None, *slopes, *(gradients.get(parameter) for parameter in ctx.parameters)


def _undo_block(block: Block, outputs: Pair, slopes: Pair, gradients: Gradients) -> tuple[Pair, Pair]:
    """Return the inputs of ``block(inputs) = outputs``, and their gradients from those of the outputs."""
    (one, other), (d_one, d_other) = outputs, slopes
    at, (shift, log_scale) = _evaluate(one, block.coupled)
    other = (other - shift.detach()) * (-log_scale.detach()).exp()
    d_source = d_other * log_scale.detach().exp()
    d_one = d_one + _backpropagate(
        (shift, log_scale), (d_other, d_source * other), at, (block.shift, block.scale), gradients
    )
    d_other = d_source
    at, added = _evaluate(other, block.added)
    one = one - added.detach()
    d_other = d_other + _backpropagate((added,), (d_one,), at, (block.add,), gradients)
    inputs = mix(block.mixing.inverse_matrix(), (one, other))
    d_inputs = mix(block.mixing.matrix().T, (d_one, d_other))
    _backpropagate_matrix(block, (d_one, d_other), inputs, gradients)
    return inputs, d_inputs


def _undo_inverse_block(block: Block, outputs: Pair, slopes: Pair, gradients: Gradients) -> tuple[Pair, Pair]:
    """Return the inputs of ``block.inverse(inputs) = outputs``, and their gradients."""
    one, other = block.mixing(outputs)
    d_one, d_other = mix(block.mixing.inverse_matrix().T, slopes)
    _backpropagate_matrix(
        block, (-d_one, -d_other), outputs, gradients
    )  # of the inverse: -W^-T (slope of W^-1) W^-T
    at, added = _evaluate(other, block.added)
    one = one + added.detach()
    d_other = d_other + _backpropagate((added,), (-d_one,), at, (block.add,), gradients)
    at, (shift, log_scale) = _evaluate(one, block.coupled)
    d_input = d_other * (-log_scale.detach()).exp()
    d_one = d_one + _backpropagate(
        (shift, log_scale), (-d_input, -d_other * other), at, (block.shift, block.scale), gradients
    )
    return (one, other * log_scale.detach().exp() + shift.detach()), (d_one, d_input)


def _evaluate(value: Tensor, function: Any) -> tuple[Tensor, Any]:
    """Evaluate a function of ``value`` in a new graph; return its input and its result."""
    with torch.enable_grad():
        at = value.detach().requires_grad_()
        return at, function(at)


def _backpropagate(
    outputs: tuple[Tensor, ...],
    slopes: tuple[Tensor, ...],
    at: Tensor,
    networks: tuple[nn.Module, ...],
    gradients: Gradients,
) -> Tensor:
    """Return the gradient at ``at`` and store those of the sub-networks in ``gradients``."""
    weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    results = torch.autograd.grad(outputs, [at, *weights], slopes)
    gradients.update(zip(weights, results[1:], strict=True))
    return results[0]


def _backpropagate_matrix(block: Block, slopes: Pair, inputs: Pair, gradients: Gradients) -> None:
    """Store the gradients of the mixing weights, from ``slopes`` at the mixed ``inputs``."""
    weights = [weight for weight in block.mixing.parameters() if weight.requires_grad]
    if weights:
        by_entry = torch.stack([(slope * value).sum() for slope in slopes for value in inputs]).view(2, 2)
        with torch.enable_grad():
            matrix = block.mixing.matrix()
        gradients.update(zip(weights, torch.autograd.grad(matrix, weights, by_entry), strict=True))


def _autocast(device: str) -> dict[str, Any]:
    return {
        "device_type": device,
        "dtype": torch.get_autocast_dtype(device),
        "enabled": torch.is_autocast_enabled(device),
    }
