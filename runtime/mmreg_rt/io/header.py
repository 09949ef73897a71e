"""NIfTI-1 and NIfTI-2 headers, read strictly: every field that decides what is read is checked.

Parsing precedes all other access to the file and allocates nothing but the header. Layout: nifti1.h and
nifti2.h of the NIfTI data format working group. nibabel, which writes files and holds images in memory, would
repair or accept what must be refused here, so it does not parse files.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry import MAX_VOXELS

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64

MAX_EXTENSION_BYTES = 1 << 26
MAX_AFFINE_MM = 1e12  # anything beyond is garbage, and its square may overflow

_MAGIC = {1: b"n+1\0", 2: b"n+2\0\r\n\x1a\n"}
_HEADER_BYTES = {1: 348, 2: 540}
_DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_NOT_SCALAR = {
    1: "1-bit", 32: "complex64", 128: "RGB", 1536: "float128", 1792: "complex128", 2048: "complex256",
    2304: "RGBA",
}  # fmt: skip
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (taken as mm, as usual), m, mm, micron


@dataclass(frozen=True)
class NiftiHeader:
    """A checked header. Affines map (i, j, k) of the file to RAS+ mm."""

    raw: bytes  # as in the file, 348 or 540 bytes
    version: int
    byte_order: str  # "<" or ">"
    dim: tuple[int, ...]  # as many as dim[0] says
    dtype: np.dtype[np.generic]  # in the byte order of the file
    vox_offset: int
    slope: float  # slope and inter are 1 and 0 where the header has no scaling
    inter: float
    intent_code: int
    intent_name: str
    intent_p1: float
    mm_per_unit: float
    spacing_mm: tuple[float, ...]  # along the first three axes, or two
    sform_code: int
    qform_code: int
    sform: Float64 | None
    qform: Float64 | None

    @property
    def voxel_bytes(self) -> int:
        """Number of bytes of the voxels."""
        return math.prod(self.dim) * self.dtype.itemsize

    @property
    def start(self) -> int:
        """Number of bytes up to the first extension, with the four that announce extensions."""
        return len(self.raw) + 4


def header_bytes(first_four: bytes, path: Path) -> tuple[int, str]:
    """Return version and byte order from ``sizeof_hdr``, the first four bytes of the file.

    Raises:
        InputError: It is not a NIfTI file.
    """
    if len(first_four) == 4:
        for order in "<>":
            (size,) = struct.unpack(order + "i", first_four)
            for version, header_size in _HEADER_BYTES.items():
                if size == header_size:
                    return version, order
    raise InputError(
        "MMREG_E_NIFTI_SIZEOF_HDR",
        f"{path} is not a NIfTI file: sizeof_hdr must be 348 or 540; found bytes {first_four.hex(' ')}. "
        "Convert the image to NIfTI.",
    )


def parse(raw: bytes, path: Path) -> NiftiHeader:
    """Parse and check the header of a file.

    Args:
        raw: First bytes of the file: 352, or 544 for NIfTI-2, or all if it has fewer.
        path: The file, for messages.

    Raises:
        InputError: A field cannot be used; the message names file, field and value.
        GeometryError: A field about the geometry cannot be used.
    """
    version, order = header_bytes(raw[:4], path)
    size = _HEADER_BYTES[version]
    if len(raw) < size + 4:
        raise InputError(
            "MMREG_E_NIFTI_HEADER_TRUNCATED",
            f"{path} ends after {len(raw)} bytes, inside its header of {size + 4}. Copy or download it "
            "again.",
        )
    field = _fields(raw, version, order)
    _check_magic(field, version, path)
    dim = _dims(field, path)
    dtype = _dtype(field, order, path)
    slope, inter = _scaling(field, path)
    unit = _unit(field, path)
    spacing = _spacing(field, dim, unit, path)
    with np.errstate(all="ignore"):  # values that are not finite are refused there
        sform, qform = _affines(field, unit, path)
    return NiftiHeader(
        raw[:size],
        version,
        order,
        dim,
        dtype,
        _vox_offset(field, size + 4, path),
        slope,
        inter,
        field.intent_code,
        field.intent_name.split(b"\0")[0].decode("latin-1").strip(),
        field.intent_p1,
        unit,
        spacing,
        field.sform_code,
        field.qform_code,
        sform,
        qform,
    )


def check_extensions(header: NiftiHeader, flag: bytes, block: bytes, path: Path) -> None:
    """Raise ``InputError`` unless the extensions, each with its size, fill the bytes before the voxels."""
    if not flag[0]:
        return
    fault = "no extension" if not block else ""
    at = 0
    while at < len(block) and not fault:
        (size,) = struct.unpack_from(header.byte_order + "i", block, at) if len(block) - at >= 8 else (0,)
        if size < 16 or size % 16 or at + size > len(block):
            fault = f"esize {size} at byte {header.start + at}, with {len(block) - at} bytes left"
        at += size
    if fault:
        raise InputError(
            "MMREG_E_NIFTI_EXTENSION",
            f"The header of {path} announces extensions, which must be multiples of 16 bytes up to "
            f"vox_offset {header.vox_offset}; found {fault}. Write the file again without extensions.",
        )


class _Fields(NamedTuple):
    """The fields that are read, each with its offset and ``struct`` format in NIfTI-1 and in NIfTI-2."""

    dim: Annotated[tuple[int, ...], (40, "8h"), (16, "8q")]
    intent_p1: Annotated[float, (56, "f"), (80, "d")]
    intent_code: Annotated[int, (68, "h"), (504, "i")]
    datatype: Annotated[int, (70, "h"), (12, "h")]
    bitpix: Annotated[int, (72, "h"), (14, "h")]
    pixdim: Annotated[tuple[float, ...], (76, "8f"), (104, "8d")]
    vox_offset: Annotated[float, (108, "f"), (168, "q")]
    scl_slope: Annotated[float, (112, "f"), (176, "d")]
    scl_inter: Annotated[float, (116, "f"), (184, "d")]
    xyzt_units: Annotated[int, (123, "B"), (500, "i")]
    qform_code: Annotated[int, (252, "h"), (344, "i")]
    sform_code: Annotated[int, (254, "h"), (348, "i")]
    quatern: Annotated[tuple[float, float, float], (256, "3f"), (352, "3d")]
    qoffset: Annotated[tuple[float, float, float], (268, "3f"), (376, "3d")]
    srow: Annotated[tuple[float, ...], (280, "12f"), (400, "12d")]
    intent_name: Annotated[bytes, (328, "16s"), (508, "16s")]
    magic: Annotated[bytes, (344, "4s"), (4, "8s")]


_LAYOUT = {name: kind.__metadata__ for name, kind in get_type_hints(_Fields, include_extras=True).items()}


def _fields(raw: bytes, version: int, order: str) -> _Fields:
    values: dict[str, Any] = {}  # as ``struct`` gives them
    for name, places in _LAYOUT.items():
        at, layout = places[version - 1]
        numbers = struct.unpack_from(order + layout, raw, at)
        values[name] = numbers[0] if len(numbers) == 1 else numbers
    return _Fields(**values)


def _check_magic(field: _Fields, version: int, path: Path) -> None:
    magic = field.magic
    if magic == _MAGIC[version]:
        return
    if magic[:3] in (b"ni1", b"ni2"):
        raise InputError(
            "MMREG_E_NIFTI_PAIR",
            f"{path} is the header of a .hdr/.img pair (magic {magic!r}), which is not supported. Convert "
            "the pair to one .nii.gz file.",
        )
    raise InputError(
        "MMREG_E_NIFTI_MAGIC",
        f"{path} is not a NIfTI-{version} file: magic must be {_MAGIC[version]!r}; found {magic!r}. "
        "Convert the image (Analyze 7.5 has no orientation) to NIfTI.",
    )


def _dims(field: _Fields, path: Path) -> tuple[int, ...]:
    count, *sizes = field.dim
    if not 2 <= count <= 7:
        raise InputError(
            "MMREG_E_NIFTI_DIM_COUNT",
            f"The header of {path} must have 2 to 7 dimensions; found dim[0] = {count}. Write the file "
            "again.",
        )
    dim = tuple(int(n) for n in sizes[:count])
    if min(dim) < 1 or math.prod(dim) > MAX_VOXELS:
        raise InputError(
            "MMREG_E_NIFTI_DIM",
            f"The dimensions of {path} must be at least 1 each and at most {MAX_VOXELS} voxels in all; found "
            f"dim = {' '.join(map(str, dim))}. Repair the header, or crop or resample the image.",
        )
    return dim


def _dtype(field: _Fields, order: str, path: Path) -> np.dtype[np.generic]:
    code, bits = field.datatype, field.bitpix
    if code in _NOT_SCALAR:
        raise InputError(
            "MMREG_E_NIFTI_DATATYPE_UNSUPPORTED",
            f"The voxels of {path} are {_NOT_SCALAR[code]} (datatype {code}); each must be one real number. "
            "Convert them, for instance to float32 magnitude or luminance.",
        )
    if code not in _DTYPES:
        raise InputError(
            "MMREG_E_NIFTI_DATATYPE",
            f"The header of {path} has the unknown datatype {code}. Write the file again.",
        )
    dtype: np.dtype[np.generic] = np.dtype(order + _DTYPES[code])
    if bits != 8 * dtype.itemsize:
        raise InputError(
            "MMREG_E_NIFTI_BITPIX",
            f"The header of {path} contradicts itself: datatype {code} has {8 * dtype.itemsize} bits a "
            f"voxel, bitpix is {bits}. Write the file again.",
        )
    return dtype


def _vox_offset(field: _Fields, first: int, path: Path) -> int:
    offset = field.vox_offset
    if (
        not math.isfinite(offset)
        or offset != int(offset)
        or not first <= offset <= first + MAX_EXTENSION_BYTES
    ):
        raise InputError(
            "MMREG_E_NIFTI_VOX_OFFSET",
            f"The voxels of {path} must start between byte {first} and {first + MAX_EXTENSION_BYTES}; found "
            f"vox_offset = {offset}. Write the file again.",
        )
    return int(offset)


def _scaling(field: _Fields, path: Path) -> tuple[float, float]:
    slope, inter = float(field.scl_slope), float(field.scl_inter)
    if slope == 0 or math.isnan(slope):  # nifti1.h: no scaling; nibabel writes NaN for it
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(inter)):
        raise InputError(
            "MMREG_E_NIFTI_SCALING",
            f"The intensity scaling of {path} must be finite; found scl_slope = {slope}, scl_inter = "
            f"{inter}. Repair the header.",
        )
    return slope, inter


def _unit(field: _Fields, path: Path) -> float:
    unit = field.xyzt_units & 7
    if unit not in _MM_PER_UNIT:
        raise GeometryError(
            "MMREG_E_NIFTI_UNITS",
            f"The unit of length of {path} must be metre, mm, micron or unknown (0 to 3); found xyzt_units = "
            f"{field.xyzt_units}. Repair the header.",
        )
    return _MM_PER_UNIT[unit]


def _spacing(field: _Fields, dim: tuple[int, ...], unit: float, path: Path) -> tuple[float, ...]:
    pixdim = field.pixdim[1 : 1 + min(3, len(dim))]
    spacing = tuple(s * unit for s in pixdim)
    if not all(1 / MAX_AFFINE_MM < s < MAX_AFFINE_MM for s in spacing):
        raise GeometryError(
            "MMREG_E_NIFTI_SPACING",
            f"The voxel spacing of {path} must be finite and above 0, in mm; found pixdim = "
            f"{' '.join(f'{s:g}' for s in pixdim)}. Repair the header.",
        )
    return spacing


def _affines(field: _Fields, unit: float, path: Path) -> tuple[Float64 | None, Float64 | None]:
    sform = qform = None
    if field.sform_code > 0:
        sform = np.eye(4)
        sform[:3] = unit * np.reshape(field.srow, (3, 4))
    if field.qform_code > 0:
        qform = np.eye(4)
        qform[:3, :3] = unit * _rotation(field.quatern, path) * _steps(field.pixdim)
        qform[:3, 3] = unit * np.array(field.qoffset)
    for name, form in (("sform", sform), ("qform", qform)):
        if form is not None and not (np.abs(form) < MAX_AFFINE_MM).all():
            raise GeometryError(
                "MMREG_E_NIFTI_AFFINE",
                f"The {name} of {path} must be finite, in mm; found "
                f"{' '.join(f'{v:g}' for v in form[:3].ravel())}. Repair the header.",
            )
    return sform, qform


def _steps(pixdim: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the steps along i, j, k; pixdim[0] = -1 reverses k (nifti1.h, method 2)."""
    return pixdim[1], pixdim[2], pixdim[3] * (-1 if pixdim[0] < 0 else 1)


def _rotation(quatern: tuple[float, float, float], path: Path) -> Float64:
    """Return the rotation of the unit quaternion (a >= 0, b, c, d) from the stored b, c, d (nifti1.h)."""
    b, c, d = quatern
    norm = math.sqrt(b * b + c * c + d * d)
    if not norm < 1 + 1e-3:
        raise GeometryError(
            "MMREG_E_NIFTI_QUATERNION",
            f"The qform of {path} must be a unit quaternion; found quatern = {b:g} {c:g} {d:g}. Repair the "
            "header.",
        )
    if norm * norm > 1 - 1e-7:  # half a turn: the rounding error left in a would tilt the image
        a, b, c, d = 0.0, b / norm, c / norm, d / norm
    else:
        a = math.sqrt(1 - norm * norm)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
