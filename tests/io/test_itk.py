"""Matrices in the dialect of ITK: laws, then a point oracle in SimpleITK and ANTs for every kind."""

import struct

import numpy as np
import pytest
from fixtures.grids import rotation

from mmreg_rt import Affine, Composite, DisplacementField, Grid, Rigid, read_transform, write_transform
from mmreg_rt.errors import TransformError

LPS = np.array([-1.0, -1.0, 1.0])
POINTS = np.random.default_rng(8).uniform(-90, 90, (20, 3))
EXACT_MM = 1e-11  # float64 rounding of coordinates around 100 mm


def matrix(linear, shift):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = linear, shift
    return out


RIGIDS = {
    "general": Rigid(matrix(rotation((3, -1, 2), 37), (14.0, -2.5, 61.0))),
    "half a turn": Rigid(matrix(rotation((0, 0, 1), 180), (1.0, 2.0, 3.0))),
    "gimbal lock": Rigid(matrix(rotation((1, 0, 0), 90) @ rotation((0, 0, 1), 20), (1.0, 2.0, 3.0))),
    "identity": Rigid(np.eye(4)),
}
AFFINE = Affine(matrix(rotation((1, 1, 0), -10) @ np.diag([1.1, -0.9, 1.05]), (-1.0, 0.5, 2.0)))


@pytest.fixture
def sitk():
    return pytest.importorskip("SimpleITK")


@pytest.fixture
def ants():
    return pytest.importorskip("ants")


def mapped_by_itk(transform, points):
    return np.array([transform.TransformPoint((p * LPS).tolist()) for p in points]) * LPS


def mapped_by_ants(ants, path, points):
    transform = ants.read_transform(str(path))
    return np.array([ants.apply_ants_transform_to_point(transform, p * LPS) for p in points]) * LPS


@pytest.mark.parametrize("transform", [*RIGIDS.values(), AFFINE], ids=[*RIGIDS, "affine"])
def test_what_is_written_is_read_back_as_the_same_kind(transform, tmp_path):
    write_transform(transform, tmp_path / "t.tfm")
    again = read_transform(tmp_path / "t.tfm")
    assert type(again) is type(transform)
    np.testing.assert_allclose(again.matrix, transform.matrix, atol=EXACT_MM)


@pytest.mark.parametrize("transform", [*RIGIDS.values(), AFFINE], ids=[*RIGIDS, "affine"])
def test_itk_maps_points_by_our_file_as_we_do(transform, sitk, tmp_path):
    write_transform(transform, tmp_path / "t.tfm")
    theirs = sitk.ReadTransform(str(tmp_path / "t.tfm"))
    np.testing.assert_allclose(mapped_by_itk(theirs, POINTS), transform.map_points(POINTS), atol=EXACT_MM)


@pytest.mark.parametrize("transform", [*RIGIDS.values(), AFFINE], ids=[*RIGIDS, "affine"])
def test_ants_maps_points_by_our_file_as_we_do(transform, ants, tmp_path):
    write_transform(transform, tmp_path / "t.tfm")
    theirs = mapped_by_ants(ants, tmp_path / "t.tfm", POINTS)
    np.testing.assert_allclose(theirs, transform.map_points(POINTS), atol=1e-4)  # it works in float32


def test_a_chain_of_matrices_is_written_as_one(tmp_path):
    chain = Composite((RIGIDS["general"], AFFINE))
    write_transform(chain, tmp_path / "t.tfm")
    single = read_transform(tmp_path / "t.tfm")
    np.testing.assert_allclose(single.map_points(POINTS), chain.map_points(POINTS), atol=EXACT_MM)


def itk_transforms(sitk):
    """One of each kind that is read, with a centre off the origin where it has one."""
    centre = (11.0, -7.0, 5.0)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((rotation((1, 5, 2), 12) @ np.diag([1.2, 1, 0.9])).ravel().tolist())
    affine.SetTranslation((1.0, -2.0, 3.0))
    affine.SetCenter(centre)
    euler = sitk.Euler3DTransform(centre, 0.3, -0.2, 0.9, (4.0, 5.0, -6.0))
    zyx = sitk.Euler3DTransform(euler)
    zyx.SetComputeZYX(True)
    versor = sitk.VersorRigid3DTransform((1.0, 0.2, -0.4), 2.5, (1.0, 2.0, 3.0), centre)
    similarity = sitk.Similarity3DTransform(1.3, (1.0, 0.2, -0.4), 0.7, (1.0, 2.0, 3.0), centre)
    shift = sitk.TranslationTransform(3, (1.0, -2.0, 3.0))
    return {
        "affine": affine,
        "euler": euler,
        "euler zyx": zyx,
        "versor": versor,
        "similarity": similarity,
        "translation": shift,
        "identity": sitk.Transform(3, sitk.sitkIdentity),
    }


