"""The dialects of transforms: which files of which programs are read and written, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import InputError, TransformError
from . import files, foreign
from .endings import FIELDS
from .spaces import Spaces

if TYPE_CHECKING:
    from pathlib import Path

    from ..transform import Transform
    from .nifti import Form

SCANNED_BYTES = 4096


@dataclass(frozen=True)
class Format:
    """One kind of file of a dialect.

    Attributes:
        endings: Endings of the names it is written under.
        module: Module in this package, with ``read``, ``write`` or the functions named below.
        words: What a file means and how it is converted, in a sentence.
        reader: Function of ``(path, spaces)``, or "" if it is recognised by ``field``.
        writer: Function of ``(transform, path, spaces)``, or "" if it is not written.
    """

    endings: tuple[str, ...]
    module: str
    words: str
    reader: str = "read"
    writer: str = "write"

    def read(self, path: Path, spaces: Spaces) -> Transform:
        """Read a file of this format."""
        transform: Transform = getattr(import_module(f".{self.module}", __package__), self.reader)(
            path, spaces
        )
        return transform

    def write(self, transform: Transform, path: Path, spaces: Spaces) -> None:
        """Write a file of this format."""
        getattr(import_module(f".{self.module}", __package__), self.writer)(transform, path, spaces)


_ITK_FIELD = Format(
    FIELDS,
    "field",
    "A displacement field of ITK or ANTs: vectors in mm along LPS, on the grid of the fixed scan, from fixed "
    "to moving points.",
    "",
    "write_for",
)
_ITK_TEXT = Format(
    (".tfm", ".txt"),
    "itk",
    "A matrix of ITK: fixed to moving points in LPS mm, about a centre; in a list the last is applied first.",
    "read_text",
    "write_text",
)
_ITK_HDF5 = Format(
    (".h5", ".hdf5"),
    "itk_h5",
    "Transforms of ITK in HDF5: fixed to moving points in LPS mm; of several the last is applied first.",
)
_ANTS_MAT = Format(
    (".mat",),
    "itk",
    "A matrix of ANTs (0GenericAffine.mat): fixed to moving points in LPS mm, about a centre. In a list of "
    "ANTs (-t warp -t affine) the points of the fixed scan go through the warp first.",
    "read_matlab",
    "write_matlab",
)
_FLIRT = Format(
    (".mat",),
    "fsl",
    "A FLIRT matrix: MOVING to FIXED points in scaled voxels of the two scans (x flipped if the affine has a "
    "positive determinant). It is inverted here.",
    "read_matrix",
    "write_matrix",
)
_FNIRT = Format(
    FIELDS,
    "fsl",
    "A field of FNIRT: for voxels of the fixed scan the displacement in scaled voxels, fixed to moving.",
    "",
    "write_field",
)
_ALADIN = Format(
    (".txt",),
    "niftyreg",
    "A matrix of reg_aladin: fixed to moving points in RAS mm.",
    "read_matrix",
    "write_matrix",
)
_NIFTYREG = Format(
    FIELDS,
    "niftyreg",
    "A transform of NiftyReg: for voxels of the fixed scan the position in the moving scan, RAS mm.",
    "",
    "write_field",
)
_SPM = Format(
    FIELDS,
    "spm",
    "A deformation of SPM: for voxels of the fixed scan the position in the moving one, RAS mm.",
    "",
)
_AFNI = Format(
    (".1d",), "afni", "A matrix of AFNI: fixed (base) to moving (source) points in DICOM order, LPS mm."
)
_LTA = Format(
    (".lta",),
    "lta",
    "An LTA of FreeSurfer: MOVING (src) to FIXED (dst) points, in the coordinates of its type. It is "
    "inverted here.",
)
_M3Z = Format(
    (".m3z",),
    "m3z",
    "A morph of FreeSurfer: for nodes on the fixed scan (atlas) the position in the moving one. Read only.",
    writer="",
)
_MINC = Format(
    (".xfm",), "minc", "A linear transform of MINC: MOVING to FIXED points in RAS mm. It is inverted here."
)
_ELASTIX = Format(
    (".txt",),
    "elastix",
    "A parameter file of elastix: fixed to moving points in LPS mm, after the initial transform it names.",
)
_X5 = Format((".x5",), "x5", "An X5 file: fixed to moving points in RAS mm, the first applied first.")
_DICOM = Format(
    (".dcm",),
    "dicom_reg",
    "A DICOM registration object, in LPS mm: a Spatial Registration maps MOVING to FIXED points (inverted "
    "here), a Deformable Spatial Registration fixed to moving points.",
)

DIALECTS: dict[str, tuple[Format, ...]] = {
    "itk": (_ITK_TEXT, _ITK_FIELD, _ITK_HDF5),
    "ants": (_ANTS_MAT, _ITK_FIELD, _ITK_HDF5),
    "slicer": (_ITK_TEXT, _ITK_HDF5, _ITK_FIELD),
    "fsl": (_FLIRT, _FNIRT),
    "freesurfer": (_LTA, _M3Z),
    "spm": (_SPM,),
    "niftyreg": (_ALADIN, _NIFTYREG),
    "afni": (_AFNI,),
    "elastix": (_ELASTIX,),
    "minc": (_MINC,),
    "x5": (_X5,),
    "dicom": (_DICOM,),
}
_BY_ENDING = {
    ".1d": _AFNI,
    ".h5": _ITK_HDF5,
    ".hdf5": _ITK_HDF5,
    ".x5": _X5,
    ".lta": _LTA,
    ".m3z": _M3Z,
    ".xfm": _MINC,
    ".dcm": _DICOM,
}


def read(path: Path, prefer: Form | None, dialect: str | None, spaces: Spaces) -> Transform:
    """Read a transform.

    Args:
        path: The file.
        prefer: Form to use where those of the header of a field disagree.
        dialect: Its dialect, for files that do not say; None recognises it.
        spaces: The fixed and the moving scan, for dialects that need them.
    """
    form = recognised(path, dialect)
    if form.reader:
        return form.read(path, spaces)
    from . import field

    return field.read(path, prefer, spaces)


def write(transform: Transform, path: Path, dialect: str | None, spaces: Spaces) -> None:
    """Write a transform in a dialect, or in the one of the ending of the name."""
    name = path.name.lower()
    known = (_ITK_TEXT, _ITK_FIELD, *_BY_ENDING.values()) if dialect is None else DIALECTS[dialect]
    form = next((f for f in known if f.writer and name.endswith(f.endings)), None)
    if form is None:
        endings = sorted({ending for f in known if f.writer for ending in f.endings})
        raise TransformError(
            "MMREG_E_TRANSFORM_DIALECT",
            f"{path.name}: a transform in the dialect {dialect or 'of its name'} must have a name that ends "
            f"in {', '.join(endings)}. Choose such a name, or another dialect.",
        )
    form.write(transform, path, spaces)


def recognised(path: Path, dialect: str | None = None) -> Format:
    """Return the format of a file, from its name and its first bytes.

    Raises:
        TransformError: It is a matrix that does not say which program wrote it, and no dialect is given.
        InputError: It cannot be opened.
    """
    name = path.name.lower()
    if name.endswith(FIELDS):
        return _ITK_FIELD
    with files.open_regular(path) as stream:
        head = stream.read(SCANNED_BYTES)
    found = _by_content(head, path) or next((f for e, f in _BY_ENDING.items() if name.endswith(e)), None)
    if dialect is None:
        if found is None:
            foreign.refuse_matrix(path)
        return found or (_ANTS_MAT if name.endswith(".mat") else _ITK_TEXT)
    forms = [form for form in DIALECTS[dialect] if form.reader]
    if found is None:
        found = next((form for form in forms if form in (_FLIRT, _ALADIN, _AFNI, _ANTS_MAT, _ITK_TEXT)), None)
    if found not in forms or found is None:
        raise TransformError(
            "MMREG_E_TRANSFORM_DIALECT",
            f"{path} is not in the dialect {dialect}. {found.words if found else 'It is not recognised.'} "
            "Leave the dialect out, or give the one of the program that wrote it.",
        )
    return found


def _by_content(head: bytes, path: Path) -> Format | None:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _X5 if path.name.lower().endswith(".x5") else _ITK_HDF5
    if head[128:132] == b"DICM":
        return _DICOM
    text = head.decode("latin-1")
    if text.startswith("#Insight Transform File"):
        return _ITK_TEXT
    if text.startswith("MNI Transform File"):
        return _MINC
    program = foreign.program(text)
    return {"elastix": _ELASTIX, "freesurfer": _LTA}.get(program)


def checked(value: object, name: str) -> str:
    """Check the name of a dialect."""
    if value not in DIALECTS:
        raise InputError(
            "MMREG_E_TRANSFORM_DIALECT",
            f"{name} must be one of {', '.join(DIALECTS)}; found {str(value)[:40]!r}. Choose one of them.",
        )
    return str(value)
