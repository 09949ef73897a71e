"""Transforms of ITK in HDF5 (``.h5``), as ITK, ANTs and 3D Slicer write them: matrices, fields and B-splines.

``TransformGroup/N`` holds type, parameters and fixed parameters of one transform; entry 0 of a composite only
names it. As in text files the *last* transform is applied first, and everything is in LPS mm.

- A field has size, origin, spacing and direction as fixed parameters, and one vector for each voxel.
- A B-spline has the same for its control points, then all x, all y, all z coefficients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import TransformError
from ..geometry import Grid
from ..transform import Affine, Composite, DisplacementField, Transform
from ..transform.spline import SplineField
from . import hdf5, hdf5_process, itk
from .extras import library
from .transform_file import LPS, cannot_hold, chained, displacement, file_affine, grid_of_file, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Float64
    from .hdf5 import Group
    from .spaces import Spaces

_WHAT = "ITK transform"
_FIELD = re.compile(r"DisplacementFieldTransform_(?:double|float)_3_3", re.ASCII)
_SPLINE = re.compile(r"BSplineTransform_(?:double|float)_3_3(?:_3)?", re.ASCII)
_FLIP = np.array([-1.0, -1.0, 1.0])


def read(path: Path, spaces: Spaces) -> Transform:  # noqa: ARG001 (in LPS mm)
    """Read a transform or a composite."""
    return hdf5_process.read(path, "itk_h5")


def parse(stream: BinaryIO, path: Path) -> Transform:
    """Read a transform or a composite in this process."""
    with hdf5.opened(stream, path) as file:
        return read_group(file.group("TransformGroup"), path)


def read_group(entries: Group, path: Path) -> Transform:
    """Read the transforms of a group, in the order of application."""
    names = entries.names()
    if not names or set(names) != {str(n) for n in range(len(names))}:
        raise refusal(path, _WHAT, "transforms numbered from 0", ", ".join(names)[:60] or "none")
    parts: list[Transform] = []
    for name in sorted(names, key=int):
        entry = entries.group(name)
        kind = entry.text("TransformType")
        if not kind.startswith("CompositeTransform_"):
            parts.append(_part(kind, entry, path))
    if not parts:
        raise refusal(path, _WHAT, "at least one transform", "none")
    return chained(parts[::-1])


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write matrices, fields and B-splines, and chains of them."""
    h5py = library("h5py", "formats", path)
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    entries = [_entry(part, path, spaces) for part in parts[::-1]]
    if len(entries) > 1:
        entries.insert(0, ("CompositeTransform_double_3_3", None, None))
    with hdf5.created(path) as file:
        for name, value in (("ITKVersion", "5.3.0"), ("HDFVersion", h5py.version.hdf5_version)):
            file.create_dataset(name, (1,), h5py.string_dtype("ascii"), data=value)
        group = file.create_group("TransformGroup")
        for number, (kind, parameters, fixed) in enumerate(entries):
            entry = group.create_group(str(number))
            entry.create_dataset("TransformType", (1,), h5py.string_dtype("ascii"), data=kind)
            if parameters is not None:
                entry.create_dataset("TransformParameters", data=parameters)
                entry.create_dataset("TransformFixedParameters", data=fixed)


def _entry(part: Transform, path: Path, spaces: Spaces) -> tuple[str, Array | None, Array | None]:
    if isinstance(part, Affine):
        name, numbers = itk.parameters(part)
        return f"{name}_double_3_3", np.array(numbers), np.zeros(3)
    if isinstance(part, SplineField):
        c = part.coefficients_mm.astype(np.float64) * _FLIP.reshape(3, 1, 1, 1)
        return "BSplineTransform_double_3_3", c.ravel(), _geometry(part.lattice)
    if not isinstance(part, DisplacementField):
        raise cannot_hold(path, "matrices, fields and B-splines", part)
    from .axes import writable

    fixed = spaces.known("fixed")
    field = part.to_field(writable(part.grid if fixed is None else fixed))
    u = field.displacement_mm.astype(np.float64) * _FLIP.reshape(3, 1, 1, 1)
    return (
        "DisplacementFieldTransform_double_3_3",
        u.transpose(1, 2, 3, 0).ravel(),
        _geometry(field.grid),
    )


def _geometry(grid: Grid) -> Float64:
    """Return size, origin, spacing and direction, x first, LPS mm."""
    from .axes import writable

    grid = writable(grid)
    matrix = LPS @ file_affine(grid)
    spacing = np.array(grid.spacing_mm[::-1])
    return np.concatenate([grid.shape[::-1], matrix[:3, 3], spacing, (matrix[:3, :3] / spacing).ravel()])


def _part(kind: str, entry: Group, path: Path) -> Transform:
    parameters, fixed = (_numbers(entry, name, path) for name in ("Parameters", "FixedParameters"))
    if _FIELD.fullmatch(kind) or _SPLINE.fullmatch(kind):
        return _on_grid(kind, parameters, fixed.astype(np.float64), path)
    if max(len(parameters), len(fixed)) > itk.MAX_PARAMETERS:
        raise itk.unknown_kind(kind, path)
    return itk.transform(kind, parameters.tolist(), fixed.tolist(), path)


def _numbers(entry: Group, what: str, path: Path) -> Array:
    # ITK has misspelt the names for a time
    name = next((n for n in (f"Transform{what}", f"Tranform{what}") if n in entry), f"Transform{what}")
    values = entry.numbers(name) if name in entry else np.zeros(0)
    with np.errstate(invalid="ignore"):
        if values.ndim != 1 or not (np.abs(values) <= itk.MAX_NUMBER).all():
            raise refusal(path, _WHAT, f"a list of numbers up to {itk.MAX_NUMBER:g} in {name}", "others")
    return values


def _on_grid(kind: str, parameters: Array, fixed: Float64, path: Path) -> Transform:
    """Return a field or a B-spline."""
    if len(fixed) != 18:
        raise refusal(path, _WHAT, f"18 fixed parameters for {kind}", str(len(fixed)))
    size = [int(n) for n in fixed[:3]]
    if not np.array_equal(size, fixed[:3]) or min(size) < 1 or int(np.prod(size)) * 3 != len(parameters):
        raise refusal(path, _WHAT, f"3 parameters for each of {fixed[:3]} points", str(len(parameters)))
    matrix = np.eye(4)
    matrix[:3, :3] = fixed[9:].reshape(3, 3) * fixed[6:9]
    matrix[:3, 3] = fixed[3:6]
    grid = grid_of_file(size, LPS @ matrix, path)
    if _FIELD.fullmatch(kind):
        u = parameters.reshape(*grid.shape, 3) * _FLIP.astype(parameters.dtype)
        return displacement(u.transpose(3, 0, 1, 2), grid, path)
    c = parameters.reshape(3, *grid.shape) * _FLIP.reshape(3, 1, 1, 1)
    try:
        return SplineField(c, grid, spline_domain(grid))
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def spline_domain(lattice: Grid) -> Grid:
    """Return a grid over the part of a lattice where its spline is defined, four voxels to a cell."""
    cells = np.maximum(np.array(lattice.shape) - 3, 1)
    affine = lattice.affine.copy()
    affine[:3, :3] /= 4
    affine[:3, 3] = lattice.map_indices([[1, 1, 1]])[0]
    d, h, w = (int(n) * 4 + 1 for n in cells)
    return Grid((d, h, w), affine)
