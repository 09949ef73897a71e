"""Neighbourhoods of self-similarity descriptors."""

from __future__ import annotations

from itertools import combinations

from torch import Tensor
from torch.nn import functional

Offset = tuple[int, ...]


def offset_pairs(dims: int, radius: int) -> list[tuple[Offset, Offset]]:
    """Return pairs of face neighbours at ``radius`` whose squared distance is 2 * radius**2.

    12 pairs in 3-D, 4 in 2-D: all except opposite ones (Heinrich et al., MICCAI 2013).
    """
    faces = [
        tuple(sign * radius if axis == along else 0 for axis in range(dims))
        for along in range(dims)
        for sign in (-1, 1)
    ]
    return [(a, b) for a, b in combinations(faces, 2) if any(x + y for x, y in zip(a, b, strict=True))]


def shifts(image: Tensor, radius: int, margin: int = 0) -> dict[Offset, Tensor]:
    """Return ``image(p + r)`` for every face neighbour ``r`` at ``radius``; the border is extended.

    ``p`` runs over the image and ``margin`` voxels around it.
    """
    dims, reach = image.dim() - 2, radius + margin
    padded = functional.pad(image, (reach, reach) * dims, mode="replicate")
    offsets = {offset for pair in offset_pairs(dims, radius) for offset in pair}
    return {offset: _window(padded, radius, offset) for offset in sorted(offsets)}


def _window(padded: Tensor, radius: int, offset: Offset) -> Tensor:
    """Remove ``radius`` voxels on each side of ``padded``, after a shift by ``offset``."""
    windows = [slice(radius + step, step - radius or None) for step in offset]
    index = (slice(None), slice(None), *windows)
    return padded[index]
