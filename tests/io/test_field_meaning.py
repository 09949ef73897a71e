"""Fields of other programs: converted where their header says what they mean, else refused by name."""

import nibabel
import numpy as np
import pytest
from fixtures.grids import LEFT_HANDED, OBLIQUE, grid, rotation

from mmreg_rt import Affine, DisplacementField, read_transform, write_transform
from mmreg_rt.errors import MmregError, TransformError

LPS = np.array([-1.0, -1.0, 1.0])
BRAIN = grid((22, 28, 24), (4.0, 3.0, 4.0), 0, origin_mm=(-46, -60, -40))
TURNED = grid((20, 18, 24), (3.0, 4.0, 2.0), 25, (1, 1, -1), (30, -60, 10))
SLICE = grid((1, 30, 28), (1.0, 2.0, 1.5), origin_mm=(-30, 10, 5))
FINE = grid((40, 44, 46), (1.0, 1.2, 1.0), -30, (1, -1, 1), (30, 60, 10))
GRIDS = {"brain": BRAIN, "turned": TURNED, "slice": SLICE}


@pytest.fixture(params=GRIDS)
def target(request):
    return GRIDS[request.param]


def displacement(target, seed=3):
    """Some mm, smooth: ``(N, 3)`` at the voxels of the grid."""
    p = (target.points_mm() - target.centre_mm) / 30
    shift = np.array([5.0, 3.0, -2.0])
    u = shift + 2.0 * np.stack([np.sin(p[:, 1]), np.cos(p[:, 0] + seed), np.sin(p[:, 0])], -1)
    if target.dims == 2:
        u[:, 2] = 0
    return u


def positions(target):
    return target.points_mm() + displacement(target)


def field_file(path, vectors, target, intent=1007, name="", p1=0.0, components=3, kind=nibabel.Nifti1Image):
    data = vectors[:, :components].T.reshape(components, *target.shape).T[:, :, :, None]
    image = kind(data.astype(np.float32), target.affine[:, [2, 1, 0, 3]])
    image.header.set_intent(intent)
    image.header["intent_name"], image.header["intent_p1"] = name, p1
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def check_moves(path, target, atol=2e-5):
    """Each voxel of the grid goes where ``displacement`` says; positions are float32 of some 100 mm."""
    points = target.points_mm()
    np.testing.assert_allclose(
        read_transform(path).map_points(points), points + displacement(target), atol=atol
    )


@pytest.mark.parametrize("intent", [1006, 1007])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_deformation_of_spm_moves_voxels_to_its_positions(target, kind, intent, tmp_path):
    path = field_file(tmp_path / "y_t1.nii", positions(target), target, intent, "Mapping", kind=kind)
    check_moves(path, target)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("p1", [0, 1])
def test_deformations_and_displacements_of_niftyreg_mean_the_same(target, p1, kind, tmp_path):
    vectors = displacement(target) if p1 else positions(target)
    path = field_file(tmp_path / "n.nii.gz", vectors, target, 1007, "NREG_TRANS", p1, kind=kind)
    check_moves(path, target)


@pytest.mark.parametrize("p1", [0, 1])
def test_a_field_of_niftyreg_in_a_plane_leaves_the_third_axis_alone(p1, tmp_path):
    vectors = displacement(SLICE) if p1 else positions(SLICE)
    path = field_file(tmp_path / "n.nii.gz", vectors, SLICE, 1007, "NREG_TRANS", p1, components=2)
    check_moves(path, SLICE)


@pytest.mark.parametrize(("p1", "what"), [(3, "velocity"), (4, "velocity"),
                                          (5, "spline grid of a velocity"), (6, "linear spline grid"),
                                          (7, "unknown"), (0.5, "unknown"), (np.nan, "unknown")])  # fmt: skip
def test_other_transforms_of_niftyreg_are_refused_by_name(p1, what, tmp_path):
    path = field_file(tmp_path / "n.nii.gz", displacement(BRAIN), BRAIN, 1007, "NREG_TRANS", p1)
    with pytest.raises(TransformError, match=f"{what}.* of NiftyReg.*reg_transform") as caught:
        read_transform(path)
    assert caught.value.code == "MMREG_E_FIELD_PROGRAM"


