"""Reading and writing of images, transforms and points; LPS, axis flips and vector intents exist only here.

==================  ==========================================================================
``.nii``            NIfTI-1 or NIfTI-2, single file; voxels and header are kept
``.nii.gz``         NIfTI, compressed; or a displacement field as ITK and ANTs write it
``.nrrd``           NRRD, also labels of 3D Slicer (``.seg.nrrd``); ``.nhdr`` with a file beside it, read only
``.mha``            MetaImage; ``.mhd`` with a file beside it, read only
``.mgz``, ``.mgh``  MGH of FreeSurfer
``.png``, ``.tif``  pictures, with a spacing; ``.jpg``, read only
folders, ``.dcm``   DICOM series and multi-frame images of any name, read only
``.tfm``, ``.txt``  rigid or affine transform, or a chain of them, ITK text
``.mat``            rigid or affine transform as ANTs or FLIRT (FSL) writes it
``.h5``, ``.lta``   and more: transforms of other programs, see ``dialects``
``.csv``            points, ``x,y,z`` in RAS+ mm
==================  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import arguments
from ..errors import InputError
from ..geometry import Volume
from . import dialects
from .endings import FIELDS, READ, WRITTEN
from .spaces import Spaces

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt

    from ..geometry import Float64, Grid
    from ..transform import Transform
    from .nifti import Form
    from .spaces import Scan

    AnyPath = str | os.PathLike[str]

__all__ = [
    "as_volume",
    "is_planar",
    "read_image",
    "read_points",
    "read_transform",
    "write_image",
    "write_points",
    "write_transform",
]

_ADVICE = {
    (".jpg", ".jpeg"): "JPEG changes values. Choose .png or .tif.",
    (".nhdr", ".mhd"): "Choose .nrrd or .mha, which hold header and voxels in one file.",
    (".hdr", ".img", ".hdr.gz", ".img.gz"): "Convert the pair to one .nii.gz file (mri_convert).",
    (".dcm", ".ima", ".dicom"): "Give a DICOM file, or the folder of a series.",
    (".bmp", ".gif", ".npy", ".npz"): "It does not say how it lies in space. Save a picture as PNG; write an "
    "array as NIfTI with its affine (Volume.from_array).",
    (".fcsv", ".vtk", ".json", ".xlsx"): "Save the points as CSV: x,y,z in RAS+ mm.",
}  # fmt: skip


@arguments.checked(
    frame=arguments.or_none(lambda value, name: arguments.whole(value, name, -(2**31), 2**31)),
    prefer=arguments.or_none(arguments.one_of("sform", "qform")),
    grey=arguments.flag,
    series=arguments.or_none(arguments.text),
)
def read_image(
    path: AnyPath,
    *,
    frame: int | None = None,
    prefer: Form | None = None,
    spacing_mm: float | tuple[float, float] | None = None,
    grey: bool = False,
    series: str | None = None,
) -> Volume:
    """Read an image and its position in space.

    Args:
        path: A file with one of the endings of ``docs/files.md``, or a folder of DICOM.
        frame: Frame of a 4-D series, from 0.
        prefer: ``"sform"`` or ``"qform"``, for a header in which they disagree.
        spacing_mm: Size of the pixels of a picture (PNG, TIFF, JPEG), in mm: one number, or along x and y.
        grey: Convert a colour picture to its luminance.
        series: Series of a folder of DICOM with several: its number in the list of the error, or its UID.

    Returns:
        The image, ``(D, H, W)``, in the dtype of the file, or float if the header scales the voxels.

    Raises:
        InputError: The file cannot be read; code and message say why.

    Example:
        >>> write_image(Volume.from_array(np.zeros((4, 5, 6), np.uint8), np.eye(4)), "scan.nii.gz")
        >>> scan = read_image("scan.nii.gz")
        >>> scan.data.shape, scan.grid.spacing_mm
        ((4, 5, 6), (1.0, 1.0, 1.0))
    """
    from . import images

    known = image_path(path)
    spacing = _picture_spacing(spacing_mm, images.is_picture(known))
    return images.read(known, images.Choice(frame, prefer, spacing, grey, series))


def _picture_spacing(spacing_mm: object, picture: bool) -> tuple[float, float] | None:
    if spacing_mm is None:
        return None
    values = arguments.float64(spacing_mm, "spacing_mm", "MMREG_E_PICTURE_SPACING").ravel()
    if not picture or len(values) not in (1, 2) or not ((values > 0) & (values < float("inf"))).all():
        raise arguments.refused(
            "spacing_mm",
            "one or two numbers above 0 for a picture (PNG, TIFF, JPEG), and left out for other files",
            spacing_mm,
            "MMREG_E_PICTURE_SPACING",
        )
    return float(values[0]), float(values[-1])


@arguments.checked(volume=arguments.a("Volume"))
def write_image(volume: Volume, path: AnyPath) -> None:
    """Write an image in its own dtype, and in the format of its source with the header of that file.

    Args:
        volume: The image.
        path: Name of the file; its ending is the format.

    Raises:
        InputError: The file cannot be written; no partial file remains.

    Example:
        >>> write_image(Volume.from_array(np.zeros((4, 5)), np.eye(3)), "slice.nii")
        >>> read_image("slice.nii").grid.dims
        2
    """
    from . import images

    images.write(volume, supported(path, WRITTEN["image"], "an image"))


@arguments.checked(dialect=arguments.or_none(dialects.checked))
def read_transform(
    path: AnyPath,
    *,
    prefer: Form | None = None,
    dialect: str | None = None,
    fixed: Scan | None = None,
    moving: Scan | None = None,
) -> Transform:
    """Read a transform of fixed to moving points.

    Args:
        path: A displacement field (``.nii``, ``.nii.gz``), a matrix (``.tfm``, ``.txt``, ``.mat``) or a file
            of another program; docs/transforms.md lists them.
        prefer: ``"sform"`` or ``"qform"``, for the header of a field in which they disagree.
        dialect: Program that wrote a file of bare numbers: ``"fsl"``, ``"niftyreg"`` or ``"afni"``.
        fixed: Grid, image or path of the fixed scan, for dialects that count in its voxels.
        moving: The same for the moving scan.

    Returns:
        A ``DisplacementField``, ``Rigid``, ``Affine`` or ``Composite``, in RAS+ mm.

    Raises:
        InputError: The file cannot be read.
        TransformError: The file does not hold a transform that can be used.

    Example:
        >>> write_transform(Rigid(np.eye(4)), "identity.tfm")
        >>> type(read_transform("identity.tfm")).__name__
        'Rigid'
    """
    known = supported(path, READ["transform"], "a transform")
    return dialects.read(known, prefer, dialect, Spaces(fixed, moving, _grid_in))


@arguments.checked(
    transform=arguments.a("Transform"),
    planar=arguments.flag,
    dialect=arguments.or_none(dialects.checked),
)
def write_transform(
    transform: Transform,
    path: AnyPath,
    *,
    planar: bool = False,
    dialect: str | None = None,
    fixed: Scan | None = None,
    moving: Scan | None = None,
) -> None:
    """Write a transform, by default in the dialect that the name of the file ends in.

    Args:
        transform: A ``DisplacementField`` for ``.nii.gz`` or ``.nii``; a ``Rigid``, an ``Affine``, or a chain
            of these for ``.tfm``. ``.h5`` holds any.
        path: Name of the file.
        dialect: Program to write for, see docs/transforms.md.
        fixed: Grid, image or path of the fixed scan, for dialects that count in its voxels. A field is
            sampled on it.
        moving: The same for the moving scan.
        planar: Write the field of a single slice with two components, as ITK and ANTs need it in 2-D; see
            ``is_planar``.

    Raises:
        InputError: The file cannot be written; no partial file remains.
        TransformError: A file of this name cannot hold this kind of transform.
    """
    kinds = READ if dialect else WRITTEN
    known = supported(path, kinds["transform"], "a transform")
    if planar and known.name.lower().endswith(FIELDS):
        from . import field

        field.write(transform, known, planar)
    else:
        dialects.write(transform, known, dialect, Spaces(fixed, moving, _grid_in))


def _grid_in(path: Path) -> Grid:
    return read_image(path).grid


def as_volume(
    image: AnyPath | Volume | tuple[npt.ArrayLike, npt.ArrayLike] | object, name: str = "An image"
) -> Volume:
    """Convert an image in any accepted form to a ``Volume``.

    Args:
        image: A ``Volume``, a path, a nibabel image, or a pair of an array ``(D, H, W)`` or ``(H, W)`` and
            its affine (see ``Volume.from_array``).
        name: Name of the argument, for messages.

    Raises:
        InputError: It is none of these, or cannot be read.
    """
    from . import nifti

    if isinstance(image, Volume):
        return image
    if isinstance(image, (str, bytes)) or hasattr(image, "__fspath__"):
        return read_image(image)
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        return nifti.from_nibabel(image)
    if isinstance(image, tuple) and len(image) == 2:
        return Volume.from_array(*image)
    raise InputError(
        "MMREG_E_IMAGE_KIND",
        f"{name} must be a path, a Volume, a nibabel image or a pair (array, affine); found "
        f"{type(image).__name__}. Give an array with its affine.",
    )


@arguments.checked(volume=arguments.a("Volume"))
def is_planar(volume: Volume) -> bool:
    """Return whether the image was read from a 2-D file, which ITK and ANTs open as 2-D."""
    return bool(getattr(volume.source, "planar", False))


def read_points(path: AnyPath) -> Float64:
    """Read points ``(N, 3)``, RAS+ mm, from a CSV file with the columns ``x,y,z``.

    Raises:
        InputError: The file cannot be read as such a list.

    Example:
        >>> write_points([[1.0, 2.0, 3.0]], "points.csv")
        >>> read_points("points.csv")
        array([[1., 2., 3.]])
    """
    from . import points

    return points.read(supported(path, READ["points"], "points"))


def write_points(points_mm: npt.ArrayLike, path: AnyPath) -> None:
    """Write points ``(N, 3)``, RAS+ mm, as CSV with the columns ``x,y,z``; see ``read_points``.

    Raises:
        InputError: A point is not finite, or the file cannot be written.
    """
    from . import points

    points.write(points_mm, supported(path, WRITTEN["points"], "points"))


def image_path(path: AnyPath) -> Path:
    """Return the path of an image: of a supported ending, a DICOM file of any name, or a folder."""
    from . import images

    known = arguments.path(path, "The path of an image", "MMREG_E_PATH")
    return known if images.is_dicom(known) else supported(path, READ["image"], "an image")


def supported(path: AnyPath, suffixes: tuple[str, ...], what: str) -> Path:
    """Return the path, or raise unless it is a folder or its name has one of the endings."""
    from .foreign import refuse_dicom

    known = arguments.path(path, f"The path of {what}", "MMREG_E_PATH")
    name = known.name.lower()
    if not name:
        raise arguments.refused(f"The path of {what}", "the name of a file", path, "MMREG_E_PATH")
    if known.is_dir() or not name.endswith(suffixes):
        refuse_dicom(known)
    if known.is_dir() or name.endswith(suffixes):
        return known
    advice = next((advice for kinds, advice in _ADVICE.items() if name.endswith(kinds)), "Convert the file.")
    raise InputError(
        "MMREG_E_FORMAT_UNSUPPORTED",
        f"{known}: format not supported. The name of {what} must end in {', '.join(suffixes)}. {advice}",
    )
