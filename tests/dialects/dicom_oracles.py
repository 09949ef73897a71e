"""Point oracles of DICOM registration objects: the definition of the standard, and plastimatch."""

import shutil
import subprocess

import numpy as np
import pytest
from dialects.oracles import FIELD_MM, itk_field, oracle, worst
from dialects.scenes import AFFINE, FIXED, LPS, RIGID, chain, error_mm, mapped, points, voxels
from fixtures.dicom import dicom_slice

from mmreg_rt import read_transform, write_transform


def series(folder):
    """The folders of a fixed and of a moving series in one study."""
    made = {}
    for number, which in enumerate(("fixed", "moving")):
        made[which] = folder / which
        made[which].mkdir(exist_ok=True)
        for k in range(3):
            dicom_slice(
                made[which], f"1.2.3.{4 + number}", "1.2.3.1", f"1.2.3.{20 + number}", f"{k}.dcm", 2.0 * k
            )
    return made


def stored_matrix(item, name):
    step = item.get(name)
    values = step[0].FrameOfReferenceTransformationMatrix if step else np.eye(4).ravel()
    return np.array(values, float).reshape(4, 4)


@oracle("dicom", "Spatial Registration", "write", "pydicom, PS3.3 C.20.2")
def spatial_written(folder):
    pydicom, errors = pytest.importorskip("pydicom"), []
    for ours, kind in ((RIGID, "RIGID"), (AFFINE, "AFFINE")):
        write_transform(ours, folder / "reg.dcm", **series(folder))
        still, moved = pydicom.dcmread(folder / "reg.dcm").RegistrationSequence
        entry = moved.MatrixRegistrationSequence[0].MatrixSequence
        assert (still.FrameOfReferenceUID, moved.FrameOfReferenceUID) == ("1.2.3.4", "1.2.3.5")
        assert entry[0].FrameOfReferenceTransformationMatrixType == kind
        back = np.array(entry[0].FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
        at = points(FIXED)
        errors.append(error_mm(mapped(np.linalg.inv(back), at * LPS) * LPS, ours.map_points(at)))
    return max(errors)


@oracle("dicom", "Spatial Registration", "read", "our own object")
def spatial_read_back(folder):
    pytest.importorskip("pydicom")
    errors = []
    for ours in (RIGID, AFFINE):
        write_transform(ours, folder / "reg.dcm", **series(folder))
        again = read_transform(folder / "reg.dcm")
        assert type(again) is type(ours)
        errors.append(error_mm(again.map_points(points(FIXED)), ours.map_points(points(FIXED))))
    return max(errors)


def displaced(dataset, at_lps):
    """Points of the standard's equation (C.20.3-1) at the centres of the voxels of the grid."""
    (item,) = dataset.DeformableRegistrationSequence
    (grid,) = item.DeformableRegistrationGridSequence
    row, column = np.reshape(np.array(grid.ImageOrientationPatient, float), (2, 3))
    axes = np.stack([row, column, np.cross(row, column)], 1) * np.array(grid.GridResolution, float)
    index = (at_lps - np.array(grid.ImagePositionPatient, float)) @ np.linalg.inv(axes).T
    i, j, k = np.rint(index).astype(int).T
    assert np.abs(index - np.rint(index)).max() < 1e-3
    d = np.frombuffer(grid.VectorGridData, "<f4").reshape(*grid.GridDimensions[::-1], 3)[k, j, i]
    before = mapped(stored_matrix(item, "PreDeformationMatrixRegistrationSequence"), at_lps)
    return mapped(stored_matrix(item, "PostDeformationMatrixRegistrationSequence"), before + d)


@oracle("dicom", "Deformable Spatial Registration", "write", "pydicom, PS3.3 C.20.3", FIELD_MM)
def deformable_written(folder):
    pydicom = pytest.importorskip("pydicom")

    def error(fixed, _):
        write_transform(chain(fixed), folder / "reg.dcm", **series(folder))
        at = voxels(fixed)
        found = displaced(pydicom.dcmread(folder / "reg.dcm"), at * LPS) * LPS
        return error_mm(found, chain(fixed).map_points(at))

    return worst(error)


@oracle("dicom", "Deformable Spatial Registration", "read", "pydicom, PS3.3 C.20.3", FIELD_MM)
def deformable_read(folder):
    """An object with matrices before and after the grid."""
    pydicom = pytest.importorskip("pydicom")

    def error(fixed, _):
        write_transform(chain(fixed), folder / "reg.dcm", **series(folder))
        dataset = pydicom.dcmread(folder / "reg.dcm")
        (item,) = dataset.DeformableRegistrationSequence
        for when, numbers in (("Pre", AFFINE.matrix), ("Post", RIGID.matrix)):
            step = pydicom.Dataset()
            step.FrameOfReferenceTransformationMatrixType = "AFFINE"
            step.FrameOfReferenceTransformationMatrix = [f"{v:.9g}" for v in numbers.ravel()]
            setattr(item, f"{when}DeformationMatrixRegistrationSequence", [step])
        pydicom.dcmwrite(folder / "both.dcm", dataset, enforce_file_format=True)
        at = voxels(fixed)
        expected = displaced(pydicom.dcmread(folder / "both.dcm"), at * LPS) * LPS
        return error_mm(read_transform(folder / "both.dcm").map_points(at), expected)

    return worst(error)


def by_plastimatch(folder, source):
    """The object that plastimatch makes of a transform of ITK."""
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed (Debian package plastimatch)")
    scans = series(folder)
    out = folder / "out"
    words = ["xf-convert", "--input", source, "--fixed-rcs", scans["fixed"], "--moving-rcs", scans["moving"]]
    done = subprocess.run(
        ["plastimatch", *map(str, words), "--output-dicom", str(out)], capture_output=True, text=True
    )
    found = sorted(out.glob("*")) if out.is_dir() else []
    assert found, done.stdout + done.stderr
    return found[0]


@oracle("dicom", "Spatial Registration", "read", "plastimatch", 1e-2)
def plastimatch_spatial(folder):
    pytest.importorskip("pydicom")
    sitk = pytest.importorskip("SimpleITK")
    made = sitk.VersorRigid3DTransform((1.0, 0.2, -0.4), 0.5, (1.0, 2.0, 3.0), (11.0, -7.0, 5.0))
    sitk.WriteTransform(made, str(folder / "t.tfm"))
    ours = read_transform(by_plastimatch(folder, folder / "t.tfm"))
    at = points(FIXED)
    return error_mm(ours.map_points(at), read_transform(folder / "t.tfm").map_points(at))


@oracle("dicom", "Deformable Spatial Registration", "read", "plastimatch", 1e-2)
def plastimatch_deformable(folder):
    pytest.importorskip("pydicom")
    sitk = pytest.importorskip("SimpleITK")
    theirs = itk_field(sitk, FIXED)
    sitk.WriteImage(sitk.Cast(theirs.GetDisplacementField(), sitk.sitkVectorFloat32), str(folder / "u.mha"))
    ours = read_transform(by_plastimatch(folder, folder / "u.mha"))
    at = voxels(FIXED)
    u = sitk.GetArrayFromImage(theirs.GetDisplacementField()).reshape(-1, 3)
    return error_mm(ours.map_points(at), at + u * LPS)
