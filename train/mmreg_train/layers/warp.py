"""Pull-back by a displacement in voxels, in 2-D and 3-D."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmreg_train.layers import native

_NATIVE = (torch.float32, torch.float16, torch.bfloat16)  # what the runtime warps, in float32 arithmetic
_MODES = {"linear": "bilinear", "nearest": "nearest"}  # torch says bilinear in 3-D as well
_PADDINGS = {"zero": "zeros", "border": "border"}


def warp(image: Tensor, displacement: Tensor, *, mode: str = "linear", padding: str = "zero") -> Tensor:
    """``warped(p) = image(p + u(p))`` for every voxel ``p`` of the displacement's grid.

    Linear warps are those of the runtime (``native``), which ``mmreg_export`` knows how to write; nearest
    ones and float64 are torch's own ``grid_sample``.

    Args:
        image: ``(B, C, D, H, W)`` or ``(B, C, H, W)``, floating point.
        displacement: ``(B, dims, ...)`` in voxels of ``image``, channels in the order of the array axes
            (z, y, x). Its grid may have another size than that of ``image``; voxel 0 is the same point.
        mode: "linear" or "nearest".
        padding: What lies outside: "zero" for images, "border" for fields, velocities and features.

    Returns:
        ``(B, C, ...)`` on the grid of the displacement.

    Raises:
        ValueError: An unknown mode or padding, or a number of dimensions that does not fit.
    """
    dims = displacement.shape[1]
    if image.dim() != dims + 2 or displacement.dim() != dims + 2 or dims not in (2, 3):
        raise ValueError(
            f"warp needs image (B, C, ...) and displacement (B, dims, ...) of 2 or 3 dimensions; "
            f"found shapes {tuple(image.shape)} and {tuple(displacement.shape)}."
        )
    if mode not in _MODES or padding not in _PADDINGS:
        raise ValueError(
            f"warp knows modes {sorted(_MODES)} and paddings {sorted(_PADDINGS)}; "
            f"found {mode!r} and {padding!r}."
        )
    if mode == "linear" and image.dtype in _NATIVE:
        border = "zero" if padding == "zero" else "extend"
        held = image if image.dtype == torch.float16 else image.float()
        made: Tensor = native.warp(held, displacement.float(), border).to(image.dtype)
        return made
    return functional.grid_sample(
        image,
        _normalised(displacement, image.shape[2:]),
        mode=_MODES[mode],
        padding_mode=_PADDINGS[padding],
        align_corners=False,
    )


def warp_labels(labels: Tensor, displacement: Tensor) -> Tensor:
    """The same pull-back of label maps, ``(B, ...)`` integer below 2**24: nearest voxel, 0 outside."""
    warped = warp(labels[:, None].float(), displacement.float(), mode="nearest")
    return warped[:, 0].round().to(labels.dtype)


def _normalised(displacement: Tensor, size: torch.Size) -> Tensor:
    """Positions ``p + u(p)`` as grid_sample wants them: last axis first, -1 and 1 at the outer voxel faces.

    In voxels this samples as align_corners=True does, and an axis of one voxel needs no case of its own.
    """
    coordinates = []
    for axis, length in enumerate(size):
        shape = [1] * displacement.dim()
        shape[axis + 1] = -1  # the channel is gone once the axis is taken out below
        index = torch.arange(
            displacement.shape[axis + 2], device=displacement.device, dtype=displacement.dtype
        )
        position = displacement[:, axis] + index.view(shape[:-1])
        coordinates.append((2 * position + 1) / length - 1)
    return torch.stack(coordinates[::-1], dim=-1)