KINDS = ("affine", "euler", "euler zyx", "versor", "similarity", "translation", "identity")


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_mapped_by_the_files_of_itk_as_itk_maps_them(kind, sitk, tmp_path):
    theirs = itk_transforms(sitk)[kind]
    sitk.WriteTransform(theirs, str(tmp_path / "t.tfm"))
    ours = read_transform(tmp_path / "t.tfm")
    np.testing.assert_allclose(ours.map_points(POINTS), mapped_by_itk(theirs, POINTS), atol=1e-9)
    assert isinstance(ours, Rigid) == (kind not in ("affine", "similarity"))


@pytest.mark.parametrize("kind", ["euler", "affine"])
def test_two_dimensional_transforms_leave_z_alone(kind, sitk, tmp_path):
    theirs = sitk.Euler2DTransform((3.0, -4.0), 0.4, (5.0, 6.0))
    if kind == "affine":
        theirs = sitk.AffineTransform([1.1, 0.2, -0.1, 0.9], [5.0, 6.0], [3.0, -4.0])
    sitk.WriteTransform(theirs, str(tmp_path / "t.tfm"))
    ours = read_transform(tmp_path / "t.tfm").map_points(POINTS)
    expected = [theirs.TransformPoint((p[:2] * LPS[:2]).tolist()) for p in POINTS]
    np.testing.assert_allclose(ours[:, :2] * LPS[:2], expected, atol=1e-9)
    np.testing.assert_array_equal(ours[:, 2], POINTS[:, 2])


def test_a_chain_in_a_file_of_itk_is_applied_in_its_order(sitk, tmp_path):
    kinds = itk_transforms(sitk)
    theirs = sitk.CompositeTransform([kinds["affine"], kinds["euler"], kinds["versor"]])
    sitk.WriteTransform(theirs, str(tmp_path / "t.tfm"))
    ours = read_transform(tmp_path / "t.tfm")
    np.testing.assert_allclose(ours.map_points(POINTS), mapped_by_itk(theirs, POINTS), atol=1e-9)


def test_the_matrices_of_ants_are_read_as_ants_maps_points(ants, tmp_path):
    turn = rotation((1, 5, 2), 12) @ np.diag([1.2, 1, 0.9])
    theirs = ants.create_ants_transform(
        transform_type="AffineTransform", matrix=turn, translation=(1.0, -2.0, 3.0), center=(11.0, -7.0, 5.0)
    )
    ants.write_transform(theirs, str(tmp_path / "t.mat"))
    expected = np.array([ants.apply_ants_transform_to_point(theirs, p * LPS) for p in POINTS]) * LPS
    np.testing.assert_allclose(read_transform(tmp_path / "t.mat").map_points(POINTS), expected, atol=1e-4)


@pytest.mark.parametrize(("order", "kind"), [("<", 0), (">", 1000), ("<", 10), ("<", 100)])
def test_mat_files_are_read_in_either_byte_order_and_precision(order, kind, tmp_path):
    def array(name, values):
        number = "f" if kind % 100 == 10 else "d"
        head = struct.pack(order + "5i", kind, len(values), 1, 0, len(name) + 1)
        return head + name + b"\0" + struct.pack(f"{order}{len(values)}{number}", *values)

    parameters = [1, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6, 7]
    raw = array(b"AffineTransform_double_3_3", parameters) + array(b"fixed", [0, 0, 10])
    (tmp_path / "t.mat").write_bytes(raw)
    expected = matrix(np.diag([1, 1, 2]), (-5, -6, 7 + 10 - 20))
    np.testing.assert_array_equal(read_transform(tmp_path / "t.mat").matrix, expected)


def test_a_field_is_not_written_as_a_matrix_nor_a_matrix_as_a_field(tmp_path):
    field = DisplacementField(np.zeros((3, 2, 2, 2), np.float32), Grid((2, 2, 2), np.eye(4)))
    for transform, name in ((field, "t.tfm"), (Composite((AFFINE, field)), "t.tfm"), (AFFINE, "t.nii.gz")):
        with pytest.raises(TransformError, match="MMREG_E_TRANSFORM_KIND"):
            write_transform(transform, tmp_path / name)
    assert not list(tmp_path.iterdir())
