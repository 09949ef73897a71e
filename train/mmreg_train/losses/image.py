"""Loss terms on images, labels and fields; scalars to minimise unless stated otherwise.

Images are ``(B, 1, D, H, W)`` or ``(B, 1, H, W)`` float32 in [0, 1], fields ``(B, dims, ...)`` in voxels.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from mmreg_train.layers import warp
from mmreg_train.layers.box_mean import box_mean
from mmreg_train.layers.mind import mind_ssc

_TINY = 1e-7  # keeps logarithms and quotients of probabilities finite


def labelled_mean(values: Tensor, label: Tensor | None) -> Tensor:
    """Return the mean of ``values`` (B, ...) where the label map is not 0, or of all without a label map."""
    inside = torch.ones_like(values) if label is None else label > 0
    return (values * inside).sum() / inside.sum().clamp(min=1)


def mse(fixed: Tensor, warped: Tensor) -> Tensor:
    """Return the mean squared difference."""
    return torch.mean((fixed - warped) ** 2)


def local_ncc(fixed: Tensor, warped: Tensor, window: int = 9) -> Tensor:
    """Return minus the mean squared correlation in cubes of ``window`` voxels (odd); -1 is best.

    Sums over the cube count 0 outside, and ``1e-5`` is added to the product of the variances (Balakrishnan
    et al., "VoxelMorph", IEEE TMI 2019, equation 5). A variance below 0 by rounding counts as 0.
    """
    count = window ** (fixed.dim() - 2)
    products = torch.cat([fixed, warped, fixed**2, warped**2, fixed * warped], dim=1)
    f, w, ff, ww, fw = (box_mean(products, window) * count).split(1, dim=1)
    cross = fw - f * w / count
    variance_f = (ff - f * f / count).clamp(min=0)
    variance_w = (ww - w * w / count).clamp(min=0)
    return -torch.mean(cross**2 / (variance_f * variance_w + 1e-5))


def mutual_information(fixed: Tensor, warped: Tensor, bins: int = 32) -> Tensor:
    """Return minus the mutual information in nats, from a Parzen estimate over the whole image.

    Each voxel contributes to every bin by a Gaussian of half a bin's width, with weights that sum to 1 (Viola
    and Wells, IJCV 1997). Memory: ``2 * bins`` floats for each voxel.
    """
    return -_information(*_shares(fixed, warped, bins)).mean()


def normalised_mutual_information(fixed: Tensor, warped: Tensor, bins: int = 32) -> Tensor:
    """Return the fraction of the entropies that two images share, 0 to 1; to be maximised.

    ``2 I / (H(fixed) + H(warped))`` of the same Parzen estimate, averaged over the batch (Press et al.,
    "Numerical recipes", 14.7.4); with Studholme's ``S = (H(fixed) + H(warped)) / H(fixed, warped)`` it equals
    ``2 - 2 / S``. It is 0 for two constant images.
    """
    joint, one, other = _shares(fixed, warped, bins)
    entropies = sum(-(share * torch.log(share + _TINY)).sum(1) for share in (one, other))
    return (2 * _information(joint, one, other) / torch.as_tensor(entropies).clamp(min=_TINY)).mean()


def mind(fixed: Tensor, warped: Tensor, radius: int = 1, dilation: int = 2) -> Tensor:
    """Return the mean squared difference of the MIND-SSC descriptors."""
    return mse(mind_ssc(fixed, radius, dilation), mind_ssc(warped, radius, dilation))


def soft_dice(fixed: Tensor, warped: Tensor) -> Tensor:
    """Return 1 - mean over labels of ``2 sum(f w) / (sum f + sum w)``; absent labels count as perfect.

    Args:
        fixed, warped: ``(B, labels, ...)`` in [0, 1], the fraction of each label in each voxel.
    """
    axes = tuple(range(2, fixed.dim()))
    overlap, total = 2 * (fixed * warped).sum(axes), fixed.sum(axes) + warped.sum(axes)
    share = (overlap + 1e-5) / (total + 1e-5)
    return 1 - torch.mean(share) if share.numel() else overlap.sum()  # 0, with a gradient of 0


def label_mismatch(fixed: Tensor, moving: Tensor, displacement: Tensor) -> Tensor:
    """Return half the mean squared difference of label codes: about the fraction of mislabelled voxels.

    Each label has a code of 4 normal numbers, the same in every call. Squared distances of codes are those of
    one-hot vectors on average (Johnson and Lindenstrauss, 1984). This approximates the mean squared
    difference of one-hot maps that SynthMorph minimises (Hoffmann et al., Imaging Neuroscience 2024), and
    warps 4 channels instead of one per label.

    Args:
        fixed, moving: Label maps ``(B, ...)``, integers from 0; labels equal modulo 16384 share a code.
        displacement: ``(B, dims, ...)`` in voxels; the moving codes are warped linearly, label 0 outside.
    """
    codes = _label_codes(displacement.device)
    coded = codes[torch.cat([fixed, moving]) % len(codes)].movedim(-1, 1)
    first, second = coded.chunk(2)
    return mse(first, warp(second, displacement)) / 2


@cache
def _label_codes(device: torch.device) -> Tensor:
    """Return the codes ``(16384, 4)``; that of label 0 is 0. Two codes differ by 2 in the mean square."""
    codes = torch.randn(16384, 4, generator=torch.Generator().manual_seed(0))
    codes -= codes[0].clone()
    return codes.to(device)


def location_contrast(one: Tensor, other: Tensor, seen: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the symmetric InfoNCE of corresponding rows, and the hit rate.

    ``-log(exp(a_i . b_i / t) / sum_j exp(a_i . b_j / t))``, in both directions, of unit vectors (van den Oord
    et al., "Representation learning with contrastive predictive coding", 2018).

    Args:
        one, other: ``(B, N, C)``.
        seen: ``(B, N)`` bool: the rows that count.
        temperature: ``t``.

    Returns:
        The loss, and the fraction of rows whose partner is the nearest.
    """
    a, b = functional.normalize(one, dim=2), functional.normalize(other, dim=2)
    scores = (a @ b.transpose(1, 2) / temperature).masked_fill(~seen[:, None, :], -1e4)
    back = (b @ a.transpose(1, 2) / temperature).masked_fill(~seen[:, None, :], -1e4)
    count = seen.sum().clamp(min=1)
    own = scores.diagonal(dim1=1, dim2=2)
    missed = (scores.logsumexp(2) - own + back.logsumexp(2) - own) / 2
    hits = (scores.argmax(2) == torch.arange(scores.shape[1], device=scores.device)) & seen
    return missed.masked_fill(~seen, 0).sum() / count, hits.sum() / count


