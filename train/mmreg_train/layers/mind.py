"""MIND-SSC, a descriptor of local self-similarity that is independent of contrast."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .box_mean import box_mean
from .neighbours import offset_pairs, shifts


def mind_ssc(image: Tensor, radius: int = 1, dilation: int = 2, factor: int = 1) -> Tensor:
    """Return MIND with self-similarity context, ``(B, 12, D, H, W)`` in (0, 1]; 4 channels in 2-D.

    The distances are mean squared differences over patches of ``2 * radius + 1`` voxels between neighbours at
    ``dilation``. Their minimum over the channels is subtracted; the variance is their mean over the channels,
    clamped to between 0.001 and 1000 times its mean over the image; the result is ``exp(-distance /
    variance)``. The image keeps its border value. On a grid of ``factor`` a patch is a cell with ``radius``
    voxels around it; sizes are multiples of the factor. Heinrich et al., "Towards realtime multimodal fusion
    for image-guided interventions using self-similarities", MICCAI 2013.

    Args:
        image: ``(B, 1, ...)``, floating point.
        radius: Of a patch, in voxels.
        dilation: Distance of the neighbours, in voxels.
        factor: Grid of the result.
    """
    shifted = shifts(image, dilation, margin=radius)
    squares = [(shifted[a] - shifted[b]) ** 2 for a, b in offset_pairs(image.dim() - 2, dilation)]
    distance = _patch_mean(torch.cat(squares, dim=1), radius, factor)
    distance = distance - distance.amin(1, keepdim=True)
    variance = distance.mean(1, keepdim=True)
    mean = variance.mean(dim=tuple(range(1, image.dim())), keepdim=True).detach()
    variance = torch.minimum(torch.maximum(variance, 0.001 * mean), 1000 * mean)
    return torch.exp(-distance / variance.clamp(min=1e-12))  # constant images have no variance


def _patch_mean(squares: Tensor, radius: int, factor: int) -> Tensor:
    """Average over patches of an image extended by ``radius`` voxels."""
    if factor == 1:
        return box_mean(squares, 2 * radius + 1, padded=False)
    pool = functional.avg_pool3d if squares.dim() == 5 else functional.avg_pool2d
    pooled: Tensor = pool(squares, 2 * radius + factor, factor)
    return pooled
