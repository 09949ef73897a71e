"""Writing of DICOM registration objects: the modules of PS3.3 A.39 with references to both scans."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..geometry import Grid, Volume
from ..transform import Affine, Rigid
from . import files
from .extras import library
from .transform_file import LPS, chained, field_of, file_affine, needs_grid

if TYPE_CHECKING:
    from ..geometry import Float64
    from ..transform import Transform
    from .spaces import Scan, Spaces

MAX_INSTANCES = 10000
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_FLIP = np.array([-1, -1, 1], np.float32)


@dataclass(frozen=True)
class _Reference:
    """A DICOM series: one of its data sets, and class and instance of each."""

    first: Any
    instances: tuple[tuple[str, str], ...]

    @property
    def frame(self) -> str:
        return str(self.first.FrameOfReferenceUID)


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a rigid or affine transform as Spatial Registration, any other as Deformable.

    ``spaces`` must name the DICOM files or folders of both scans, whose patient, study and frames of
    reference the object takes. A field lies on its own grid.
    """
    pydicom = library("pydicom", "dicom", path)
    fixed, moving = (_reference(pydicom, scan, which, path) for scan, which in
                     ((spaces.fixed, "fixed"), (spaces.moving, "moving")))  # fmt: skip
    parts = getattr(transform, "parts", (transform,))
    single = chained(parts)
    dataset = _new(pydicom, fixed, moving, isinstance(single, Affine))
    if isinstance(single, Affine):
        dataset.RegistrationSequence = _matrix_items(pydicom, single, fixed, moving)
    else:
        dataset.DeformableRegistrationSequence = [_grid_item(pydicom, transform, moving, path)]
    with files.atomic_write(path) as stream:
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)


def _reference(pydicom: Any, scan: Scan | None, which: str, path: Path) -> _Reference:
    if scan is None or isinstance(scan, Grid | Volume):
        raise InputError(
            "MMREG_E_TRANSFORM_NEEDS_SCAN",
            f"{path}: a DICOM registration refers to the series of both scans; the {which} one is missing. "
            f"Give its DICOM file or folder (--{which}, {which}=).",
        )
    found = []
    for file in _files(Path(scan)):
        try:
            with open(file, "rb") as stream:
                found.append(pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_tags()))
        except Exception:  # noqa: S112, BLE001 (other files may lie in the folder)
            continue
    found = [dataset for dataset in found if dataset.get("FrameOfReferenceUID")]
    frames = {str(dataset.FrameOfReferenceUID) for dataset in found}
    if len(frames) != 1:
        raise InputError(
            "MMREG_E_DICOM_FRAMES",
            f"{scan}: the DICOM files of the {which} scan must share one frame of reference; found "
            f"{len(frames)}. Give the folder of one series.",
        )
    instances = tuple((str(d.SOPClassUID), str(d.SOPInstanceUID)) for d in found)
    return _Reference(found[0], instances)


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return sorted(Path(entry.path) for entry in os.scandir(place) if entry.is_file())[:MAX_INSTANCES]


