"""DICOM Spatial Registration and Deformable Spatial Registration (PS3.3 A.39), in LPS mm.

- A **Spatial Registration** has one item for each frame of reference, with matrices that map its points to
  the registered frame (C.20.2): from *moving to fixed*, the inverse of a transform here.
- A **Deformable** one maps points of the registered frame to the source: from *fixed to moving*,
  ``post (pre p + d(p))`` with displacements ``d`` on a grid (C.20.3.1.1). Where they are NaN the transform is
  undefined.

The registered frame is that of the fixed scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import MmregError, TransformError
from ..transform import Affine, fields
from . import files
from .dicom_reg_write import write
from .extras import library
from .transform_file import LPS, affine, as_matrix, chained, displacement, grid_of_file, inverted, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64
    from ..transform import DisplacementField, Transform
    from .spaces import Spaces

__all__ = ["read", "write"]

SPATIAL = "1.2.840.10008.5.1.4.1.1.66.1"
DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.3"
DEFLATED = ("1.2.840.10008.1.2.1.99",)
MAX_BYTES = 1 << 32
MAX_MATRICES = 64
_WHAT = "DICOM registration"
_FLIP = np.array([-1, -1, 1], np.float32).reshape(3, 1, 1, 1)


def read(path: Path, spaces: Spaces) -> Transform:  # noqa: ARG001 (in LPS mm)
    """Read a registration object."""
    pydicom = library("pydicom", "dicom", path)
    with files.open_regular(path) as stream:
        files.check_length(stream, path, MAX_BYTES)
        try:
            dataset = _dataset(pydicom, _Bounded(stream), path)
            return (
                _deformable(dataset, path) if dataset.SOPClassUID == DEFORMABLE else _spatial(dataset, path)
            )
        except MmregError:
            raise
        except Exception as reason:  # damage is reported by errors of many classes
            raise TransformError(
                "MMREG_E_DICOM_DAMAGED",
                f"{path} cannot be read as a DICOM registration: {type(reason).__name__}, "
                f"{str(reason)[:80]}. Copy or export it again.",
            ) from reason


class _Bounded:
    """A file of which no more is asked than it has: a buffered file first allocates what it is asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size = stream, files.size_of(stream)
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, count: int = -1) -> bytes:
        left = max(self._size - self._stream.tell(), 0)
        return self._stream.read(left if count < 0 else min(count, left))


def _dataset(pydicom: Any, stream: Any, path: Path) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that are checked below
        meta = pydicom.filereader.read_preamble(stream, False) and pydicom.filereader._read_file_meta_info(
            stream
        )
        if str(meta.get("TransferSyntaxUID", "")) in DEFLATED:
            raise refusal(path, _WHAT, "a data set that is not deflated", "a deflated one")
        stream.seek(0)
        dataset = pydicom.dcmread(stream)
        kind = str(dataset.get("SOPClassUID", ""))
    if kind not in (SPATIAL, DEFORMABLE):
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} is a DICOM file of class {kind[:64] or 'none'}; a transform is a Spatial or "
            "a Deformable Spatial Registration. Give such an object.",
        )
    return dataset


def _spatial(dataset: Any, path: Path) -> Transform:
    items = list(dataset.get("RegistrationSequence") or [])
    if not 1 <= len(items) <= 2:
        raise refusal(path, _WHAT, "one or two items in RegistrationSequence", str(len(items)))
    registered = str(dataset.get("FrameOfReferenceUID", ""))
    frames = [str(item.get("FrameOfReferenceUID", "")) for item in items]
    matrices = [_to_registered(item, path) for item in items]
    if len(items) == 1:
        return affine(inverted(matrices[0], path), path)
    fixed = _fixed_item(frames, matrices, registered)
    return affine(inverted(matrices[1 - fixed], path) @ matrices[fixed], path)


def _fixed_item(frames: list[str], matrices: list[Float64], registered: str) -> int:
    """Return which of two items is the fixed scan: that of the registered frame, else the unmoved one."""
    if frames[0] != frames[1] and registered in frames:
        return frames.index(registered)
    still = [bool(np.allclose(m, np.eye(4))) for m in matrices]
    return 1 if still == [False, True] else 0