def one_hot(labels: Tensor, values: Tensor) -> Tensor:
    """Return ``(B, values, ...)`` float32: 1 where ``labels`` (B, ...) has the value, else 0."""
    shape = (1, -1) + (1,) * (labels.dim() - 1)
    return (labels[:, None] == values.view(shape)).float()


def squared_gradient(field: Tensor, spacing: float = 1) -> Tensor:
    """Return the mean squared forward difference of ``field`` along its axes, per ``spacing`` voxels.

    The regulariser of VoxelMorph; with the spacing of a coarse grid it is the same per full-grid voxel.
    """
    axes = range(2, field.dim())
    means = [torch.mean((field.diff(dim=axis) / spacing) ** 2) for axis in axes if field.shape[axis] > 1]
    return torch.stack(means).mean()


def _shares(fixed: Tensor, warped: Tensor, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return bin frequencies: joint ``(B, bins, bins)`` and of each image ``(B, bins)``."""
    weight_f, weight_w = _parzen(fixed, bins), _parzen(warped, bins)
    joint = weight_f.transpose(1, 2) @ weight_w / weight_f.shape[1]
    return joint, weight_f.mean(1), weight_w.mean(1)


def _information(joint: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return the mutual information in nats, ``(B,)``."""
    product = one[:, :, None] * other[:, None, :]
    return (joint * torch.log((joint + _TINY) / (product + _TINY))).sum((1, 2))


def _parzen(image: Tensor, bins: int) -> Tensor:
    """Return weights ``(B, voxels, bins)`` of every voxel in bins with centres from 0 to 1."""
    centres = torch.linspace(0, 1, bins, device=image.device, dtype=image.dtype)
    sd = 0.5 / (bins - 1)
    exponent = -((image.flatten(1)[:, :, None] - centres) ** 2) / (2 * sd**2)
    return torch.softmax(exponent, dim=2)
