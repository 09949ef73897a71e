"""The linear warp of the runtime as a differentiable torch operation, on the CPU and on CUDA devices.

Training and serving therefore share one arithmetic. ``torch.ops.mmreg.warp`` is registered when this file is
imported. All three operations are bitwise reproducible: sums that threads would race for are added in order
on the CPU, and as integers on a device.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mmreg_rt import _native as compiled

native: Any = compiled  # the compiled module has no types


def _volumes(images: Tensor) -> Tensor:
    """Return ``(B, C, D, H, W)``; a 2-D image becomes a volume of one plane."""
    return (images if images.dim() == 5 else images[:, :, None]).contiguous()


def _vectors(displacement: Tensor) -> Tensor:
    """Return ``(B, 3, D, H, W)``; a 2-D displacement gets zeros along the missing axis."""
    if displacement.dim() == 4:
        displacement = torch.cat([torch.zeros_like(displacement[:, :1]), displacement], 1)
    return _volumes(displacement)


@torch.library.custom_op("mmreg::warp", mutates_args=())
def warp(image: Tensor, displacement: Tensor, border: str) -> Tensor:
    """Return ``image(p + u(p))``, linear; ``border`` is "zero" or "extend". Float16 is warped in float32."""
    out = image.new_empty(*image.shape[:2], *displacement.shape[2:])
    _run("warp", (_volumes(image), _vectors(displacement)), _volumes(out), border=border)
    return out


@torch.library.custom_op("mmreg::warp_grad_displacement", mutates_args=())
def warp_grad_displacement(image: Tensor, displacement: Tensor, upstream: Tensor, border: str) -> Tensor:
    """Return the gradient of the sum of ``upstream`` times the warp by the displacement; all float32."""
    out = torch.empty_like(displacement, memory_format=torch.contiguous_format)
    vectors = _vectors(displacement)
    found = out if displacement.dim() == 5 else torch.empty_like(vectors)
    _run("warp_grad_displacement", (_volumes(image), vectors, _volumes(upstream)), found, border=border)
    return out if displacement.dim() == 5 else out.copy_(found[:, 1:, 0])


@torch.library.custom_op("mmreg::warp_grad_image", mutates_args=())
def warp_grad_image(upstream: Tensor, displacement: Tensor, size: list[int], border: str) -> Tensor:
    """Return the gradient of that sum by the image, whose size along its axes is given."""
    out = upstream.new_empty(*upstream.shape[:2], *size)
    _run("warp_grad_image", (_volumes(upstream), _vectors(displacement)), _volumes(out), border=border)
    return out


@warp.register_fake
def _(image: Tensor, displacement: Tensor, border: str) -> Tensor:  # noqa: ARG001
    return image.new_empty(*image.shape[:2], *displacement.shape[2:])


@warp_grad_displacement.register_fake
def _(image: Tensor, displacement: Tensor, upstream: Tensor, border: str) -> Tensor:  # noqa: ARG001
    return torch.empty_like(displacement, memory_format=torch.contiguous_format)


@warp_grad_image.register_fake
def _(upstream: Tensor, displacement: Tensor, size: list[int], border: str) -> Tensor:  # noqa: ARG001
    return upstream.new_empty(*upstream.shape[:2], *size)


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:  # noqa: ARG001
    image, displacement, ctx.border = inputs
    ctx.save_for_backward(image, displacement)


def _derivatives(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    image, displacement = ctx.saved_tensors
    by_image = by_displacement = None
    upstream = upstream.float()
    if ctx.needs_input_grad[0]:
        by_image = warp_grad_image(upstream, displacement, list(image.shape[2:]), ctx.border).to(image.dtype)
    if ctx.needs_input_grad[1]:
        by_displacement = warp_grad_displacement(image.float(), displacement, upstream, ctx.border)
    return by_image, by_displacement, None


warp.register_autograd(_derivatives, setup_context=_remember)


def _run(operation: str, tensors: tuple[Tensor, ...], into: Tensor, border: str) -> None:
    """Run an operation of the compiled module on a batch and write to ``into``.

    On a device it is queued on torch's current stream, without synchronisation.
    """
    shape = [tuple(into.shape[2:])] if operation == "warp_grad_image" else []
    target: Any = ""
    if into.is_cuda:
        target = _queue(into.device.index, torch.cuda.current_stream(into.device).cuda_stream)
    inputs = [tensor.detach() for tensor in tensors]
    threads = torch.get_num_threads()
    getattr(native, operation)(*inputs, *shape, border=border, out=into, threads=threads, target=target)


@lru_cache(maxsize=16)
def _queue(device: int, stream: int) -> Any:
    return native.DeviceQueue(f"cuda:{device}", stream)
