"""NIfTI images: a file of shape (X, Y, Z) becomes data ``(Z, Y, X)``, with the affine's columns to match.

Voxels are read only after ``header`` has checked every field that locates them, and in pieces, so a header
that announces more than the file holds costs nothing.
"""

from __future__ import annotations

import gzip
import io
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry import Grid, Volume
from . import axes, files, voxels
from .gunzip import Gunzip
from .header import NiftiHeader, check_extensions, header_bytes, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nibabel.nifti1 import Nifti1Header
    from nibabel.spatialimages import SpatialImage

    from ..geometry import Array, Float64

    Form = Literal["sform", "qform"]

VECTOR, DISPVECT = 1007, 1006  # NIFTI_INTENT_VECTOR, NIFTI_INTENT_DISPVECT
FORMS_AGREE_VOX = 0.1  # sform and qform may differ by rounding, up to this fraction of a voxel
# Difference of pixdim, which ITK uses, from the columns of the affine: in voxels at the far end of an axis,
# taken to be at least SHORTEST_AXIS_VOX away.
SPACING_AGREES_VOX, SHORTEST_AXIS_VOX = 0.1, 10


@dataclass(frozen=True)
class NiftiSource:
    """Header data that a volume keeps from its file, to write the same header again."""

    header: NiftiHeader
    extensions: bytes
    grid: Grid

    @property
    def planar(self) -> bool:
        """Return whether ITK and ANTs open the file as 2-D."""
        return len(self.header.dim) == 2


@dataclass(frozen=True)
class NiftiFile:
    """A whole file: header, extensions, voxels."""

    header: NiftiHeader
    extensions: bytes
    voxels: bytearray

    def array(self) -> Array:
        """Return the voxels in file order, slowest axis first, in native byte order."""
        stored = np.frombuffer(self.voxels, self.header.dtype).reshape(self.header.dim[::-1])
        native: Array = stored.astype(self.header.dtype.newbyteorder("="), copy=False)
        return native


def read(path: Path, frame: int | None, prefer: Form | None) -> Volume:
    """Read an image, or one frame of a series; ``prefer`` chooses between forms that disagree."""
    file = load(path)
    refuse_field(file.header, path)
    grid = grid_of(file.header, path, prefer)
    data = _one_frame(file, path, frame).reshape(grid.shape)
    return Volume(scaled(data, file.header), grid, NiftiSource(file.header, file.extensions, grid))


def refuse_field(header: NiftiHeader, path: Path) -> None:
    """Raise ``InputError`` for a file of vectors instead of an image."""
    if header.intent_code in (VECTOR, DISPVECT) and len(header.dim) == 5:
        raise InputError(
            "MMREG_E_NIFTI_IS_FIELD",
            f"{path} holds vectors (intent {header.intent_code}), not an image. Read it as a transform "
            "(read_transform).",
        )


def from_nibabel(image: SpatialImage) -> Volume:
    """Convert a nibabel image, with its header if that is NIfTI."""
    data, affine = np.asanyarray(image.dataobj), image.affine
    if affine is None or data.ndim < 2 or data.size != int(np.prod(data.shape[:3])):
        raise InputError(
            "MMREG_E_NIBABEL_IMAGE",
            f"An image needs an affine and two or three axes; found shape {data.shape}, affine {affine}. "
            "Select one frame with image.slicer, or give an array and its affine.",
        )
    sizes = (*data.shape, 1)[:3]
    if hasattr(image.header, "get_xyzt_units"):
        source = _source_of(image, affine)
        return Volume(data.reshape(sizes).T, source.grid, source if data.ndim < 4 else None)
    return Volume(data.reshape(sizes).T, Grid((sizes[2], sizes[1], sizes[0]), affine[:, axes.ZYX]))


def _source_of(image: SpatialImage, affine: Float64) -> NiftiSource:
    """Return the header that nibabel would save, with the affine in memory, checked like that of a file."""
    from nibabel.nifti1 import Nifti1Image
    from nibabel.nifti2 import Nifti2Image

    second = int(image.header["sizeof_hdr"]) == 540
    kept = (Nifti2Image if second else Nifti1Image)(image.dataobj, affine, image.header).header
    kept["vox_offset"] = len(kept.binaryblock) + 4
    kept["magic"] = kept.single_magic
    extensions = io.BytesIO()
    kept.extensions.write_to(extensions, kept.endianness != np.dtype("i2").newbyteorder("=").str[0])
    path = Path("the nibabel image")
    header = parse(kept.binaryblock + bytes(4), path)
    return NiftiSource(header, extensions.getvalue(), grid_of(header, path, None))


