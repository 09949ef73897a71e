"""Pairs of network inputs, to calibrate on and to compare with: of the user's scans, or generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec, network_grid, normalise
from mmreg_rt.preprocess.window import scale_jointly, window_grid

if TYPE_CHECKING:
    from mmreg_rt.geometry import Float32, Grid, Volume
    from mmreg_train.methods import Window

SCALES_VOX = (4, 8)


@dataclass(frozen=True)
class Pair:
    """Images on the network's grid, ``(D, H, W)`` float32 in [0, 1]; the spacing of that grid in mm."""

    name: str
    fixed: Float32
    moving: Float32
    spacing_mm: tuple[float, ...]


def read_pair(
    fixed: Path, moving: Path, spec: PreprocessSpec, dims: int, window: Window | None = None
) -> Pair:
    """Two scans as a network sees them when their headers are trusted; in a window, around the fixed centre.

    Raises:
        InputError: A file cannot be read or used, or is no volume (``dims`` 3) or single slice (2).
        IntensityError: A scan is not finite, or constant.
    """
    scans = [_read(path, dims) for path in (fixed, moving)]
    if window is None:
        grid = network_grid(scans[0].grid, spec)
        images = [_onto(scan, grid, spec) for scan in scans]
    else:
        grid = window_grid(scans[0].grid, spec, scans[0].grid.centre_mm, window.size, window.spacing_mm)
        images = list(scale_jointly(*(_onto(scan, grid, spec) for scan in scans)))
    return Pair(f"{fixed.name} {moving.name}", images[0], images[1], grid.spacing_mm)


def _read(path: Path, dims: int) -> Volume:
    """As the runtime takes it."""
    from mmreg_rt import read_image
    from mmreg_rt.input_validation import check_intensities

    scan = read_image(path)
    if scan.grid.dims != dims:
        needed = "volumes" if dims == 3 else "single slices"
        raise InputError(
            "MMREG_E_EXPORT_PAIR",
            f"A network of {dims} dimensions is compared on {needed}; {path} has the shape "
            f"{scan.grid.shape}. Give other scans to --pair.",
        )
    return check_intensities(scan, None, str(path))[0]


def _onto(scan: Volume, grid: Grid, spec: PreprocessSpec) -> Float32:
    from mmreg_rt import Affine, Volume

    image: Float32 = (
        Affine(np.eye(4)).warp(Volume(normalise(scan.data, spec), scan.grid), grid, outside=0).data
    )
    return image


def generated_pairs(dims: int, multiple: int, count: int, window: Window | None = None) -> list[Pair]:
    """Smooth noise at two scales, the second image of each pair shifted and darkened; always the same."""
    pairs = []
    for number in range(count):
        if window is not None:
            pairs.append(_pair(window.size, number, window.spacing_mm))
            continue
        size = [multiple * max(2, 32 // multiple)] * 3
        size[2] += number * multiple
        shape = (1, *size[1:]) if dims == 2 else tuple(size)
        pairs.append(_pair(shape, number, (1.0,) * 3))
    return pairs


def _pair(shape: Sequence[int], number: int, spacing_mm: tuple[float, ...]) -> Pair:
    fixed = _noise(shape, number)
    moving = np.ascontiguousarray(np.roll(1 - fixed, (2, -3), (-1, -2)) * np.float32(0.8))
    return Pair(f"noise {number}", fixed, moving, spacing_mm)


def _noise(shape: Sequence[int], seed: int) -> Float32:
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(shape)
    for scale in SCALES_VOX:
        coarse = [-(-n // scale) + 1 if n > 1 else 1 for n in shape]
        layer = torch.randn(1, 1, *coarse, generator=generator)
        image += torch.nn.functional.interpolate(layer, tuple(shape), mode="trilinear", align_corners=True)[
            0, 0
        ]
    made: Float32 = ((image - image.min()) / (image.max() - image.min())).numpy()
    return made
