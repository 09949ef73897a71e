"""The planes of a DICOM image: where each frame lies, in which order, and the grid that they form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GeometryError, InputError
from ...geometry import Grid
from .. import axes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...geometry import Float64

SAME_COSINE, SAME_SPACING, SAME_PLACE_MM = 1e-3, 1e-3, 0.01
OFF_STEP = 0.05  # a slice may lie off an even spacing by this fraction of it
_TIME = ("TemporalPositionIndex", "TemporalPositionIdentifier", "StackID", "AcquisitionNumber",
         "DiffusionBValue", "EchoNumbers", "EchoTime", "TriggerTime", "AcquisitionTime", "ContentTime",
         "InstanceNumber")  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """One frame of one file."""

    file: int  # place of its file in the series
    frame: int  # from 0
    place: Float64  # (3,), LPS mm, of the first pixel
    rows: Float64  # (3,), direction along a row
    columns: Float64  # (3,), direction along a column
    spacing: tuple[float, float]  # mm, between rows, then between columns
    thickness: float
    slope: float
    inter: float
    order: tuple[float, ...]  # by which images at one place follow each other


def planes_of(dataset: Any, file: int, path: Path) -> list[Plane]:
    """Return the planes of a file.

    Raises:
        GeometryError: The file does not say where a frame lies.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    each = dataset.get("PerFrameFunctionalGroupsSequence")
    if count > 1 and (each is None or len(each) != count):
        raise GeometryError(
            "MMREG_E_DICOM_NO_GEOMETRY",
            f"{path} has {count} frames, and does not say where each lies (per-frame functional groups). "
            "Convert the image with dcm2niix, which knows older files of many vendors.",
        )
    if each is None:
        return [_plane(file, 0, [dataset], path)]
    return [_plane(file, frame, _groups(dataset, item, shared), path) for frame, item in enumerate(each)]


def _groups(dataset: Any, item: Any, shared: Any) -> list[Any]:
    """Return the datasets that may hold an attribute of a frame, the most specific first."""
    found = []
    for group in (item, shared):
        if group is not None:
            found += [element.value[0] for element in group if element.VR == "SQ" and len(element.value)]
    return [*found, dataset]


def _plane(file: int, frame: int, groups: list[Any], path: Path) -> Plane:
    def value(name: str) -> Any:
        return next((group[name].value for group in groups if group.get(name) is not None), None)

    def numbers(name: str, count: int) -> Float64:
        stated = value(name)
        try:
            array = np.array(stated, np.float64).ravel()
        except (TypeError, ValueError):
            array = np.array([])
        if len(array) != count or not np.isfinite(array).all():
            raise GeometryError(
                "MMREG_E_DICOM_NO_GEOMETRY",
                f"{path} must state {count} numbers for {name}; found {_words(stated)}. Give the original "
                "images of the scanner, or convert the series with dcm2niix.",
            )
        return array

    orientation, spacing = numbers("ImageOrientationPatient", 6), numbers("PixelSpacing", 2)
    rows, columns = orientation[:3], orientation[3:]
    square = np.array([rows @ rows - 1, columns @ columns - 1, rows @ columns])
    if not (np.abs(square) <= SAME_COSINE).all() or not (spacing > 0).all():
        raise GeometryError(
            "MMREG_E_DICOM_GEOMETRY",
            f"{path} must have two orthogonal directions of length 1 and a spacing above 0; found "
            f"ImageOrientationPatient {_words(orientation)} and PixelSpacing {_words(spacing)}. Export the "
            "series again.",
        )
    thickness = _number(value("SliceThickness"))
    slope, inter = _number(value("RescaleSlope")), _number(value("RescaleIntercept"))
    return Plane(
        file,
        frame,
        numbers("ImagePositionPatient", 3),
        rows,
        columns,
        (float(spacing[0]), float(spacing[1])),
        thickness if thickness > 0 else 1.0,
        1.0 if np.isnan(slope) else slope,
        0.0 if np.isnan(inter) else inter,
        tuple(0.0 if np.isnan(n) else n for n in (_number(value(name)) for name in _TIME)) + (float(frame),),
    )


def _number(value: Any) -> float:
    try:
        number = float(value[0] if isinstance(value, (list, tuple)) else value)
    except (TypeError, ValueError, LookupError):
        return float("nan")
    return number if abs(number) < 1e12 else float("nan")