def write(volume: Volume, path: Path) -> None:
    """Write an image with the header it was read with, or a new one, and the geometry of its grid."""
    source = volume.source if isinstance(volume.source, NiftiSource) else None
    grid = axes.writable(volume.grid)
    data = storable(volume.data, source.header.byte_order if source else "<")
    header = _source_header(grid, source) if source else new_header(grid.shape)
    if source is None or source.grid != grid:
        set_grid(header, grid)
        for name in ("dim_info", "slice_code", "slice_start", "slice_end", "slice_duration"):
            header[name] = 0  # they describe how the other grid was scanned
    if header.get_data_dtype() != data.dtype:
        header["cal_min"] = header["cal_max"] = 0  # they were the display window of another image
    header.set_data_dtype(data.dtype)
    save(header, source.extensions if source else b"", data, path)


def load(path: Path) -> NiftiFile:
    """Read header, extensions and voxels of a file, each checked before the next is read."""
    with opened(path) as (header, extensions, source):
        return NiftiFile(header, extensions, voxels.read(source, _block(header), path))


@contextmanager
def opened(path: Path) -> Iterator[tuple[NiftiHeader, bytes, files.ByteStream]]:
    """Read header and extensions of a file, and leave the stream at its first voxel."""
    compressed = path.name.lower().endswith(".gz")
    with files.open_regular(path) as stream:
        magic = stream.read(2)
        _check_compression(magic, compressed, path)
        stream.seek(0)
        source: files.ByteStream = Gunzip(stream, path) if compressed else stream
        first = source.read(4)
        version, _ = header_bytes(first, path)
        head = first + source.read({1: 348, 2: 540}[version])
        header = parse(head, path)
        block = _block(header)
        voxels.check_room(block, path, files.size_of(stream), compressed)
        extensions = source.read(header.vox_offset - header.start)
        if not compressed:
            voxels.check_written(stream, block, path)
        check_extensions(header, head[-4:], extensions, path)
        yield header, extensions, source


def frames(path: Path) -> Iterator[Array]:
    """Yield the images of a file in its units, each of three axes, while no more than one is in memory."""
    with opened(path) as (header, _, source):
        whole, shape = _block(header), (*header.dim, 1)[:3][::-1]
        size = int(np.prod(shape)) * header.dtype.itemsize
        for start in range(0, whole.count, size):
            one = voxels.Block(whole.start + start, size, whole.stated)
            stored = np.frombuffer(voxels.exactly(source, one, path), header.dtype).reshape(shape)
            yield scaled(stored.astype(header.dtype.newbyteorder("="), copy=False), header)
        voxels.check_end(source, whole, path)


def _block(header: NiftiHeader) -> voxels.Block:
    stated = f"dim {_numbers(header.dim)}, {header.dtype.name}"
    return voxels.Block(header.vox_offset, header.voxel_bytes, stated)


def grid_of(header: NiftiHeader, path: Path, prefer: Form | None) -> Grid:
    """Return the grid of a header; ``prefer`` chooses between forms that disagree."""
    grid = axes.grid_of(header.dim, _with_normal(_chosen_form(header, path, prefer), header), path)
    spacing = grid.spacing_mm[::-1][: len(header.spacing_mm)]
    length_vox = np.maximum(np.array(header.dim[: len(spacing)]) - 1, SHORTEST_AXIS_VOX)
    if not (np.abs(np.divide(spacing, header.spacing_mm) - 1) * length_vox <= SPACING_AGREES_VOX).all():
        raise GeometryError(
            "MMREG_E_NIFTI_SPACING_DISAGREES",
            f"The header of {path} contradicts itself: the spacing is {_numbers(header.spacing_mm)} mm by "
            f"pixdim and {_numbers(spacing)} mm by the affine, which differ by more than "
            f"{SPACING_AGREES_VOX:g} voxels at the end of an axis, and programs differ in which they use. "
            "Repair the header.",
        )
    return grid


def new_header(shape: tuple[int, ...]) -> Nifti1Header:
    """Return a nibabel header for an array ``(Z, Y, X)``: NIfTI-1, or NIfTI-2 if an axis is too long."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    header = Nifti1Header() if max(shape) < 2**15 else Nifti2Header()
    header.set_data_shape(shape[::-1])
    return header


def raw_header(raw: bytes, version: int, order: str) -> Nifti1Header:
    """Return a header as nibabel reads it, with all its fields."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti1Header if version == 1 else Nifti2Header
    return kind(raw, endianness=order, check=False)


def set_grid(header: Nifti1Header, grid: Grid) -> None:
    """Write the affine as sform and qform, in mm, with their previous codes or 1, "scanner"."""
    affine = grid.affine[:, axes.ZYX]
    header.set_sform(affine, int(header["sform_code"]) or 1)
    header.set_qform(affine, int(header["qform_code"]) or 1)
    header.set_xyzt_units(2, int(header["xyzt_units"]) & 0x38)


def save(header: Nifti1Header, extensions: bytes, data: Array | Iterable[Array], path: Path) -> None:
    """Write the file, whole or not at all; ``data`` may come image by image."""
    start = len(header.binaryblock) + 4
    header["vox_offset"] = start + len(extensions)
    header["scl_slope"], header["scl_inter"] = 1, 0
    head = header.binaryblock + struct.pack("4B", bool(extensions), 0, 0, 0) + extensions
    with files.atomic_write(path) as stream:
        if path.name.lower().endswith(".gz"):  # level 1, no time stamp: fast, and the same bytes every time
            with gzip.GzipFile("", "wb", 1, stream, mtime=0) as compressed:
                _write_all(compressed, head, data)
        else:
            _write_all(stream, head, data)


