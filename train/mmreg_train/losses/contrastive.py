"""Contrastive losses on single scans: remapped views, distinguishing locations, small shifts and labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CURVE_POINTS = 256
# Grids on which small shifts are distinguished: voxels in a cell; the longest shift and the width of a patch,
# in cells. A coarse-to-fine solver uses descriptors averaged over such cells.
SHIFT_SCALES = ((1, 6, 5), (2, 4, 3), (4, 2, 3))
SHIFTS = 12


def remap_intensities(image: Tensor) -> Tensor:
    """Map ``image`` (B, 1, ...) in [0, 1] through a random monotone curve, inverted half of the time.

    A cubic Bezier curve from (0, 0) to (1, 1) over two control points drawn in the unit square, one curve for
    each scan (Zhou et al., "Models Genesis", MICCAI 2019). Both coordinates of such a curve never decrease.
    """
    count, device = image.shape[0], image.device
    inner = torch.rand(count, 2, 2, device=device)  # (B, point, coordinate)
    t = torch.linspace(0, 1, _CURVE_POINTS, device=device)[:, None]
    first, second = 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2
    curve = first * inner[:, None, 0] + second * inner[:, None, 1] + t**3  # (B, points, coordinate)
    mapped = _interpolate(image.flatten(1).float(), curve[..., 0].contiguous(), curve[..., 1])
    inverted = torch.rand(count, 1, device=device) < 0.5
    return torch.where(inverted, 1 - mapped, mapped).view_as(image).to(image.dtype)


def sample_foreground(image: Tensor, threshold: float, count: int) -> Tensor:
    """Draw flat indices of up to ``count`` different voxels of ``image`` (1, ...) above ``threshold``.

    If fewer than two voxels are above it, the whole image is used.
    """
    flat = image.flatten()
    inside = (flat > threshold).nonzero().flatten()
    if inside.numel() < 2:
        inside = torch.arange(flat.numel(), device=flat.device)
    return inside[torch.randperm(inside.numel(), device=flat.device)[:count]]


def location_loss(first: Tensor, second: Tensor, temperature: float, chunk: int) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of matching each row of ``first`` to its row of ``second``, and the hit rate.

    InfoNCE (van den Oord et al., 2018) with all other locations of the scan as negatives. Scores are computed
    ``chunk`` rows at a time, and again for the gradient, so that memory grows with ``chunk`` times rows.

    Args:
        first, second: ``(locations, channels)`` unit vectors; rows of one index correspond.
        temperature: Of the softmax.
        chunk: Rows computed at a time.
    """
    losses, hits = [], []
    for start in range(0, first.shape[0], chunk):
        rows = first[start : start + chunk]
        loss, count = checkpoint(_chunk_terms, rows, second, start, temperature, use_reentrant=False)
        losses.append(loss)
        hits.append(count)
    return torch.stack(losses).sum() / first.shape[0], torch.stack(hits).sum() / first.shape[0]


