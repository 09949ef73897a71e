"""Attention within windows of a 3-D grid (Liu et al., "Swin transformer", ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional


class WindowBlock(nn.Module):
    """Window attention and a two-layer perceptron, each normalised and residual; (B, D, H, W, C).

    With ``queries``, features of the same shape, keys and values still come from ``features``: cross
    attention with one normalisation and one projection for both.

    Args:
        channels: Width of the features.
        heads: Attention heads; they divide the channels.
        window: Voxels of a window along each axis. Features are padded to whole windows.
        shift: Voxels by which the windows are shifted.
        drop_path: Probability that training drops either residual branch, per scan.
    """

    def __init__(
        self, channels: int, heads: int, window: Sequence[int], shift: Sequence[int], drop_path: float
    ) -> None:
        super().__init__()
        self.window, self.shift, self.drop_path = tuple(window), tuple(shift), drop_path
        self.norm, self.perceptron_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.perceptron = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, features: Tensor, queries: Tensor | None = None) -> Tensor:
        normal = self.norm(features), None if queries is None else self.norm(queries)
        features = features + self._drop_path(self._attend(*normal))
        return features + self._drop_path(self.perceptron(self.perceptron_norm(features)))

    def _attend(self, features: Tensor, queries: Tensor | None) -> Tensor:
        size = features.shape[1:4]
        extent = whole(size, self.window)
        mask = None
        if any(self.shift):
            mask = neighbourhood_mask(extent, self.window, self.shift, features.device)
        windows = None if queries is None else self._windows(queries)
        result = join(self.attention(self._windows(features), mask, windows), self.window, extent)
        if any(self.shift):
            result = result.roll(self.shift, (1, 2, 3))
        return result[:, : size[0], : size[1], : size[2]]

    def _windows(self, features: Tensor) -> Tensor:
        """Pad to whole windows, shift, and partition."""
        size = features.shape[1:4]
        missing = [padded - n for padded, n in zip(whole(size, self.window), size, strict=True)]
        padded = functional.pad(features, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
        if any(self.shift):
            padded = padded.roll([-s for s in self.shift], (1, 2, 3))
        return partition(padded, self.window)

    def _drop_path(self, branch: Tensor) -> Tensor:
        """Apply stochastic depth (Huang et al., ECCV 2016)."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * (torch.rand(branch.shape[0], 1, 1, 1, 1, device=branch.device) < keep) / keep


class WindowAttention(nn.Module):
    """Attention among the voxels of each window, with a bias for each head and relative position."""

    positions: Tensor  # (voxels * voxels,) entry of the table

    def __init__(self, channels: int, heads: int, window: Sequence[int]) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Parameter(torch.empty(prod(2 * n - 1 for n in window), heads))
        nn.init.trunc_normal_(self.table, std=0.02)
        self.register_buffer("positions", relative_positions(window).flatten(), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.project = nn.Linear(channels, channels)

    def forward(self, windows: Tensor, mask: Tensor | None, queries: Tensor | None = None) -> Tensor:
        """Attend within windows.

        Args:
            windows: Keys and values, (B, windows, voxels, C).
            mask: (windows, voxels, voxels) bool, True where attention is allowed; None allows all.
            queries: Windows of the queries, if they differ from ``windows``.
        """
        voxels, channels = windows.shape[2:]
        if queries is None:
            query, key, value = self._heads(self.qkv(windows), 3)
        else:
            (query,) = self._heads(functional.linear(queries, self.qkv.weight[:channels]), 1)
            key, value = self._heads(functional.linear(windows, self.qkv.weight[channels:]), 2)
        bias = self.table[self.positions].view(voxels, voxels, self.heads).permute(2, 0, 1)[None, None]
        if mask is not None:
            bias = bias.masked_fill(~mask[None, :, None], -100.0)
        scores = query @ key.transpose(-2, -1) * (channels // self.heads) ** -0.5 + bias
        mixed = (scores.softmax(-1) @ value).transpose(2, 3).flatten(3)
        result: Tensor = self.project(mixed)
        return result

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split (B, windows, voxels, parts * C) into (B, windows, heads, voxels, C of a head) each."""
        batch, count, voxels, channels = projected.shape
        cut = projected.view(batch, count, voxels, parts, self.heads, channels // (parts * self.heads))
        taken: tuple[Tensor, ...] = cut.permute(3, 0, 1, 4, 2, 5).unbind(0)
        return taken


def whole(size: Sequence[int], window: Sequence[int]) -> list[int]:
    """Round ``size`` up to whole windows, in arithmetic that exporters can trace."""
    return [(n + w - 1) // w * w for n, w in zip(size, window, strict=True)]


def partition(features: Tensor, window: Sequence[int]) -> Tensor:
    """Cut ``(B, D, H, W, C)`` into windows ``(B, windows, voxels of a window, C)``."""
    batch, depth, height, width, channels = features.shape
    z, y, x = window
    cut = features.view(batch, depth // z, z, height // y, y, width // x, x, channels)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, z * y * x, channels)


def join(windows: Tensor, window: Sequence[int], extent: Sequence[int]) -> Tensor:
    """Invert ``partition``."""
    (z, y, x), (depth, height, width) = window, extent
    cut = windows.view(windows.shape[0], depth // z, height // y, width // x, z, y, x, windows.shape[-1])
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(windows.shape[0], depth, height, width, -1)


def relative_positions(window: Sequence[int]) -> Tensor:
    """Return the number of the offset between any two voxels of a window, ``(voxels, voxels)``."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in window), indexing="ij")).flatten(1)
    number = torch.zeros(index.shape[1], index.shape[1], dtype=torch.long)
    for along, n in zip(index, window, strict=True):
        number = number * (2 * n - 1) + along[:, None] - along[None, :] + n - 1
    return number


def neighbourhood_mask(
    extent: Sequence[int], window: Sequence[int], shift: Sequence[int], device: torch.device
) -> Tensor:
    """Return ``(windows, voxels, voxels)``: True where two voxels were neighbours before rolling the grid.

    Rolling brings both ends of an axis into one window; these must not attend to each other.
    """
    region = torch.zeros(1, 1, 1, 1, 1, device=device)
    for axis, (n, w, s) in enumerate(zip(extent, window, shift, strict=True)):
        index = torch.arange(n, device=device)
        part = (index >= n - w).long() + (index >= n - s).long()
        region = 3 * region + part.view(*(-1 if a == axis + 1 else 1 for a in range(5)))
    parts = partition(region, window)[0, :, :, 0]
    return parts[:, :, None] == parts[:, None, :]


class PatchMerging(nn.Module):
    """Merge two voxels along each axis to one of twice the channels; (B, D, H, W, C).

    In 2-D the first axis has one plane and is kept.
    """

    def __init__(self, channels: int, dims: int = 3) -> None:
        super().__init__()
        self.planes = 2 if dims == 3 else 1
        self.norm = nn.LayerNorm(2**dims * channels)
        self.reduce = nn.Linear(2**dims * channels, 2 * channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        (batch, depth, height, width, channels), planes = features.shape, self.planes
        cells = features.view(batch, depth // planes, planes, height // 2, 2, width // 2, 2, channels)
        cells = cells.permute(0, 1, 3, 5, 6, 4, 2, 7).flatten(4)
        merged: Tensor = self.reduce(self.norm(cells))
        return merged