def _write_all(stream: BinaryIO | gzip.GzipFile, head: bytes, data: Array | Iterable[Array]) -> None:
    files.write_all(stream, head)
    for part in (data,) if isinstance(data, np.ndarray) else data:
        files.write_all(stream, np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)


def _check_compression(magic: bytes, compressed: bool, path: Path) -> None:
    if (magic == b"\x1f\x8b") != compressed:
        content = "is not compressed" if compressed else "is compressed by gzip"
        raise InputError(
            "MMREG_E_FILE_EXTENSION",
            f"The content of {path} {content}, contrary to its name. Rename it to end in "
            f"{'.nii' if compressed else '.nii.gz'}.",
        )


def _one_frame(file: NiftiFile, path: Path, frame: int | None) -> Array:
    array, dim = file.array(), file.header.dim
    frames = int(np.prod(dim[3:], dtype=np.int64))
    if frame is None and frames > 1:
        raise InputError(
            "MMREG_E_NIFTI_FRAMES",
            f"{path} holds {frames} frames or channels (dim {_numbers(dim)}); one must be selected. Choose "
            f"frame=0 to frame={frames - 1}.",
        )
    if frame is not None and not 0 <= frame < frames:
        raise InputError(
            "MMREG_E_NIFTI_FRAMES", f"{path} has frames 0 to {frames - 1}; frame {frame} was requested."
        )
    chosen: Array = array.reshape(frames, -1)[frame or 0]
    return chosen


def scaled(data: Array, header: NiftiHeader) -> Array:
    """Apply the intensity scaling of the header."""
    if (header.slope, header.inter) == (1.0, 0.0):
        return data
    exact = np.float32 if data.dtype.itemsize <= 2 or data.dtype == np.float32 else np.float64
    with np.errstate(all="ignore"):  # overflow becomes infinite, which callers that need finite voxels refuse
        values: Array = data.astype(exact) * exact(header.slope) + exact(header.inter)
    return values


def _chosen_form(header: NiftiHeader, path: Path, prefer: Form | None) -> Float64:
    forms = {"sform": header.sform, "qform": header.qform}
    valid = [form for name, form in forms.items() if form is not None and prefer in (None, name)]
    if not valid:
        raise GeometryError(
            "MMREG_E_NIFTI_NO_ORIENTATION",
            f"The header of {path} has no orientation ({prefer or 'sform and qform'} code 0), and programs "
            "differ in what they then assume. Write the file again with its orientation, if possible from "
            "the scanner's own data (nibabel.Nifti1Image.set_sform).",
        )
    if len(valid) == 2:
        _check_forms_agree(valid[0], valid[1], header, path)
    return valid[0]


def _check_forms_agree(sform: Float64, qform: Float64, header: NiftiHeader, path: Path) -> None:
    last = np.array((*header.dim, 1)[:3]) - 1
    corners = np.c_[np.array([*np.ndindex(2, 2, 2)]) * last, np.ones(8)]
    apart = np.linalg.norm(corners @ (sform - qform)[:3].T, axis=1).max()
    limit = FORMS_AGREE_VOX * min(header.spacing_mm)
    if not apart <= limit:
        raise GeometryError(
            "MMREG_E_NIFTI_FORMS_DISAGREE",
            f"The two orientations in the header of {path} disagree: sform and qform differ by {apart:.3g} "
            f"mm (limit {limit:.3g}), so ITK and nibabel would read different images. Choose prefer='sform' "
            "or prefer='qform', or make them equal.",
        )


def _with_normal(affine: Float64, header: NiftiHeader) -> Float64:
    """Fill the third column, which a 2-D header may leave 0: the slice is then 1 mm thick, as in ITK."""
    if len(header.dim) > 2 or affine[:3, 2].any():
        return affine
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    full: Float64 = affine.copy()
    full[:3, 2] = normal / (float(np.linalg.norm(normal)) or 1.0)
    return full


def _source_header(grid: Grid, source: NiftiSource) -> Nifti1Header:
    """Return the header of the source for an image on ``grid``."""
    header = raw_header(source.header.raw, source.header.version, source.header.byte_order)
    x, y, z = grid.shape[::-1]
    header.set_data_shape((x, y) if len(source.header.dim) == 2 and z == 1 else (x, y, z))
    return header


def storable(data: Array, order: str) -> Array:
    """Convert the data to a type that NIfTI has, which lacks bool, half and long double."""
    kind = {"?": "u1", "e": "f4", "g": "f8"}.get(data.dtype.char, data.dtype.str[1:])
    return data.astype(order + kind, copy=False)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{v:g}" for v in values)
