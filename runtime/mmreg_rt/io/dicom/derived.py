"""A warped image as a derived DICOM series on the slices of the fixed scan.

Patient, study, frame of reference and geometry are those of the fixed series; kind of image and modality are
those of the moving one. Each slice refers to the images that it was made from (Source Image Sequence, PS3.3
C.7.6.1.1.4) with the codes of a spatial resampling. The intensities are 16-bit, with one slope and intercept.
"""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, MmregError
from .. import files
from ..optional import library
from . import datasets
from .reading import DicomSource

if TYPE_CHECKING:
    from ...geometry import Grid, Volume

_SERIES_NUMBER = 9000  # series of that study with lower numbers come from scanners
_OF_PATIENT = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "PatientPosition", "Laterality",
)  # fmt: skip
_OF_IMAGE = (
    "SOPClassUID", "Modality", "Manufacturer", "BodyPartExamined", "KVP", "ScanningSequence",
    "SequenceVariant", "ScanOptions", "MRAcquisitionType", "EchoTime", "RepetitionTime", "EchoTrainLength",
    "InversionTime", "Units", "RescaleType",
)  # fmt: skip
_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def write(warped: Volume, fixed: Volume, moving: Volume, folder: Path) -> None:
    """Write a series that appears in a new folder as a whole, or not at all.

    Args:
        warped: The moving scan on the grid of the fixed one.
        fixed: The fixed scan, read from DICOM.
        moving: The moving scan, read from DICOM.
        folder: Folder to create.

    Raises:
        InputError: A scan is not from DICOM, or the folder cannot be written.
    """
    library("pydicom", "dicom", "Writing DICOM")
    target: Any = fixed.source
    source: Any = moving.source
    from_dicom = isinstance(target, DicomSource) and isinstance(source, DicomSource)
    if not from_dicom or not warped.grid.same_as(fixed.grid):
        raise InputError(
            "MMREG_E_DICOM_DERIVED",
            "A derived DICOM series needs a fixed and a moving scan that were read from DICOM, and an image "
            "on the grid of the fixed one. Choose another format, as .nii.gz.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that the sources already have
        try:
            slices = _slices(warped, target, source)
            with files.new_folder(folder) as partial:
                for number, one in enumerate(slices, 1):
                    one.save_as(partial / f"{number:04}.dcm", enforce_file_format=True)
        except (MmregError, MemoryError, OSError):
            raise
        except Exception as reason:  # pydicom writes no value that breaks the standard
            raise InputError(
                "MMREG_E_DICOM_DERIVED",
                f"A header of the source images cannot be written again ({type(reason).__name__}). "
                "Choose another format, as .nii.gz.",
            ) from reason


def _slices(warped: Volume, target: DicomSource, source: DicomSource) -> list[Any]:
    from pydicom.uid import generate_uid

    stored, slope, inter = _as_16_bit(warped)
    common = _common(datasets.read(target.files[0], False), datasets.read(source.files[0], False), source)
    common.SeriesInstanceUID = generate_uid(prefix=None)
    common.RescaleSlope, common.RescaleIntercept = f"{slope:.10g}", f"{inter:.10g}"
    return [_slice(common, stored[k], warped.grid, k, target) for k in range(len(stored))]


def _as_16_bit(warped: Volume) -> tuple[Any, float, float]:
    """Return stored values, slope and intercept; whole numbers that fit stay as they are."""
    values = np.nan_to_num(np.asarray(warped.data, np.float64))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 65535 and warped.data.dtype.kind in "iu":
        return values.astype("<u2"), 1.0, 0.0
    slope = float(f"{max((high - low) / 65535, 1e-9):.9g}")
    inter = float(f"{low:.9g}")
    return np.clip(np.rint((values - inter) / slope), 0, 65535).astype("<u2"), slope, inter


def _common(fixed: Any, moving: Any, source: DicomSource) -> Any:
    """Return what all slices share."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    made, now = Dataset(), datetime.datetime.now()
    for names, header in ((_OF_PATIENT, fixed), (_OF_IMAGE, moving)):
        for name in names:
            if name in header:
                made[name] = header[name]
    if str(made.get("SOPClassUID", "")) not in (_CT, _MR):  # of other kinds, as enhanced images
        made.SOPClassUID = _CT if made.get("Modality") == "CT" else _MR
    made.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if made.SOPClassUID == _CT else "OTHER", "RESAMPLED"]
    made.SeriesNumber, made.SeriesDescription = _SERIES_NUMBER, "Registered (mmreg)"
    made.DerivationDescription = "Resampled onto the fixed series by an image registration"
    made.DerivationCodeSequence = Sequence([_code("113085", "DCM", "Spatial resampling")])
    made.SourceImageSequence = Sequence([_reference(uids) for uids in source.references])
    made.ContentDate = made.InstanceCreationDate = made.SeriesDate = now.strftime("%Y%m%d")
    made.ContentTime = made.InstanceCreationTime = made.SeriesTime = now.strftime("%H%M%S")
    for name in ("AcquisitionNumber", "KVP") if made.SOPClassUID == _CT else ("AcquisitionNumber",):
        if name not in made:
            setattr(made, name, None)
    if "Laterality" not in made and "ImageLaterality" not in made:
        made.Laterality = ""  # required unless the body part is known to be no paired one
    return made


def _reference(uids: tuple[str, ...]) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = uids
    made.PurposeOfReferenceCodeSequence = Sequence(
        [_code("121322", "DCM", "Source image for image processing operation")]
    )
    return made


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def _slice(common: Any, pixels: Any, grid: Grid, k: int, target: DicomSource) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    made = Dataset()
    made.update(common)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPInstanceUID = generate_uid(prefix=None)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    affine = np.diag([-1.0, -1, 1, 1]) @ grid.affine
    d, h, w = grid.spacing_mm
    made.ImagePositionPatient = _numbers(affine[:3, 3] + k * affine[:3, 0])
    made.ImageOrientationPatient = _numbers((*(affine[:3, 2] / w), *(affine[:3, 1] / h)))
    made.PixelSpacing, made.SliceThickness = _numbers((h, w)), _numbers((d,))[0]
    made.InstanceNumber, made.SamplesPerPixel, made.PhotometricInterpretation = k + 1, 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    made["PixelData"].VR = "OW"
    if k < len(target.references) == grid.shape[0]:  # the slice of the fixed scan whose place it has
        made.ReferencedImageSequence = [_plain_reference(target.references[k])]
    return made


def _plain_reference(uids: tuple[str, ...]) -> Any:
    made = _reference(uids)
    del made.PurposeOfReferenceCodeSequence
    return made


def _numbers(values: Any) -> list[str]:
    """Return decimal strings of at most 16 characters."""
    return [next(t for n in range(10, 3, -1) if len(t := f"{float(v) + 0.0:.{n}g}") <= 16) for v in values]
