"""Linear transforms of FreeSurfer (``.lta``), which map moving (src) to fixed (dst) points.

The type says in which coordinates: 0 voxels, 1 RAS mm, 2 voxels times spacing, 14 the coordinates of
``register.dat`` (tkregister), 21 the same between two volumes. The geometry of both volumes follows; its
centre ``cras`` is at the index ``volume / 2`` (FreeSurfer wiki, "CoordinateSystems" and "lta_convert").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from . import files
from .transform_file import (
    MAX_TEXT_BYTES,
    affine,
    as_matrix,
    file_affine,
    inverted,
    numbers,
    refusal,
    single_affine,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..geometry import Float64, Grid
    from ..transform import Affine, Transform
    from .spaces import Spaces

VOXELS, RAS, SCALED_VOXELS, REGISTER_DAT, TKREG = 0, 1, 2, 14, 21
SURFACE = 3  # of surfa: coordinates of surfaces, those of tkregister
_WHAT = "transform of FreeSurfer"
_GEOMETRY = {"volume": 3, "voxelsize": 3, "xras": 3, "yras": 3, "zras": 3, "cras": 3}


@dataclass(frozen=True)
class VolumeGeometry:
    """The geometry of a volume: voxels and spacing along x, y, z, axes as columns, and centre, RAS mm."""

    size: Float64
    spacing: Float64
    axes: Float64
    centre: Float64

    def to_ras(self) -> Float64:
        """Return the affine from voxels to RAS mm."""
        return self._about_centre(self.axes * self.spacing, self.centre)

    def to_tkreg(self) -> Float64:
        """Return the affine from voxels to the coordinates of tkregister: axes L, I, A about the centre."""
        axes = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        return self._about_centre(axes * self.spacing, np.zeros(3))

    def _about_centre(self, linear: Float64, centre: Float64) -> Float64:
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = centre - linear @ (self.size / 2)
        return matrix


def read(path: Path, spaces: Spaces) -> Affine:  # noqa: ARG001 (the file has its geometry)
    """Read an LTA file with one transform, of any type."""
    lines = _lines(files.read_text(path, MAX_TEXT_BYTES))
    kind = int(_values(lines, "type", 1, path)[0])
    if _values(lines, "nxforms", 1, path) != [1]:
        raise refusal(path, _WHAT, "one transform (nxforms = 1)", "another number of them")
    _values(lines, "mean", 3, path)
    _values(lines, "sigma", 1, path)
    if (shape := next(lines, "").split()) != ["1", "4", "4"]:
        raise refusal(path, _WHAT, "the line 1 4 4", " ".join(shape)[:40] or "none")
    rows = [numbers(next(lines, "").split(), 4, path, _WHAT, "each row of the matrix") for _ in range(4)]
    matrix = as_matrix([value for row in rows for value in row])
    if kind == RAS:
        return affine(inverted(matrix, path), path)
    source, target = (_volume(lines, which, path) for which in ("src", "dst"))
    return affine(inverted(_in_ras(matrix, kind, source, target, path), path), path)


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write an LTA file of type RAS to RAS, with the geometry of both scans."""
    single = single_affine(transform, path)
    fixed, moving = spaces.both(path, "an LTA file")
    lines = [
        "type      = 1 # LINEAR_RAS_TO_RAS",
        "nxforms   = 1",
        "mean      = 0.0000 0.0000 0.0000",
        "sigma     = 1.0000",
        "1 4 4",
        *(_row(row) for row in np.linalg.inv(single.matrix)),
        *("src volume info", *_geometry(moving)),
        *("dst volume info", *_geometry(fixed)),
    ]
    with files.atomic_write(path) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def _in_ras(
    matrix: Float64, kind: int, source: VolumeGeometry, target: VolumeGeometry, path: Path
) -> Float64:
    """Return the map from moving to fixed points in RAS mm."""
    to_ras = [volume.to_ras() for volume in (target, source)]
    if kind == VOXELS:
        frames = to_ras
    elif kind == SCALED_VOXELS:
        frames = [m @ np.diag([*(1 / v.spacing), 1]) for m, v in zip(to_ras, (target, source), strict=True)]
    elif kind in (REGISTER_DAT, TKREG, SURFACE):
        frames = [m @ np.linalg.inv(v.to_tkreg()) for m, v in zip(to_ras, (target, source), strict=True)]
        if kind == REGISTER_DAT:  # register.dat maps fixed to moving points
            matrix = inverted(matrix, path)
    else:
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} holds a transform of type {kind}; supported are 0, 1, 2, 14 and 21. Convert it with "
            "lta_convert --outlta.",
        )
    in_ras: Float64 = frames[0] @ matrix @ np.linalg.inv(frames[1])
    return in_ras


def _volume(lines: Iterator[str], which: str, path: Path) -> VolumeGeometry:
    if (line := next(lines, "")) != f"{which} volume info":
        raise refusal(path, _WHAT, f"the line {which} volume info", repr(line[:40]))
    valid = _values(lines, "valid", 1, path) == [1]
    next(lines, "")  # the name of the volume
    found = {key: np.array(_values(lines, key, n, path)) for key, n in _GEOMETRY.items()}
    axes = np.stack([found["xras"], found["yras"], found["zras"]], 1)
    if not valid or not (found["voxelsize"] > 0).all() or not abs(np.linalg.det(axes)) > 1e-3:
        raise refusal(path, _WHAT, f"a valid geometry of the {which} volume", "one that is not")
    return VolumeGeometry(found["volume"], found["voxelsize"], axes, found["cras"])


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        content = line.partition("#")[0].strip()
        if content:
            yield content


def _values(lines: Iterator[str], key: str, count: int, path: Path) -> list[float]:
    line = next(lines, "")
    match = re.fullmatch(rf"{key}\s*=\s*(.*)", line)
    if match is None:
        raise refusal(path, _WHAT, f"the line {key} = ...", repr(line[:60]))
    return numbers(match[1].split(), count, path, _WHAT, key)


def _geometry(grid: Grid) -> list[str]:
    matrix = file_affine(grid)
    size = np.array(grid.shape[::-1])
    axes = matrix[:3, :3] / grid.spacing_mm[::-1]
    centre = matrix[:3, :3] @ (size / 2) + matrix[:3, 3]
    return [
        "valid = 1  # volume info valid",
        "filename = scan.nii.gz",
        f"volume = {size[0]} {size[1]} {size[2]}",
        f"voxelsize = {_row(np.array(grid.spacing_mm[::-1]))}",
        *(
            f"{name}   = {_row(values)}"
            for name, values in zip(("xras", "yras", "zras"), axes.T, strict=True)
        ),
        f"cras   = {_row(centre)}",
    ]


def _row(values: Float64) -> str:
    return " ".join(f"{v:.15e}" for v in values)
