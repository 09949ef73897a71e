"""Learning without pairs: views with other intensities, telling locations, small shifts and labels apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CURVE_POINTS = 256
# The grids that small shifts are told apart on: voxels in a cell; the longest shift and the width of a patch,
# in cells. A solver that goes from coarse to fine sees descriptors as their means over such cells.
SHIFT_SCALES = ((1, 6, 5), (2, 4, 3), (4, 2, 3))
SHIFTS = 12


def remapped(image: Tensor) -> Tensor:
    """``image`` (B, 1, ...) in [0, 1] through a random monotone curve, inverted with probability one half.

    A cubic Bezier curve from (0, 0) to (1, 1) over two control points drawn in the unit square, one curve for
    each scan (Zhou et al., "Models Genesis", MICCAI 2019). Both coordinates of such a curve never decrease.
    """
    count, device = image.shape[0], image.device
    inner = torch.rand(count, 2, 2, device=device)  # (B, point, coordinate)
    t = torch.linspace(0, 1, _CURVE_POINTS, device=device)[:, None]
    first, second = 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2
    curve = first * inner[:, None, 0] + second * inner[:, None, 1] + t**3  # (B, points, coordinate)
    mapped = _interpolated(image.flatten(1).float(), curve[..., 0].contiguous(), curve[..., 1])
    inverted = torch.rand(count, 1, device=device) < 0.5
    return torch.where(inverted, 1 - mapped, mapped).view_as(image).to(image.dtype)


def sample_foreground(image: Tensor, threshold: float, count: int) -> Tensor:
    """Flat indices of ``count`` voxels of ``image`` (1, ...) above ``threshold``, each at most once.

    All of them where there are fewer; from the whole image where there are none.
    """
    flat = image.flatten()
    inside = (flat > threshold).nonzero().flatten()
    if inside.numel() < 2:
        inside = torch.arange(flat.numel(), device=flat.device)
    return inside[torch.randperm(inside.numel(), device=flat.device)[:count]]


def location_loss(first: Tensor, second: Tensor, temperature: float, chunk: int) -> tuple[Tensor, Tensor]:
    """Cross entropy of finding each row of ``first`` among the rows of ``second``, and the share found.

    InfoNCE (van den Oord et al., 2018) with all other locations of the scan as negatives. Scores are computed
    ``chunk`` rows at a time, and again for the gradient, so that memory grows with ``chunk`` times rows.

    Args:
        first, second: ``(locations, channels)`` unit vectors; rows of one number belong together.
    """
    losses, found = [], []
    for start in range(0, first.shape[0], chunk):
        rows = first[start : start + chunk]
        loss, hits = checkpoint(_chunk_terms, rows, second, start, temperature, use_reentrant=False)
        losses.append(loss)
        found.append(hits)
    return torch.stack(losses).sum() / first.shape[0], torch.stack(found).sum() / first.shape[0]


def shift_loss(first: Tensor, second: Tensor, inside: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross entropy of telling that two views of the same voxels are not shifted, and the share found.

    What a solver does with descriptors: it moves a patch to where their squared differences are least. The
    score of a shift is minus half their mean over a patch, and the place itself is told from ``SHIFTS``
    shifts drawn at random, short ones as often as long ones, on each of ``SHIFT_SCALES``. An addition of this
    house: against locations anywhere in the scan, a descriptor learns what kind of place it is at, and little
    about where exactly.

    Args:
        first, second: ``(1, channels, ...)`` unit vectors.
        inside: ``(1, 1, ...)`` 1 where places count, else 0.

    Raises:
        ValueError: The views are too small for any of the scales.
    """
    terms = []
    for cell, reach, patch in SHIFT_SCALES:
        a, b, weight = (_means(x.float(), cell, cell) for x in (first, second, inside))
        if min(a.shape[2:]) >= 2 * reach + patch:
            scores = _shift_scores(a, b, _shifts(a.dim() - 2, reach), reach, patch)
            terms.append(_first_is_best(scores / temperature, _patches(_core(weight, reach), patch)))
    if not terms:
        raise ValueError(f"Views of {tuple(first.shape[2:])} are too small to tell shifts apart in.")
    losses, found = zip(*terms, strict=True)
    return torch.stack(losses).mean(), torch.stack(found).mean()