@pytest.mark.parametrize(
    ("intent", "code"),
    [
        (2006, "MMREG_E_TRANSFORM_NEEDS_SCAN"),
        (2007, "MMREG_E_TRANSFORM_NEEDS_SCAN"),
        *((intent, "MMREG_E_FIELD_PROGRAM") for intent in (2008, 2009, 2016, 2017, 2018)),
    ],
)
@pytest.mark.parametrize("frames", [4, 5])
def test_fields_of_fsl_need_the_scans_or_are_refused(intent, code, frames, tmp_path):
    image = nibabel.Nifti1Image(
        np.zeros((4, 5, 6, 3) if frames == 4 else (4, 5, 6, 1, 3), np.float32), np.eye(4)
    )
    image.header["intent_code"] = intent
    nibabel.save(image, tmp_path / "warp.nii.gz")
    with pytest.raises(MmregError) as caught:
        read_transform(tmp_path / "warp.nii.gz")
    assert caught.value.code == code


def test_vectors_under_a_name_that_itk_does_not_give_are_refused_by_it(tmp_path):
    path = field_file(tmp_path / "v.nii.gz", displacement(BRAIN), BRAIN, 1007, "Velocity")
    with pytest.raises(TransformError, match="'Velocity'.*1006") as caught:
        read_transform(path)
    assert caught.value.code == "MMREG_E_FIELD_PROGRAM"
    check_moves(field_file(tmp_path / "r.nii.gz", displacement(BRAIN), BRAIN, 1006, "Velocity"), BRAIN)


@pytest.mark.parametrize("sign", ["RAS", "LPS"])
@pytest.mark.parametrize("intent", [1006, 1007])
def test_positions_in_disguise_are_refused(target, intent, sign, tmp_path):
    path = field_file(
        tmp_path / "p.nii.gz", positions(target) * (LPS if sign == "LPS" else 1), target, intent
    )
    with pytest.raises(TransformError, match="absolute positions") as caught:
        read_transform(path)
    assert caught.value.code == "MMREG_E_FIELD_POSITIONS"


@pytest.mark.parametrize("intent", [1006, 1007])
def test_positions_in_voxels_are_refused(intent, tmp_path):
    index = FINE.map_points(positions(FINE))[:, ::-1]
    with pytest.raises(TransformError, match="MMREG_E_FIELD_POSITIONS"):
        read_transform(field_file(tmp_path / "p.nii.gz", index, FINE, intent))


@pytest.mark.parametrize("degrees", [0, 25, 70, 110, 180])
@pytest.mark.parametrize("intent", [1006, 1007])
def test_positions_in_a_scan_that_lies_turned_and_apart_are_refused(intent, degrees, tmp_path):
    there = positions(BRAIN) @ rotation((1, 2, -1), degrees).T * 0.9 + (150, -90, 60)
    with pytest.raises(TransformError, match="MMREG_E_FIELD_POSITIONS"):
        read_transform(field_file(tmp_path / "p.nii.gz", there, BRAIN, intent))


@pytest.mark.parametrize("target", [BRAIN, TURNED, OBLIQUE, LEFT_HANDED, SLICE], ids=str)
@pytest.mark.parametrize("degrees", [0, 25, 60, 90, 120, 180])
def test_displacements_of_large_motions_are_displacements(target, degrees, tmp_path):
    axis = (0, 0, 1) if target.dims == 2 else (1, 2, -1)
    for scale in (0.7, 1.0, 1.5):
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(axis, degrees) * scale
        matrix[:3, 3] = 150, -90, 60
        field = Affine(matrix).to_field(target)
        write_transform(field, tmp_path / "u.nii.gz")
        np.testing.assert_array_equal(
            read_transform(tmp_path / "u.nii.gz").displacement_mm, field.displacement_mm
        )


def test_displacements_of_noise_and_of_nothing_are_displacements(tmp_path):
    rng = np.random.default_rng(4)
    for target in (BRAIN, SLICE, OBLIQUE, grid((3, 1, 7), (1, 1, 1)), grid((1, 1, 1), (2, 2, 2))):
        for amplitude in (0, 0.5, 20):
            u = rng.normal(0, 1, (3, *target.shape)).astype(np.float32) * np.float32(amplitude)
            write_transform(DisplacementField(u, target), tmp_path / "u.nii.gz")
            np.testing.assert_array_equal(read_transform(tmp_path / "u.nii.gz").displacement_mm, u)


@pytest.mark.parametrize("name", ["Mapping", "NREG_TRANS"])
def test_displacements_under_a_header_of_positions_are_refused(name, tmp_path):
    path = field_file(tmp_path / "y.nii", displacement(BRAIN), BRAIN, 1007, name)
    with pytest.raises(TransformError, match="hardly change") as caught:
        read_transform(path)
    assert caught.value.code == "MMREG_E_FIELD_POSITIONS"
