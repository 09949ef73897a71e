"""Pull-back by a displacement in voxels, in 2-D and 3-D."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mmreg_train.layers import native

_NATIVE = (torch.float32, torch.float16, torch.bfloat16)  # warped by the runtime, in float32 arithmetic
_MODES = {"linear": "bilinear", "nearest": "nearest"}  # torch's name in 3-D, too
_PADDINGS = {"zero": "zeros", "border": "border"}


def warp(image: Tensor, displacement: Tensor, *, mode: str = "linear", padding: str = "zero") -> Tensor:
    """Warp an image: ``warped(p) = image(p + u(p))`` for every voxel ``p`` of the displacement's grid.

    Linear warps use the runtime's kernel (``native``), which ``mmreg_export`` can export; nearest ones and
    float64 use torch's ``grid_sample``.

    Args:
        image: ``(B, C, D, H, W)`` or ``(B, C, H, W)``, floating point.
        displacement: ``(B, dims, ...)`` in voxels of ``image``, channels in the order of the array axes
            (z, y, x). Its grid may differ in size from that of ``image``; voxel 0 is the same point.
        mode: "linear" or "nearest".
        padding: Values outside: "zero" for images, "border" for fields, velocities and features.

    Returns:
        ``(B, C, ...)`` on the grid of the displacement.

    Raises:
        ValueError: The mode or padding is unknown, or the numbers of dimensions do not match.
    """
    dims = displacement.shape[1]
    if image.dim() != dims + 2 or displacement.dim() != dims + 2 or dims not in (2, 3):
        raise ValueError(
            f"warp needs image (B, C, ...) and displacement (B, dims, ...) of 2 or 3 dimensions; "
            f"found shapes {tuple(image.shape)} and {tuple(displacement.shape)}."
        )
    if mode not in _MODES or padding not in _PADDINGS:
        raise ValueError(
            f"warp has modes {sorted(_MODES)} and paddings {sorted(_PADDINGS)}; "
            f"found {mode!r} and {padding!r}."
        )
    if mode == "linear" and image.dtype in _NATIVE:
        border = "zero" if padding == "zero" else "extend"
        source = image if image.dtype == torch.float16 else image.float()
        warped: Tensor = native.warp(source, displacement.float(), border).to(image.dtype)
        return warped
    return functional.grid_sample(
        image,
        _sampling_grid(displacement, image.shape[2:]),
        mode=_MODES[mode],
        padding_mode=_PADDINGS[padding],
        align_corners=False,
    )


def warp_labels(labels: Tensor, displacement: Tensor) -> Tensor:
    """Warp label maps ``(B, ...)``, integers below 2**24: nearest voxel, 0 outside."""
    warped = warp(labels[:, None].float(), displacement.float(), mode="nearest")
    return warped[:, 0].round().to(labels.dtype)


def _sampling_grid(displacement: Tensor, size: torch.Size) -> Tensor:
    """Return positions ``p + u(p)`` for grid_sample: last axis first, -1 and 1 at the outer voxel faces.

    In voxels this equals align_corners=True, without a special case for axes of one voxel.
    """
    coordinates = []
    for axis, length in enumerate(size):
        shape = [1] * displacement.dim()
        shape[axis + 1] = -1  # indexing below removes the channel axis
        index = torch.arange(
            displacement.shape[axis + 2], device=displacement.device, dtype=displacement.dtype
        )
        position = displacement[:, axis] + index.view(shape[:-1])
        coordinates.append((2 * position + 1) / length - 1)
    return torch.stack(coordinates[::-1], dim=-1)