class LabelDirections(nn.Module):
    """A direction for each label, or group of labels, and how well descriptors are told apart by them."""

    index: Tensor  # of a label id in ``direction``, -1 for others

    def __init__(self, labels: Sequence[int | Sequence[int]], channels: int, temperature: float) -> None:
        super().__init__()
        groups = [[group] if isinstance(group, int) else list(group) for group in labels]
        ids = [label for group in groups for label in group]
        if min(ids) < 0 or len(set(ids)) < len(ids):
            raise ValueError(f"Labels are different ids from 0; found {list(labels)}.")
        self.temperature = temperature
        self.direction = nn.Parameter(0.1 * torch.randn(len(labels), channels))  # short ones turn fast
        index = torch.full((max(ids) + 2,), -1)
        for number, group in enumerate(groups):
            index[torch.tensor(group)] = number
        self.register_buffer("index", index, persistent=False)

    def forward(self, described: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy of the labels (N,) of unit vectors (N, channels), and the share found.

        A label weighs one over the root of its count. Both are 0 where no label is known.
        """
        truth = self.index[label.clamp(max=len(self.index) - 1)]
        known = truth >= 0
        described, truth = described[known], truth[known]
        if not len(truth):
            return 0 * self.direction.sum(), self.direction.new_zeros(())
        scores = described @ functional.normalize(self.direction).to(described.dtype).T / self.temperature
        weight = torch.bincount(truth, minlength=len(self.direction)).clamp(min=1) ** -0.5
        found = (scores.detach().argmax(1) == truth).float().mean()
        return functional.cross_entropy(scores.float(), truth, weight), found


def _shifts(dims: int, reach: int) -> list[list[int]]:
    """No shift, and ``SHIFTS`` random ones: 1 to ``reach`` along the longest axis, each length as often."""
    direction = torch.randn(SHIFTS, dims)
    direction /= direction.abs().amax(1, keepdim=True)
    shifts = (direction * reach ** torch.rand(SHIFTS, 1)).round().long()
    drawn: list[list[int]] = shifts.tolist()
    return [[0] * dims, *drawn]


def _core(views: Tensor, reach: int, shift: Sequence[int] | None = None) -> Tensor:
    """Without ``reach`` voxels at every border, of the views shifted."""
    shift = [0] * (views.dim() - 2) if shift is None else shift
    for axis, (s, n) in enumerate(zip(shift, views.shape[2:], strict=True), start=2):
        views = views.narrow(axis, reach + s, n - 2 * reach)
    return views


def _patches(image: Tensor, patch: int) -> Tensor:
    """Means of overlapping patches of an image ``(1, 1, ...)``, flat."""
    return _means(image, patch, max(1, patch // 2)).flatten()


def _means(image: Tensor, width: int, step: int) -> Tensor:
    """Of cubes of ``width`` voxels, one every ``step``."""
    pool = functional.avg_pool3d if image.dim() == 5 else functional.avg_pool2d
    return pool(image, width, step)


def _shift_scores(a: Tensor, b: Tensor, shifts: list[list[int]], reach: int, patch: int) -> Tensor:
    """``(patches, shifts)``."""
    still = _core(a, reach)
    squares = [((still - _core(b, reach, shift)) ** 2).sum(1, keepdim=True) for shift in shifts]
    return torch.stack([-_patches(square, patch) / 2 for square in squares], dim=1)


def _first_is_best(scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means: the cross entropy of the first of each row, and how often it is the largest."""
    truth = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    loss = functional.cross_entropy(scores, truth, reduction="none")
    found = (scores.detach().argmax(1) == 0).float()
    total = weight.sum().clamp(min=1e-6)
    return (loss * weight).sum() / total, (found * weight).sum() / total


def _chunk_terms(rows: Tensor, others: Tensor, start: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Sums over ``rows`` of the cross entropy and of the hits; row i belongs to ``others[start + i]``."""
    scores = (rows / temperature) @ others.T
    truth = torch.arange(start, start + rows.shape[0], device=rows.device)
    best = scores.detach().amax(1)
    hits = (scores.detach().gather(1, truth[:, None])[:, 0] >= best).sum().to(scores.dtype)
    return functional.cross_entropy(scores, truth, reduction="sum"), hits


def _interpolated(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through (x, y) (B, points) at ``values`` (B, n)."""
    right = torch.searchsorted(x, values.contiguous()).clamp(1, x.shape[1] - 1)
    x0, x1 = x.gather(1, right - 1), x.gather(1, right)
    y0, y1 = y.gather(1, right - 1), y.gather(1, right)
    share = ((values - x0) / (x1 - x0).clamp(min=1e-7)).clamp(0, 1)
    return y0 + share * (y1 - y0)