def shift_loss(first: Tensor, second: Tensor, inside: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of recognising two views as unshifted, and the hit rate.

    It imitates a solver, which moves a patch to where the squared descriptor differences are least. The score
    of a shift is minus half their mean over a patch. The true place competes with ``SHIFTS`` random shifts,
    short ones as often as long ones, on each of ``SHIFT_SCALES``. This is our addition: from locations
    anywhere in the scan, a descriptor learns the kind of place, and little about its exact position.

    Args:
        first, second: ``(1, channels, ...)`` unit vectors.
        inside: ``(1, 1, ...)`` 1 where voxels count, else 0.
        temperature: Of the softmax.

    Raises:
        ValueError: The views are too small for all of the scales.
    """
    terms = []
    for cell, reach, patch in SHIFT_SCALES:
        a, b, weight = (_means(x.float(), cell, cell) for x in (first, second, inside))
        if min(a.shape[2:]) >= 2 * reach + patch:
            scores = _shift_scores(a, b, _shifts(a.dim() - 2, reach), reach, patch)
            terms.append(_first_is_best(scores / temperature, _patches(_core(weight, reach), patch)))
    if not terms:
        raise ValueError(f"Views of {tuple(first.shape[2:])} are too small for the shifts of any scale.")
    losses, hits = zip(*terms, strict=True)
    return torch.stack(losses).mean(), torch.stack(hits).mean()


class LabelDirections(nn.Module):
    """A learned direction for each label or group of labels, by which descriptors are classified."""

    index: Tensor  # row of ``direction`` by label id, -1 for other ids

    def __init__(self, labels: Sequence[int | Sequence[int]], channels: int, temperature: float) -> None:
        super().__init__()
        groups = [[group] if isinstance(group, int) else list(group) for group in labels]
        ids = [label for group in groups for label in group]
        if min(ids) < 0 or len(set(ids)) < len(ids):
            raise ValueError(f"Labels must be different ids, 0 or more; found {list(labels)}.")
        self.temperature = temperature
        self.direction = nn.Parameter(0.1 * torch.randn(len(labels), channels))  # short vectors turn fast
        index = torch.full((max(ids) + 2,), -1)
        for number, group in enumerate(groups):
            index[torch.tensor(group)] = number
        self.register_buffer("index", index, persistent=False)

    def forward(self, described: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross entropy of the labels (N,) of unit vectors (N, channels), and the hit rate.

        A label is weighted by one over the root of its count. Both are 0 without any known label.
        """
        truth = self.index[label.clamp(max=len(self.index) - 1)]
        known = truth >= 0
        described, truth = described[known], truth[known]
        if not len(truth):
            return 0 * self.direction.sum(), self.direction.new_zeros(())
        scores = described @ functional.normalize(self.direction).to(described.dtype).T / self.temperature
        weight = torch.bincount(truth, minlength=len(self.direction)).clamp(min=1) ** -0.5
        hits = (scores.detach().argmax(1) == truth).float().mean()
        return functional.cross_entropy(scores.float(), truth, weight), hits


def _shifts(dims: int, reach: int) -> list[list[int]]:
    """Return no shift and ``SHIFTS`` random ones, of 1 to ``reach`` along the longest axis, log-uniform."""
    direction = torch.randn(SHIFTS, dims)
    direction /= direction.abs().amax(1, keepdim=True)
    shifts = (direction * reach ** torch.rand(SHIFTS, 1)).round().long()
    drawn: list[list[int]] = shifts.tolist()
    return [[0] * dims, *drawn]


def _core(views: Tensor, reach: int, shift: Sequence[int] | None = None) -> Tensor:
    """Shift the views, and remove ``reach`` voxels at every border."""
    shift = [0] * (views.dim() - 2) if shift is None else shift
    for axis, (s, n) in enumerate(zip(shift, views.shape[2:], strict=True), start=2):
        views = views.narrow(axis, reach + s, n - 2 * reach)
    return views


def _patches(image: Tensor, patch: int) -> Tensor:
    """Average overlapping patches of an image ``(1, 1, ...)``, flattened."""
    return _means(image, patch, max(1, patch // 2)).flatten()


def _means(image: Tensor, width: int, step: int) -> Tensor:
    """Average cubes of ``width`` voxels, one every ``step``."""
    pool = functional.avg_pool3d if image.dim() == 5 else functional.avg_pool2d
    return pool(image, width, step)


def _shift_scores(a: Tensor, b: Tensor, shifts: list[list[int]], reach: int, patch: int) -> Tensor:
    """Return scores ``(patches, shifts)``."""
    still = _core(a, reach)
    squares = [((still - _core(b, reach, shift)) ** 2).sum(1, keepdim=True) for shift in shifts]
    return torch.stack([-_patches(square, patch) / 2 for square in squares], dim=1)


def _first_is_best(scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted means: cross entropy of the first score per row, and how often it is largest."""
    truth = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    loss = functional.cross_entropy(scores, truth, reduction="none")
    hits = (scores.detach().argmax(1) == 0).float()
    total = weight.sum().clamp(min=1e-6)
    return (loss * weight).sum() / total, (hits * weight).sum() / total


def _chunk_terms(rows: Tensor, others: Tensor, start: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Return sums over ``rows`` of cross entropy and hits; row i belongs to ``others[start + i]``."""
    scores = (rows / temperature) @ others.T
    truth = torch.arange(start, start + rows.shape[0], device=rows.device)
    best = scores.detach().amax(1)
    hits = (scores.detach().gather(1, truth[:, None])[:, 0] >= best).sum().to(scores.dtype)
    return functional.cross_entropy(scores, truth, reduction="sum"), hits


def _interpolate(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate the piecewise linear function through (x, y) (B, points) at ``values`` (B, n)."""
    right = torch.searchsorted(x, values.contiguous()).clamp(1, x.shape[1] - 1)
    x0, x1 = x.gather(1, right - 1), x.gather(1, right)
    y0, y1 = y.gather(1, right - 1), y.gather(1, right)
    share = ((values - x0) / (x1 - x0).clamp(min=1e-7)).clamp(0, 1)
    return y0 + share * (y1 - y0)
