"""Pairs of network inputs for calibration and comparison, from scans or generated."""

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
    """A pair of network inputs.

    Attributes:
        name: Name for messages.
        fixed, moving: Images on the network grid, ``(D, H, W)`` float32 in [0, 1].
        spacing_mm: Spacing of that grid along axes 0, 1, 2.
    """

    name: str
    fixed: Float32
    moving: Float32
    spacing_mm: tuple[float, ...]


def read_pair(
    fixed: Path, moving: Path, spec: PreprocessSpec, dims: int, window: Window | None = None
) -> Pair:
    """Read two scans and preprocess them, trusting their headers.

    Args:
        fixed, moving: Files.
        spec: Preprocessing of the method.
        dims: Dimensions of the method: 3 takes volumes, 2 single slices.
        window: Window of the method, placed at the centre of the fixed scan; None takes the whole grid.

    Raises:
        InputError: A file cannot be read or used, or has other dimensions than the method.
        IntensityError: A scan is not finite, or constant.
    """
    scans = [_read(path, dims) for path in (fixed, moving)]
    if window is None:
        grid = network_grid(scans[0].grid, spec)
        images = [_resample(scan, grid, spec) for scan in scans]
    else:
        grid = window_grid(scans[0].grid, spec, scans[0].grid.centre_mm, window.size, window.spacing_mm)
        images = list(scale_jointly(*(_resample(scan, grid, spec) for scan in scans)))
    return Pair(f"{fixed.name} {moving.name}", images[0], images[1], grid.spacing_mm)


def _read(path: Path, dims: int) -> Volume:
    """Read and check a scan as the runtime does."""
    from mmreg_rt import read_image
    from mmreg_rt.input_validation import check_intensities

    scan = read_image(path)
    if scan.grid.dims != dims:
        needed = "volumes" if dims == 3 else "single slices"
        raise InputError(
            "MMREG_E_EXPORT_PAIR",
            f"A {dims}-D network needs {needed}; {path} has the shape {scan.grid.shape}. Give other scans to "
            "--pair.",
        )
    return check_intensities(scan, None, str(path))[0]


def _resample(scan: Volume, grid: Grid, spec: PreprocessSpec) -> Float32:
    from mmreg_rt import Affine, Volume

    image: Float32 = (
        Affine(np.eye(4)).warp(Volume(normalise(scan.data, spec), scan.grid), grid, outside=0).data
    )
    return image


def generated_pairs(dims: int, multiple: int, count: int, window: Window | None = None) -> list[Pair]:
    """Generate pairs of smooth noise at two scales; the second image is shifted and darkened.

    Args:
        dims: 2 or 3.
        multiple: Sizes are multiples of this.
        count: Number of pairs, always the same ones.
        window: Window of the method; None generates several sizes.
    """
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
    normalised: Float32 = ((image - image.min()) / (image.max() - image.min())).numpy()
    return normalised
