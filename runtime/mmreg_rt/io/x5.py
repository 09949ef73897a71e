"""Transforms in X5, the HDF5 format drafted for BIDS (BEP 014), as NiTransforms writes it; experimental.

Groups ``TransformGroup/N`` hold transforms of fixed to moving points in RAS+ mm; the first is applied first.
A linear one is a matrix ``(4, 4)``, or several in time; a nonlinear one displacements ``(X, Y, Z, 3)`` on
the grid of its domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import TransformError
from ..transform import Affine, Composite, DisplacementField, Transform
from . import hdf5, hdf5_process
from .transform_file import affine, cannot_hold, chained, displacement, file_affine, grid_of_file, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from .hdf5 import Group
    from .spaces import Spaces

_WHAT = "X5 file"


def read(path: Path, spaces: Spaces) -> Transform:  # noqa: ARG001 (in RAS mm)
    """Read a transform or a chain."""
    return hdf5_process.read(path, "x5")


def parse(stream: BinaryIO, path: Path) -> Transform:
    """Read a transform or a chain in this process."""
    with hdf5.opened(stream, path) as file:
        if file.attribute("Format") != "X5":
            raise refusal(path, _WHAT, "the format X5", repr(file.attribute("Format"))[:40])
        entries = file.group("TransformGroup")
        names = entries.names()
        if not names or set(names) != {str(n) for n in range(len(names))}:
            raise refusal(path, _WHAT, "transforms numbered from 0", ", ".join(names)[:60] or "none")
        return chained([_part(entries.group(name), path) for name in sorted(names, key=int)])


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write matrices and fields, and chains of them."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    fixed = spaces.known("fixed")
    written = [
        p if isinstance(p, Affine) else p.to_field(g) if (g := fixed or p.default_grid()) else p
        for p in parts
    ]
    for part in written:
        if not isinstance(part, Affine | DisplacementField):
            raise cannot_hold(path, "matrices and fields", part)
    with hdf5.created(path) as file:
        file.attrs["Format"] = "X5"
        file.attrs["Version"] = np.uint16(1)
        group = file.create_group("TransformGroup")
        for number, part in enumerate(written):
            _write_part(group.create_group(str(number)), part)


def _write_part(entry: Any, part: Transform) -> None:
    entry.attrs["ArrayLength"] = 1
    if isinstance(part, Affine):
        entry.attrs["Type"], entry.attrs["SubType"] = "linear", "affine"
        entry.create_dataset("Transform", data=part.matrix)
        entry.create_dataset("DimensionKinds", data=np.array(["space"] * 3 + ["vector"], "S"))
        return
    assert isinstance(part, DisplacementField)
    entry.attrs["Type"], entry.attrs["SubType"] = "nonlinear", "densefield"
    entry.attrs["Representation"] = "displacements"
    entry.create_dataset("Transform", data=part.displacement_mm.transpose(3, 2, 1, 0))
    entry.create_dataset("DimensionKinds", data=np.array(["space"] * 3 + ["vector"], "S"))
    domain = entry.create_group("Domain")
    domain.create_dataset("Grid", data=np.uint8(1))
    domain.create_dataset("Size", data=np.array(part.grid.shape[::-1]))
    domain.create_dataset("Mapping", data=file_affine(part.grid))
    domain.attrs["Coordinates"] = "cartesian"


def _part(entry: Group, path: Path) -> Transform:
    kind, values = entry.attribute("Type"), entry.numbers("Transform")
    if kind == "linear":
        if values.size != 16 or not (np.abs(values) <= 1e9).all():
            raise refusal(path, _WHAT, "one finite matrix (4, 4)", f"shape {values.shape}")
        return affine(values.reshape(4, 4).astype(np.float64), path)
    representation = entry.attribute("Representation")
    if kind != "nonlinear" or representation not in ("displacements", "deformations"):
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} holds a transform of type {str(kind)[:40]!r}, {str(representation)[:40]!r}; supported "
            "are linear, and nonlinear displacements or deformations. Convert it with NiTransforms.",
        )
    domain = entry.group("Domain")
    size, mapping = domain.numbers("Size").ravel(), domain.numbers("Mapping")
    if mapping.shape != (4, 4) or tuple(values.shape) != (*(int(n) for n in size if abs(n) < 2**31), 3):
        raise refusal(path, _WHAT, "a domain that fits the vectors", f"{values.shape}, {mapping.shape}")
    grid = grid_of_file(values.shape[:3], mapping.astype(np.float64), path)
    u = values.transpose(3, 2, 1, 0)
    if representation == "deformations":
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        u = u - grid.map_indices(index).T.reshape(3, *grid.shape)
    return displacement(u, grid, path)
