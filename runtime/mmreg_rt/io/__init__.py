"""Files in and out: images, transforms, points. The only place that knows LPS, axis flips and vector intents.

==================  ==========================================================================
``.nii``            NIfTI-1 or NIfTI-2, one file; voxels and header kept
``.nii.gz``         the same, compressed; or a displacement field in the dialect of ITK and ANTs
``.tfm``, ``.txt``  rigid, affine or a chain of them, ITK text
``.mat``            the same as ANTs writes it; read only
``.csv``            points, ``x,y,z`` in RAS+ mm
==================  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import arguments
from ..errors import InputError
from ..geometry import Volume

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt

    from ..geometry import Float64
    from ..transform import Transform
    from .nifti import Form

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

_NIFTI = (".nii", ".nii.gz")
_MATRIX = (".tfm", ".txt", ".mat")
_ADVICE = {
    (".nrrd", ".nhdr", ".mha", ".mhd"): "Convert the image to NIfTI with SimpleITK or 3D Slicer.",
    (".hdr", ".img", ".hdr.gz", ".img.gz"): "Convert the pair to one .nii.gz file (mri_convert).",
    (".dcm", ".ima", ".dicom"): "Convert the series to NIfTI with dcm2niix.",
    (".mgz", ".mgh"): "Convert the image to NIfTI with mri_convert.",
    (".h5", ".hdf5", ".x5"): "Convert it: a field to NIfTI with vectors (ITK), a matrix to .tfm.",
    (".lta", ".xfm"): "Convert it to an ITK .tfm with lta_convert.",
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy", ".npz"): "A picture does not say how it "
    "lies in space. Write it as NIfTI with its affine (Volume.from_array).",
    (".fcsv", ".vtk", ".json", ".xlsx"): "Save the points as CSV: x,y,z in RAS+ mm.",
}  # fmt: skip


@arguments.checked(
    frame=arguments.or_none(lambda value, name: arguments.whole(value, name, -(2**31), 2**31)),
    prefer=arguments.or_none(arguments.one_of("sform", "qform")),
)
def read_image(path: AnyPath, *, frame: int | None = None, prefer: Form | None = None) -> Volume:
    """The image in ``path``, as it lies in space.

    Args:
        path: A NIfTI file, ``.nii`` or ``.nii.gz``.
        frame: Which one of a series (4-D), counted from 0.
        prefer: ``"sform"`` or ``"qform"``, for a header in which they disagree.

    Returns:
        ``(D, H, W)`` in the dtype of the file; float where the header scales the voxels.

    Raises:
        InputError: The file cannot be read; ``code`` and message say what is wrong with it.
    """
    from . import nifti

    return nifti.read(_known(path, _NIFTI, "an image"), frame, prefer)


@arguments.checked(volume=arguments.a("Volume"))
def write_image(volume: Volume, path: AnyPath) -> None:
    """Write an image as ``.nii`` or ``.nii.gz``, in its own dtype, with the header it was read with.

    Raises:
        InputError: The file cannot be written; nothing is left behind.
    """
    from . import nifti

    nifti.write(volume, _known(path, _NIFTI, "an image"))


def read_transform(path: AnyPath, *, prefer: Form | None = None) -> Transform:
    """A transform of fixed to moving points, from a displacement field or a matrix file.

    Args:
        path: Of a displacement field (``.nii``, ``.nii.gz``) or a matrix (``.tfm``, ``.txt``, ``.mat``).
        prefer: ``"sform"`` or ``"qform"``, for the header of a field in which they disagree.

    Raises:
        InputError, TransformError: The file cannot be read as one.
    """
    from . import field, foreign, itk

    known = _known(path, (*_NIFTI, *_MATRIX), "a transform")
    if known.name.lower().endswith(_NIFTI):
        return field.read(known, prefer)
    foreign.refuse_matrix(known)
    return itk.read_mat(known) if known.suffix.lower() == ".mat" else itk.read_tfm(known)


@arguments.checked(transform=arguments.a("Transform"), planar=arguments.flag)
def write_transform(transform: Transform, path: AnyPath, *, planar: bool = False) -> None:
    """Write a displacement field as ``.nii.gz`` (or ``.nii``), a rigid or affine transform as ``.tfm``.

    Args:
        transform: A ``DisplacementField``; or a ``Rigid``, an ``Affine``, or a chain of these.
        path: Where to.
        planar: Write the field of one slice with two components, as ITK and ANTs want it in 2-D.
            ``is_planar`` tells whether an image is 2-D to them.

    Raises:
        InputError, TransformError: The kind of transform does not go with the name, or writing fails;
            nothing is left behind.
    """
    from . import field, itk

    known = _known(path, (*_NIFTI, ".tfm", ".txt"), "a transform")
    if known.name.lower().endswith(_NIFTI):
        field.write(transform, known, planar)
    else:
        itk.write_tfm(transform, known)


def as_volume(
    image: AnyPath | Volume | tuple[npt.ArrayLike, npt.ArrayLike] | object, name: str = "An image"
) -> Volume:
    """An image in any of the forms that one may have: a ``Volume``, a path, an image of nibabel, or an array
    ``(D, H, W)`` or ``(H, W)`` with its affine (see ``geometry``). ``name`` is that of the argument.

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
        f"{type(image).__name__}. Give an array together with its affine.",
    )


@arguments.checked(volume=arguments.a("Volume"))
def is_planar(volume: Volume) -> bool:
    """Whether the image was read from a file of two dimensions, which ITK and ANTs open as 2-D."""
    from . import nifti

    return isinstance(volume.source, nifti.NiftiSource) and len(volume.source.header.dim) == 2


def read_points(path: AnyPath) -> Float64:
    """Points ``(N, 3)``, RAS+ mm, from a CSV file with the columns ``x,y,z``."""
    from . import points

    return points.read(_known(path, (".csv",), "points"))


def write_points(points_mm: npt.ArrayLike, path: AnyPath) -> None:
    """Write points ``(N, 3)``, RAS+ mm, as CSV with the columns ``x,y,z``."""
    from . import points

    points.write(points_mm, _known(path, (".csv",), "points"))


def _known(path: AnyPath, suffixes: tuple[str, ...], what: str) -> Path:
    from .foreign import refuse_dicom

    known = arguments.path(path, f"The path of {what}", "MMREG_E_PATH")
    name = known.name.lower()
    if not name:
        raise arguments.refused(
            f"The path of {what}", "the name of a file, not a folder", path, "MMREG_E_PATH"
        )
    if known.is_dir() or not name.endswith(suffixes):
        refuse_dicom(known)
    if known.is_dir() or name.endswith(suffixes):
        return known
    advice = next((advice for kinds, advice in _ADVICE.items() if name.endswith(kinds)), "Convert the file.")
    raise InputError(
        "MMREG_E_FORMAT_UNSUPPORTED",
        f"{known}: format not supported. The name of {what} ends in {', '.join(suffixes)}. {advice}",
    )