def _to_registered(item: Any, path: Path) -> Float64:
    """Return the product of the matrices of an item, the first applied first, in RAS+."""
    steps = item.get("MatrixRegistrationSequence") or []
    matrix = np.eye(4)
    entries = [entry for step in steps for entry in step.get("MatrixSequence") or []]
    if not 1 <= len(entries) <= MAX_MATRICES:
        raise refusal(path, _WHAT, f"1 to {MAX_MATRICES} matrices for each frame", str(len(entries)))
    for entry in entries:
        matrix = _matrix(entry, path) @ matrix
    return matrix


def _matrix(entry: Any, path: Path) -> Float64:
    values = _floats(entry.get("FrameOfReferenceTransformationMatrix"), 16, path, "matrix")
    kind = str(entry.get("FrameOfReferenceTransformationMatrixType", ""))
    matrix = LPS @ as_matrix(values) @ LPS
    checked = affine(matrix, path)
    if kind == "RIGID" and type(checked) is Affine:
        raise refusal(path, _WHAT, "a rotation in a matrix marked RIGID", "another matrix")
    return _orthonormal(matrix) if kind == "RIGID" else matrix


def _orthonormal(matrix: Float64) -> Float64:
    """Undo the rounding of a rotation to the 16 characters of a decimal string."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    out: Float64 = matrix.copy()
    out[:3, :3] = left @ right
    return out


def _deformable(dataset: Any, path: Path) -> Transform:
    items = [item for item in dataset.get("DeformableRegistrationSequence") or [] if _grids(item)]
    if len(items) != 1:
        raise refusal(path, _WHAT, "one item with a deformation grid", str(len(items)))
    pre, post = (
        _single(items[0], f"{when}DeformationMatrixRegistrationSequence", path) for when in ("Pre", "Post")
    )
    field = _field(_grids(items[0])[0], pre, path)
    return field if np.array_equal(post, np.eye(4)) else chained([field, affine(post, path)])


def _grids(item: Any) -> list[Any]:
    return list(item.get("DeformableRegistrationGridSequence") or [])


def _single(item: Any, name: str, path: Path) -> Float64:
    entries = item.get(name) or []
    return _matrix(entries[0], path) if len(entries) else np.eye(4)


def _field(item: Any, pre: Float64, path: Path) -> DisplacementField:
    size = [int(n) for n in item.GridDimensions]
    resolution = _floats(item.GridResolution, 3, path, "GridResolution")
    orientation = np.array(_floats(item.ImageOrientationPatient, 6, path, "ImageOrientationPatient"))
    matrix = np.eye(4)
    row, column = orientation[:3], orientation[3:]
    matrix[:3, :3] = np.stack([row, column, np.cross(row, column)], 1) * resolution
    matrix[:3, 3] = _floats(item.ImagePositionPatient, 3, path, "ImagePositionPatient")
    raw = item.VectorGridData
    if len(size) != 3 or min(size) < 1 or len(raw) != 12 * int(np.prod(size, dtype=object)):
        raise refusal(path, _WHAT, f"12 bytes for each of {size} vectors", str(len(raw)))
    grid = grid_of_file(size, LPS @ matrix, path)
    d = np.frombuffer(raw, "<f4").reshape(*grid.shape, 3).transpose(3, 0, 1, 2) * _FLIP
    if np.array_equal(pre, np.eye(4)):
        return displacement(d, grid, path)
    offset: Float64 = (pre - np.eye(4)) @ grid.affine
    return displacement(fields.add_affine(np.ascontiguousarray(d), np.eye(3), offset[:3]), grid, path)


def _floats(values: Any, count: int, path: Path, what: str) -> list[float]:
    found = [float(v) for v in values or []]
    if len(found) != count or not (np.abs(found) <= 1e9).all():
        raise refusal(path, _WHAT, f"{count} finite numbers in {what}", str(found)[:60])
    return found
