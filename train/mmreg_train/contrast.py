"""Learning without pairs: views with other intensities, telling their locations and their labels apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CURVE_POINTS = 256


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


class LabelDirections(nn.Module):
    """A direction for each label, and how well descriptors are told apart by them."""

    index: Tensor  # of a label id in ``direction``, -1 for others

    def __init__(self, labels: Sequence[int], channels: int, temperature: float) -> None:
        super().__init__()
        if min(labels) < 0 or len(set(labels)) < len(labels):
            raise ValueError(f"Labels are different ids from 0; found {list(labels)}.")
        self.temperature = temperature
        self.direction = nn.Parameter(0.1 * torch.randn(len(labels), channels))  # short ones turn fast
        index = torch.full((max(labels) + 2,), -1)
        index[torch.tensor(labels)] = torch.arange(len(labels))
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
