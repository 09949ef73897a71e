"""Terms that methods learn from; each a scalar to minimise unless its name says what it is.

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
    """Mean of ``values`` (B, ...) where the label map is not 0; of all without one."""
    inside = torch.ones_like(values) if label is None else label > 0
    return (values * inside).sum() / inside.sum().clamp(min=1)


def mse(fixed: Tensor, warped: Tensor) -> Tensor:
    """Mean squared difference."""
    return torch.mean((fixed - warped) ** 2)


def local_ncc(fixed: Tensor, warped: Tensor, window: int = 9) -> Tensor:
    """Minus the mean of the squared correlation in cubes of ``window`` voxels (odd); -1 is best.

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
    """Minus the mutual information in nats, of a Parzen estimate over the whole image.

    Each voxel counts in every bin by a Gaussian of half a bin's width, its weights summing to 1 (Viola and
    Wells, IJCV 1997). Memory: ``2 * bins`` floats for each voxel.
    """
    return -_information(*_shares(fixed, warped, bins)).mean()


def normalised_mutual_information(fixed: Tensor, warped: Tensor, bins: int = 32) -> Tensor:
    """The share of the two images' entropies that they have in common, to maximise; 0 to 1.

    ``2 I / (H(fixed) + H(warped))`` of the same Parzen estimate, the mean over the batch (Press et al.,
    "Numerical recipes", 14.7.4); with Studholme's ``S = (H(fixed) + H(warped)) / H(fixed, warped)`` it is
    ``2 - 2 / S``. Two constant images have nothing in common.
    """
    joint, one, other = _shares(fixed, warped, bins)
    entropies = sum(-(share * torch.log(share + _TINY)).sum(1) for share in (one, other))
    return (2 * _information(joint, one, other) / torch.as_tensor(entropies).clamp(min=_TINY)).mean()


def mind(fixed: Tensor, warped: Tensor, radius: int = 1, dilation: int = 2) -> Tensor:
    """Mean squared difference of the MIND-SSC descriptors."""
    return mse(mind_ssc(fixed, radius, dilation), mind_ssc(warped, radius, dilation))


def soft_dice(fixed: Tensor, warped: Tensor) -> Tensor:
    """1 - mean over labels of ``2 sum(f w) / (sum f + sum w)``; labels that neither has count as
    agreed, and so do none at all.

    Args:
        fixed, warped: ``(B, labels, ...)`` in [0, 1], the share of each label in each voxel.
    """
    axes = tuple(range(2, fixed.dim()))
    overlap, total = 2 * (fixed * warped).sum(axes), fixed.sum(axes) + warped.sum(axes)
    share = (overlap + 1e-5) / (total + 1e-5)
    return 1 - torch.mean(share) if share.numel() else overlap.sum()  # 0, with a gradient of 0


def label_mismatch(fixed: Tensor, moving: Tensor, displacement: Tensor) -> Tensor:
    """Half the mean squared difference of label codes: about the share of voxels whose label is wrong.

    Each label has a code of 4 normal numbers, the same in every call. Squared distances of codes are those of
    one-hot vectors on average (Johnson and Lindenstrauss, 1984), so this stands for the mean squared
    difference of one-hot maps that SynthMorph learns from (Hoffmann et al., Imaging Neuroscience 2024), and
    warps 4 channels where those have one for each label.

    Args:
        fixed, moving: Label maps ``(B, ...)``, integers from 0; those alike modulo 16384 share a code.
        displacement: ``(B, dims, ...)`` in voxels; the codes of moving are warped linearly, label 0 outside.
    """
    codes = _label_codes(displacement.device)
    coded = codes[torch.cat([fixed, moving]) % len(codes)].movedim(-1, 1)
    first, second = coded.chunk(2)
    return mse(first, warp(second, displacement)) / 2


@cache
def _label_codes(device: torch.device) -> Tensor:
    """``(16384, 4)``; that of label 0 is 0, as what lies outside is. Two differ by 2 in the mean square."""
    codes = torch.randn(16384, 4, generator=torch.Generator().manual_seed(0))
    codes -= codes[0].clone()
    return codes.to(device)


def location_contrast(one: Tensor, other: Tensor, seen: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE of places: row i of ``one`` belongs to row i of ``other``, and to no other row.

    ``-log(exp(a_i . b_i / t) / sum_j exp(a_i . b_j / t))``, both ways, of unit vectors (van den Oord et al.,
    "Representation learning with contrastive predictive coding", 2018).

    Args:
        one, other: ``(B, N, C)``.
        seen: ``(B, N)`` bool: the rows that count.
        temperature: ``t``.

    Returns:
        The loss, and the share of rows whose own partner is the nearest.
    """
    a, b = functional.normalize(one, dim=2), functional.normalize(other, dim=2)
    scores = (a @ b.transpose(1, 2) / temperature).masked_fill(~seen[:, None, :], -1e4)
    back = (b @ a.transpose(1, 2) / temperature).masked_fill(~seen[:, None, :], -1e4)
    count = seen.sum().clamp(min=1)
    own = scores.diagonal(dim1=1, dim2=2)
    missed = (scores.logsumexp(2) - own + back.logsumexp(2) - own) / 2
    found = (scores.argmax(2) == torch.arange(scores.shape[1], device=scores.device)) & seen
    return missed.masked_fill(~seen, 0).sum() / count, found.sum() / count


def one_hot(labels: Tensor, values: Tensor) -> Tensor:
    """``(B, values, ...)`` float32: 1 where ``labels`` (B, ...) has the value, else 0."""
    shape = (1, -1) + (1,) * (labels.dim() - 1)
    return (labels[:, None] == values.view(shape)).float()


def squared_gradient(field: Tensor, spacing: float = 1) -> Tensor:
    """Mean of the squared forward differences of ``field`` along its axes, over ``spacing`` voxels each.

    VoxelMorph's regulariser; with the spacing of a coarse grid it measures the same per full-grid voxel.
    """
    axes = range(2, field.dim())
    means = [torch.mean((field.diff(dim=axis) / spacing) ** 2) for axis in axes if field.shape[axis] > 1]
    return torch.stack(means).mean()


def _shares(fixed: Tensor, warped: Tensor, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the voxels: in each pair of bins ``(B, bins, bins)``, in each bin of the one, and of the other."""
    weight_f, weight_w = _parzen(fixed, bins), _parzen(warped, bins)
    joint = weight_f.transpose(1, 2) @ weight_w / weight_f.shape[1]
    return joint, weight_f.mean(1), weight_w.mean(1)


def _information(joint: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Mutual information in nats, ``(B,)``."""
    product = one[:, :, None] * other[:, None, :]
    return (joint * torch.log((joint + _TINY) / (product + _TINY))).sum((1, 2))


def _parzen(image: Tensor, bins: int) -> Tensor:
    """Weights ``(B, voxels, bins)`` of every voxel in bins whose centres run from 0 to 1."""
    centres = torch.linspace(0, 1, bins, device=image.device, dtype=image.dtype)
    sd = 0.5 / (bins - 1)
    exponent = -((image.flatten(1)[:, :, None] - centres) ** 2) / (2 * sd**2)
    return torch.softmax(exponent, dim=2)