def _words(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(f"{n:g}" for n in value[:8]) if isinstance(value, np.ndarray | tuple) else "other values"


def sorted_planes(planes: Sequence[Plane], where: Path) -> list[list[Plane]]:
    """Return the planes of each image of a series, ordered along the normal.

    Raises:
        InputError: The planes do not form images.
    """
    _check_alike(planes, where)
    first = planes[0]
    normal = np.cross(first.rows, first.columns)
    along = np.array([plane.place @ normal for plane in planes])
    order = np.argsort(along, kind="stable")
    breaks = np.flatnonzero(np.diff(along[order]) > SAME_PLACE_MM) + 1
    places = [[planes[i] for i in chunk] for chunk in np.split(order, breaks)]
    counts = {len(place) for place in places}
    if len(counts) > 1:
        raise InputError(
            "MMREG_E_DICOM_DUPLICATE",
            f"The {len(planes)} images of the series in {where} lie at {len(places)} places, between "
            f"{min(counts)} and {max(counts)} at each. Slices are missing or doubled: export it again.",
        )
    ordered = [sorted(place, key=lambda plane: plane.order) for place in places]
    return [list(image) for image in zip(*ordered, strict=True)]


def _check_alike(planes: Sequence[Plane], where: Path) -> None:
    first = planes[0]
    for plane in planes:
        turned = max(np.abs(plane.rows - first.rows).max(), np.abs(plane.columns - first.columns).max())
        if turned > SAME_COSINE:
            raise InputError(
                "MMREG_E_DICOM_MIXED",
                f"The images of the series in {where} do not lie parallel to each other (cosines differ by "
                f"{turned:.2g}), as with a localiser among them. Move the images of each orientation to a "
                "folder of their own.",
            )
        if not np.allclose(plane.spacing, first.spacing, rtol=SAME_SPACING):
            raise InputError(
                "MMREG_E_DICOM_MIXED",
                f"The images of the series in {where} differ in the spacing of their pixels: "
                f"{_words(first.spacing)} and {_words(plane.spacing)} mm. Move the images of each kind to a "
                "folder of their own.",
            )


def grid_of(image: Sequence[Plane], shape: tuple[int, int], where: Path) -> Grid:
    """Return the grid of ordered planes; that of a tilted gantry is sheared.

    Raises:
        GeometryError: The planes are not evenly spaced.
    """
    first, places = image[0], np.array([plane.place for plane in image])
    step = np.cross(first.rows, first.columns) * first.thickness
    if len(image) > 1:
        step = (places[-1] - places[0]) / (len(image) - 1)
        _check_even(places, step, where)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 3] = step, first.place
    affine[:3, 1], affine[:3, 2] = first.columns * first.spacing[0], first.rows * first.spacing[1]
    try:
        return Grid((len(image), *shape), axes.LPS @ affine)
    except GeometryError as reason:
        raise GeometryError(reason.code, f"{where}: {reason.args[0]}") from reason


def _check_even(places: Float64, step: Float64, where: Path) -> None:
    length = float(np.linalg.norm(step))
    apart = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(apart.min())
    if apart.max() >= 1.5 * usual and np.abs(apart / usual - np.rint(apart / usual)).max() < 2 * OFF_STEP:
        gap = int(np.argmax(apart))
        raise GeometryError(
            "MMREG_E_DICOM_MISSING_SLICE",
            f"The series in {where} has a gap of {apart[gap]:.4g} mm after slice {gap + 1} of "
            f"{len(places)}, where others are {usual:.4g} mm apart. A slice is missing: export it again.",
        )
    even = places[0] + np.outer(np.arange(len(places)), step)
    off = float(np.linalg.norm(places - even, axis=1).max())
    if off > OFF_STEP * length:
        raise GeometryError(
            "MMREG_E_DICOM_SPACING_VARIES",
            f"The slices of the series in {where} are not evenly spaced: between {apart.min():.4g} and "
            f"{apart.max():.4g} mm apart, up to {off:.3g} mm off an even spacing (limit "
            f"{OFF_STEP * length:.3g}). Resample them to even slices, for instance with dcm2niix, or give "
            "the part that is even.",
        )
