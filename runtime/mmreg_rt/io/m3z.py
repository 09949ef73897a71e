"""Morphs of FreeSurfer (``.m3z``): for nodes on the fixed scan (atlas) the position in the moving one.

A compressed file, big-endian: version, nodes along x, y, z, their distance in voxels of the atlas and an
exponent; for each node, z fastest, the original position, the position and a node of the classifier; then
tags, of which 10 holds the geometries of source and atlas and 11 says whether positions are voxels (2) or
RAS mm (1) of the source.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from . import files
from .gunzip import DEFLATE_LIMIT, Gunzip
from .lta import VolumeGeometry
from .transform_file import MAX_NUMBER, displacement, grid_of_file, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64
    from ..transform import DisplacementField
    from .spaces import Spaces

GEOMETRY, KIND = 10, 11  # tags
RAS, VOXELS = 1, 2
_WHAT = "morph of FreeSurfer"
_HEADER, _NODE = struct.Struct(">f4if"), np.dtype([("from", ">f4", 3), ("to", ">f4", 3), ("node", ">i4", 3)])
_VOLUME = struct.Struct(">4i15f512x")


def read(path: Path, spaces: Spaces) -> DisplacementField:  # noqa: ARG001 (the file has its geometry)
    """Read a morph as a displacement at its nodes."""
    with files.open_regular(path) as stream:
        source = Gunzip(stream, path)
        header = source.read(_HEADER.size)
        version, *size, spacing, _ = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
        needed = int(np.prod(size, dtype=object)) * _NODE.itemsize
        most = files.size_of(stream) * DEFLATE_LIMIT
        if version != 1 or min(size) < 1 or spacing < 1 or needed > most:
            raise refusal(path, _WHAT, f"version 1 and nodes in {most} bytes", f"{version:g}, {size} nodes")
        raw = source.read(needed)
        tail = source.read(8 + 2 * _VOLUME.size + 8)
    if len(raw) != needed:
        raise refusal(path, _WHAT, f"{needed} bytes of nodes", str(len(raw)))
    nodes = np.frombuffer(raw, _NODE).reshape(size).transpose(2, 1, 0)
    to_moving, to_fixed, kind = _geometries(tail, path)
    grid = grid_of_file(size, to_fixed @ np.diag([spacing, spacing, spacing, 1.0]), path)
    positions = nodes["to"].astype(np.float64)
    if not (np.abs(positions) <= MAX_NUMBER).all():
        raise refusal(path, _WHAT, f"positions up to {MAX_NUMBER:g}", "others, or some that are not finite")
    unknown = int(((nodes["from"] == 0) & (nodes["to"] == 0)).all(axis=-1).sum())
    if unknown:
        raise TransformError(
            "MMREG_E_TRANSFORM_UNDEFINED",
            f"{path} has {unknown} nodes without a position, where the transform is undefined. Convert it "
            "with mri_warp_convert.",
        )
    if kind == VOXELS:
        positions = positions @ to_moving[:3, :3].T + to_moving[:3, 3]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    start = grid.map_indices(index.reshape(-1, 3)).reshape(positions.shape)
    return displacement((positions - start).transpose(3, 0, 1, 2), grid, path)


def _geometries(tail: bytes, path: Path) -> tuple[Float64, Float64, int]:
    """Return the affines of source and atlas, and the kind of positions."""
    if len(tail) < 4 + 2 * _VOLUME.size or struct.unpack(">i", tail[:4])[0] != GEOMETRY:
        raise refusal(path, _WHAT, "the geometry of both volumes after the nodes", "none")
    moving, fixed = (_volume(tail[4 + k * _VOLUME.size :], path) for k in (0, 1))
    rest = tail[4 + 2 * _VOLUME.size :]
    tag, kind = struct.unpack(">2i", rest[:8]) if len(rest) >= 8 else (KIND, VOXELS)
    if tag != KIND or kind not in (RAS, VOXELS):
        raise refusal(path, _WHAT, "positions in voxels or RAS mm", f"tag {tag}, {kind}")
    return moving, fixed, kind


def _volume(raw: bytes, path: Path) -> Float64:
    valid, *numbers = _VOLUME.unpack(raw[: _VOLUME.size])
    size, (spacing, *axes, centre) = np.array(numbers[:3], float), np.array(numbers[3:], float).reshape(5, 3)
    matrix = np.stack(axes, 1)
    if valid != 1 or not (np.abs(numbers) < 1e6).all() or abs(np.linalg.det(matrix)) < 1e-3:
        raise refusal(path, _WHAT, "a valid geometry", "one that is not")
    return VolumeGeometry(size, spacing, matrix, centre).to_ras()