def _tags() -> list[str]:
    return [*_PATIENT, *_STUDY, "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]


def _new(pydicom: Any, fixed: _Reference, moving: _Reference, spatial: bool) -> Any:
    """Return an object with all modules but that of the transform."""
    import datetime
    from importlib.metadata import version

    uid = pydicom.uid.generate_uid
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.66.{1 if spatial else 3}"
    dataset.SOPInstanceUID = uid()
    for name in (*_PATIENT, *_STUDY):
        setattr(dataset, name, fixed.first.get(name, ""))
    now = datetime.datetime.now()
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.InstanceNumber = uid(), 1, 1
    dataset.Modality, dataset.Laterality = "REG", ""
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = now.strftime("%H%M%S")
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = fixed.frame, ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "mmreg_rt", "mmreg"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", version("mmreg-rt")
    dataset.ContentLabel, dataset.ContentDescription = "REGISTRATION", "Image registration"
    dataset.ContentCreatorName = ""
    _refer(pydicom, dataset, fixed, moving)
    return dataset


def _refer(pydicom: Any, dataset: Any, fixed: _Reference, moving: _Reference) -> None:
    """Add the Common Instance Reference module."""
    study = str(dataset.StudyInstanceUID)
    own: list[tuple[_Reference, Any]] = []
    others: list[tuple[_Reference, Any]] = []
    for reference in (fixed, moving):
        series = pydicom.Dataset()
        series.SeriesInstanceUID = reference.first.SeriesInstanceUID
        series.ReferencedInstanceSequence = _instances(pydicom, reference)
        (own if str(reference.first.get("StudyInstanceUID", "")) == study else others).append(
            (reference, series)
        )
    seen: dict[str, Any] = {}
    for _, series in own:
        seen.setdefault(str(series.SeriesInstanceUID), series)
    dataset.ReferencedSeriesSequence = list(seen.values())
    if others:
        item = pydicom.Dataset()
        item.StudyInstanceUID = others[0][0].first.StudyInstanceUID
        item.ReferencedSeriesSequence = [series for _, series in others]
        dataset.StudiesContainingOtherReferencedInstancesSequence = [item]


def _instances(pydicom: Any, reference: _Reference) -> list[Any]:
    items = []
    for kind, instance in reference.instances:
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, instance
        items.append(item)
    return items


def _matrix_items(pydicom: Any, single: Affine, fixed: _Reference, moving: _Reference) -> list[Any]:
    """Return the items of both frames: the fixed one unmoved, and the moving one mapped to it."""
    back = LPS @ np.linalg.inv(single.matrix) @ LPS
    kind = "RIGID" if isinstance(single, Rigid) else "AFFINE"
    items = []
    for reference, matrix, name in ((fixed, np.eye(4), "RIGID"), (moving, back, kind)):
        item = pydicom.Dataset()
        item.FrameOfReferenceUID = reference.frame
        item.ReferencedImageSequence = _instances(pydicom, reference)
        step = pydicom.Dataset()
        step.MatrixSequence = [_matrix(pydicom, matrix, name)]
        step.RegistrationTypeCodeSequence = [_registration_type(pydicom)]
        item.MatrixRegistrationSequence = [step]
        items.append(item)
    return items


def _matrix(pydicom: Any, matrix: Float64, kind: str) -> Any:
    item = pydicom.Dataset()
    item.FrameOfReferenceTransformationMatrixType = kind
    item.FrameOfReferenceTransformationMatrix = [_decimal(value) for value in matrix.ravel()]
    return item


def _decimal(value: float) -> str:
    """Return a number in the 16 characters of a decimal string, rounded as little as possible."""
    for digits in range(16, 0, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    return "0"


def _registration_type(pydicom: Any) -> Any:
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "125024", "DCM"
    code.CodeMeaning = "Image Content-based Alignment"
    return code


def _grid_item(pydicom: Any, transform: Transform, moving: _Reference, path: Path) -> Any:
    from .axes import writable

    grid = transform.default_grid()
    if grid is None:
        raise needs_grid(path, transform)
    field = field_of(transform, writable(_right_handed(grid)), path)
    item = pydicom.Dataset()
    item.SourceFrameOfReferenceUID = moving.frame
    item.ReferencedImageSequence = _instances(pydicom, moving)
    item.RegistrationTypeCodeSequence = [_registration_type(pydicom)]
    matrix = LPS @ file_affine(field.grid)
    spacing = np.array(field.grid.spacing_mm[::-1])
    vectors = field.displacement_mm.transpose(1, 2, 3, 0) * _FLIP
    entry = pydicom.Dataset()
    entry.ImagePositionPatient = [_decimal(v) for v in matrix[:3, 3]]
    entry.ImageOrientationPatient = [_decimal(v) for v in (matrix[:3, :2] / spacing[:2]).T.ravel()]
    entry.GridDimensions = list(field.grid.shape[::-1])
    entry.GridResolution = [float(v) for v in spacing]
    entry.VectorGridData = np.ascontiguousarray(vectors, "<f4").tobytes()
    item.DeformableRegistrationGridSequence = [entry]
    return item


def _right_handed(grid: Grid) -> Grid:
    """Return the grid with the slices in the order that DICOM needs: along row times column."""
    if grid.handedness == "right":
        return grid
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] - 1)
    affine[:3, 0] *= -1
    return Grid(grid.shape, affine)
