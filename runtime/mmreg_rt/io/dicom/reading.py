"""A folder or a file of DICOM as images on one grid."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, MmregError
from ..stack import Source, Stack
from . import datasets, pixels, planes
from .datasets import is_dicom

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 100_000
_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory, DICOMDIR

__all__ = ["DicomSource", "is_dicom", "load"]


@dataclass(frozen=True)
class DicomSource(Source):
    """Where an image came from, to refer to it in one that is derived from it."""

    files: tuple[Path, ...] = ()  # of the planes, in their order
    references: tuple[tuple[str, ...], ...] = field(default=(), repr=False)  # class and instance of each


@dataclass(frozen=True)
class _File:
    path: Path
    header: Any
    size: int


def load(path: Path, series: str | None = None) -> Stack:
    """Read the images of one series.

    Args:
        path: A folder, a DICOMDIR, or a file.
        series: Which series of a folder: its number in the list of the error, or its SeriesInstanceUID.

    Raises:
        InputError: There is no series, or no choice among several; or its images do not fit together.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that break the standard in harmless ways
        try:
            return _stack(_found(path, series), path)
        except (MmregError, MemoryError, OSError):
            raise
        except Exception as reason:  # pydicom converts a value when it is first used, and may fail there
            raise datasets.damaged(path, type(reason).__name__) from reason


def _found(path: Path, series: str | None) -> list[_File]:
    if path.is_dir() or path.name.upper() == "DICOMDIR":
        folder = path if path.is_dir() else path.parent
        return _chosen(_by_series(folder), series, folder)
    return [_File(path, datasets.read(path, False), os.path.getsize(path))]


def _by_series(folder: Path) -> list[list[_File]]:
    """Return the images below a folder by series, ordered by series number."""
    groups: dict[str, list[_File]] = {}
    for path in _files_below(folder):
        header = datasets.read(path, False)
        if header.get("Rows") and header.get("Columns"):
            uid = str(header.get("SeriesInstanceUID", ""))
            groups.setdefault(uid, []).append(_File(path, header, os.path.getsize(path)))
    return [groups[uid] for uid in sorted(groups, key=lambda uid: (_series_number(groups[uid]), uid))]


def _files_below(folder: Path) -> Iterator[Path]:
    count = 0
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(base, name)
            if name.upper() != "DICOMDIR" and is_dicom(path):
                count += 1
                if count > MAX_FILES:
                    raise InputError(
                        "MMREG_E_DICOM_FOLDER",
                        f"{folder} holds more than {MAX_FILES} DICOM files. Give the folder of one study.",
                    )
                yield path


def _series_number(found: list[_File]) -> int:
    try:
        return int(found[0].header.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        return 0


def _chosen(groups: list[list[_File]], series: str | None, folder: Path) -> list[_File]:
    if not groups:
        raise InputError(
            "MMREG_E_FILE_IS_DIRECTORY",
            f"{folder} is a folder without DICOM images. Give the folder of a series, or the file inside it.",
        )
    if series is None and len(groups) == 1:
        return groups[0]
    for number, group in enumerate(groups, 1):
        if series in (str(number), str(group[0].header.get("SeriesInstanceUID", ""))):
            return group
    lines = "; ".join(f"{number}: {_in_words(group)}" for number, group in enumerate(groups, 1))
    raise InputError(
        "MMREG_E_DICOM_SERIES",
        f"{folder} holds {len(groups)} series, of which one must be chosen: {lines}. Choose series='1' to "
        f"series='{len(groups)}'.",
    )


def _in_words(group: list[_File]) -> str:
    """Describe a series without what may identify a patient."""
    header = group[0].header
    modality = "".join(c for c in str(header.get("Modality", "")) if c.isalnum())[:8] or "unknown modality"
    frames = sum(max(int(file.header.get("NumberOfFrames") or 1), 1) for file in group)
    number, size = _series_number(group), f"{header.Columns} x {header.Rows}"
    return f"{modality}, series number {number}, {frames} images of {size}"


def _stack(found: list[_File], where: Path) -> Stack:
    shapes = [pixels.check(file.header, file.path, file.size) for file in found]
    _check_one_kind(found, shapes, where)
    flat = [plane for at, file in enumerate(found) for plane in planes.planes_of(file.header, at, file.path)]
    images = planes.sorted_planes(flat, where)
    grid = planes.grid_of(images[0], shapes[0][1:], where)
    data = _values(found, shapes, images)
    first = [found[plane.file] for plane in images[0]]
    names = ("SOPClassUID", "SOPInstanceUID")
    references = tuple(tuple(str(file.header.get(name, "")) for name in names) for file in first)
    return Stack(data, grid, DicomSource(".dcm", files=tuple(f.path for f in first), references=references))


def _check_one_kind(found: list[_File], shapes: list[tuple[int, int, int]], where: Path) -> None:
    """Raise for images of different sizes or spaces, and for an image that is there twice."""
    if len({shape[1:] for shape in shapes}) > 1:
        sizes = ", ".join(sorted({f"{columns} x {rows}" for _, rows, columns in shapes}))
        raise InputError(
            "MMREG_E_DICOM_MIXED",
            f"The images of the series in {where} differ in size: {sizes}. Move the images of each size to a "
            "folder of their own.",
        )
    if len({str(file.header.get("FrameOfReferenceUID", "")) for file in found}) > 1:
        raise InputError(
            "MMREG_E_DICOM_MIXED",
            f"The images of the series in {where} have different frames of reference, so their positions "
            "cannot be compared. Move the images of each to a folder of their own.",
        )
    instances = {str(file.header.get("SOPInstanceUID", "")) for file in found}
    if len(instances) < len(found):
        raise InputError(
            "MMREG_E_DICOM_DUPLICATE",
            f"The series in {where} holds an image more than once: {len(found)} files, {len(instances)} "
            "different images (SOPInstanceUID). Remove the copies.",
        )


def _values(found: list[_File], shapes: list[tuple[int, int, int]], images: list[list[planes.Plane]]) -> Any:
    """Return ``(N, D, H, W)``, in the units of the scan."""
    places = {(p.file, p.frame): (n, d) for n, image in enumerate(images) for d, p in enumerate(image)}
    every = [plane for image in images for plane in image]
    out: Any = None
    for at, file in enumerate(found):
        stored = pixels.decoded(datasets.read(file.path, True), file.path, shapes[at])
        if out is None:
            kind = pixels.value_type(every, stored.dtype)
            out = np.empty((len(images), len(images[0]), *shapes[0][1:]), kind)
        elif pixels.value_type(every, stored.dtype) != out.dtype:
            raise datasets.damaged(file.path, "another type of pixel than in the files before it")
        for frame, plane in enumerate(stored):
            n, d = places[at, frame]
            out[n, d] = pixels.rescaled(plane, images[n][d], out.dtype)
    return pixels.narrowed(out)
