"""The value outside of an image, and voxels that are not finite: what stands where, and nothing else."""

import json

import nibabel
import numpy as np
import pytest
import reference.warp as reference
from click.testing import CliRunner
from fixtures import scene
from fixtures.grids import GRIDS, grid, rotation
from fixtures.scene import FLAT

from mmreg_rt import Affine, Registrar, Rigid, Volume, write_image, write_points, write_transform
from mmreg_rt.cli import main
from mmreg_rt.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::mmreg_rt.errors.OutsideWarning")
SPACE = grid((10, 12, 14), (3.0, 1.5, 2.0), 25, origin_mm=(-10, 40, 5))
PLANE = grid((1, 24, 30), (3.0, 1.0, 1.2), origin_mm=(-10, 40, 5))
KINDS = ("nearest", "linear", "cubic")


def ct(target, seed=0):
    """Air of -1000 around something up to 700 HU, in a type of CT."""
    p = target.points_mm() - target.centre_mm
    body = 700 - 150 * np.linalg.norm(p, axis=1)
    noise = np.random.default_rng(seed).normal(0, 10, len(p))
    return Volume(np.maximum(body + noise, -1000).reshape(target.shape).astype(np.int16), target)


def motion(target, shift_vox=(0.0, 0.0, 4.5), degrees=0.0):
    """A turn about the middle of the scan, then a shift along its axes."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((0, 0, 1), degrees)
    matrix[:3, 3] = (
        target.centre_mm - matrix[:3, :3] @ target.centre_mm + target.affine[:3, :3] @ np.array(shift_vox)
    )
    return Rigid(matrix)


def ways(target, transform):
    return transform, transform.to_field(target)


def position(target, transform):
    moved = target.map_points(transform.map_points(target.points_mm()))
    return moved.T.reshape(3, *target.shape)


@pytest.mark.parametrize("target", [SPACE, PLANE], ids=["3-D", "2-D"])
@pytest.mark.parametrize("kind", ["nearest", "linear"])
@pytest.mark.parametrize("outside", [None, -2000, 0, 12.5, np.nan])
def test_an_image_fades_into_the_value_outside_as_the_twin_does(target, kind, outside):
    image, transform = ct(target), motion(target, (0, 0.25, 4.3), 11)
    value = image.data.min() if outside is None else outside
    expected = reference.sample(image.data.astype(float), position(target, transform), kind, outside=value)
    for way in ways(target, transform):
        found = way.warp(image, target, kind, outside).data
        # 1700 HU a voxel, positions of some 30 voxels in float32; ties of the nearest voxel fall either way
        far = np.abs(found - expected) > 1700 * 2**-18
        assert far.mean() < (0.01 if kind == "nearest" else 1e-3)
        assert (np.isnan(found) != np.isnan(expected)).mean() < 1e-3


@pytest.mark.parametrize("target", [SPACE, PLANE], ids=["3-D", "2-D"])
def test_outside_of_a_ct_is_its_air(target):
    for way in ways(target, motion(target)):
        for kind in KINDS:
            warped = way.warp(ct(target), target, kind).data
            np.testing.assert_allclose(warped[..., -3:], -1000)
            half = warped[..., -5:-3]  # a voxel at 0.5 outside lies between its neighbour and air
            assert (half >= -1001).all()


def test_the_lowest_value_is_that_of_the_finite_voxels():
    data = ct(SPACE).data.astype(np.float32)
    data[0, 0, :3] = np.nan, -np.inf, np.inf
    warped = motion(SPACE).warp(Volume(data, SPACE), SPACE, "nearest").data
    np.testing.assert_array_equal(warped[..., -3:], -1000)
    nothing = Volume(np.full(SPACE.shape, np.nan), SPACE)
    assert np.isnan(motion(SPACE).warp(nothing, SPACE).data).all()


def test_label_maps_stay_0_outside():
    labels = Volume(np.full(SPACE.shape, 3, np.int16), SPACE)
    for way in ways(SPACE, motion(SPACE)):
        assert not way.warp_labels(labels, SPACE).data[..., -3:].any()


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e39, 10**400, "air", b"0", True, 1j, [0.0], np.zeros(2)])
def test_what_cannot_stand_outside_is_refused(bad):
    with pytest.raises(InputError, match="MMREG_E_OUTSIDE"):
        motion(SPACE).warp(ct(SPACE), SPACE, outside=bad)
    registrar = Registrar(align="none", deform=False)
    with pytest.raises(InputError, match="MMREG_E_OUTSIDE"):
        registrar.register(ct(SPACE), ct(SPACE), outside=bad)
    assert registrar.register(ct(SPACE), ct(SPACE)).warped.grid == SPACE


# ---- registrations ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["3-D", "2-D"])
def apart(request):
    """Two scans of which the moving one covers a part of the fixed one; its lowest value is -50."""
    flat = request.param == "2-D"
    fixed, moving = scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True)) if flat else scene.pair()
    cut = moving.grid.affine.copy()
    keep = moving.grid.shape[2] * 2 // 3
    d, h, _ = moving.grid.shape
    part = type(moving.grid)((d, h, keep), cut)
    return fixed, Volume(np.ascontiguousarray(moving.data[..., :keep]) - 50, part)


def test_outside_of_a_registration_is_the_lowest_value_or_what_was_asked_for(apart):
    registrar = Registrar(align="rigid", deform=False, threads=1)
    found = {value: registrar.register(*apart, outside=value) for value in (None, -700.0, float("nan"))}
    lowest = float(apart[1].data.min())
    default, other, unknown = found.values()
    seen = reference.fade(
        apart[1].grid.map_points(default.transform.map_points(default.warped.grid.points_mm())).T,
        apart[1].grid.shape,
    ).reshape(default.warped.grid.shape)
    assert 0.1 < (seen == 0).mean() < 0.9
    np.testing.assert_array_equal(default.warped.data[seen < 1e-6], np.float32(lowest))
    np.testing.assert_array_equal(other.warped.data[seen < 1e-6], -700)
    assert np.isnan(unknown.warped.data[seen < 0.998]).all()
    assert np.isfinite(unknown.warped.data[seen > 0.9999]).all()
    for result in (other, unknown):  # figures and transform are the same
        assert result.quality == default.quality
        np.testing.assert_array_equal(result.transform.displacement_mm, default.transform.displacement_mm)
        inside = seen == 1
        np.testing.assert_array_equal(result.warped.data[inside], default.warped.data[inside])


def test_the_edge_of_a_registration_lies_between_the_scan_and_the_outside(apart):
    result = Registrar(align="none", deform=False).register(*apart)
    again = result.transform.warp(apart[1], apart[0])
    np.testing.assert_allclose(result.warped.data, again.data, atol=0.01)  # 1e-4 of the range
    low, high = apart[1].data.min(), apart[1].data.max()
    assert low <= result.warped.data.min() and result.warped.data.max() <= high + 1e-3


# ---- the shell ----------------------------------------------------------------------------------------


def shell(*words, code=0):
    outcome = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(ct(SPACE), tmp_path / "ct.nii.gz")
    write_transform(motion(SPACE), tmp_path / "t.tfm")
    write_points(SPACE.points_mm()[:5], tmp_path / "p.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ((), -1000),
        (("--outside", "-2000"), -2000),
        (("--outside=nan",), np.nan),
        (("--outside", "1e3"), 1000),
    ],
)
def test_warp_writes_the_value_outside(folder, words, value):
    shell("warp", "ct.nii.gz", "-t", "t.tfm", "-o", "w.nii.gz", *words)
    np.testing.assert_array_equal(nibabel.load(folder / "w.nii.gz").get_fdata()[-3:], value)


@pytest.mark.parametrize("bad", ["inf", "-inf", "1e39", "air", ""])
def test_warp_refuses_what_cannot_stand_outside(folder, bad):
    shell("warp", "ct.nii.gz", "-t", "t.tfm", "-o", "w.nii.gz", f"--outside={bad}", code=2)
    shell("warp", "p.csv", "-t", "t.tfm", "-o", "q.csv", "--outside", "0", code=2)
    shell("warp", "ct.nii.gz", "-t", "t.tfm", "-o", "w.nii.gz", "--labels", "--outside", "0", code=2)
    assert not {"w.nii.gz", "q.csv"} & {path.name for path in folder.iterdir()}


def test_register_writes_the_value_outside_and_valid_json(folder):
    d, h, w = SPACE.shape
    part = Volume(ct(SPACE, 1).data[..., : w // 2], type(SPACE)((d, h, w // 2), SPACE.affine))
    write_image(part, folder / "half.nii.gz")
    for words, value in (((), -1000), (("--outside", "nan"), np.nan), (("--outside", "7"), 7)):
        words = "register", "ct.nii.gz", "half.nii.gz", "-o", "out", "--align", "none", "--no-deform", *words
        CliRunner().invoke(main, list(words), catch_exceptions=False)
        np.testing.assert_array_equal(nibabel.load(folder / "out/warped.nii.gz").get_fdata()[-4:], value)
        summary = json.loads((folder / "out/result.json").read_text(), parse_constant=pytest.fail)
        assert summary["status"] == "ok"


@pytest.mark.parametrize("as_json", [False, True])
def test_warp_tells_what_lies_outside_with_its_share(folder, as_json):
    far = np.eye(4)
    far[0, 3] = 400
    write_transform(Rigid(far), folder / "far.tfm")
    write_transform(Rigid(far).to_field(SPACE), folder / "far.nii.gz")
    write_points([*SPACE.points_mm()[:3], (900, 0, 0)], folder / "p.csv")
    words = ["--json"] if as_json else []
    for source, transform, said in (
        ("ct.nii.gz", "far.tfm", f"All of the {SPACE.size} voxels come from outside"),
        ("p.csv", "far.nii.gz", "1 of 4 points (25.0%) lie outside the field"),
    ):
        outcome = shell("warp", source, "-t", transform, "-o", f"out.{source.split('.', 1)[1]}", *words)
        if as_json:
            (warning,) = json.loads(outcome.stdout)["warnings"]
            assert said in warning
        else:
            assert f"Warning: {said}" in outcome.stderr
    quiet = shell("warp", "ct.nii.gz", "-t", "t.tfm", "-o", "w.nii.gz", "--json")
    assert json.loads(quiet.stdout)["warnings"] == []


def test_points_and_images_go_back_through_a_written_field(folder):
    there = motion(SPACE, (50, -20, 60), 75)  # far off
    write_transform(there.to_field(SPACE), folder / "field.nii.gz")
    points = SPACE.points_mm()[::97]
    write_points(there.map_points(points), folder / "m.csv")
    outcome = shell("warp", "m.csv", "-t", "field.nii.gz", "--inverse", "-o", "back.csv", "--json")
    assert json.loads(outcome.stdout)["warnings"] == []
    back = np.loadtxt(folder / "back.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(back, points, atol=1e-3)
    outcome = shell("warp", "ct.nii.gz", "-t", "field.nii.gz", "--inverse", "-o", "moved.nii.gz", "--json")
    assert json.loads(outcome.stdout)["warnings"] == []
    shell("warp", "moved.nii.gz", "-t", "field.nii.gz", "--like", "ct.nii.gz", "-o", "again.nii.gz")
    again, first = (nibabel.load(folder / name).get_fdata() for name in ("again.nii.gz", "ct.nii.gz"))
    assert np.abs(again - first)[2:-2, 2:-2, 2:-2].mean() < 30  # of 1700: two linear interpolations of noise


# ---- voxels that are not finite -----------------------------------------------------------------------


def spoiled(target, value=np.nan):
    """A ramp with a background that is not finite and a few holes."""
    p = target.points_mm() - target.centre_mm
    image = (p @ (0.5, -0.25, 0.125) + 30).reshape(target.shape).astype(np.float32)
    image[..., :3] = value
    image[target.shape[0] // 2, 7, 8] = value
    return Volume(image, target)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["oblique", "upside-down", "slice", "row", "left-handed"])
def test_the_identity_keeps_what_is_not_finite_where_it_was(name, kind, value):
    target = GRIDS[name]
    image = np.random.default_rng(2).normal(size=target.shape).astype(np.float32)
    image[..., :2] = value
    for way in ways(target, Rigid(np.eye(4))):
        found = way.warp(Volume(image, target), target, kind).data
        np.testing.assert_allclose(found, image, atol=2e-5)  # as of finite images


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [SPACE, PLANE], ids=["3-D", "2-D"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_is_where_such_a_voxel_weighs_and_nowhere_else(target, kind, value):
    image, transform = spoiled(target, value), motion(target, (0, 0.25, 1.3), 11)
    where = position(target, transform)
    expected = reference.sample(
        np.where(np.isfinite(image.data), 0.0, np.nan), where, "nearest" if kind == "nearest" else "linear"
    )
    for way in ways(target, transform):
        found = way.warp(image, target, kind, outside=0).data
        assert (np.isfinite(found) != np.isfinite(expected)).mean() < 2e-3  # ties within rounding
        assert np.isfinite(found).mean() > 0.5


@pytest.mark.parametrize("target", [SPACE, PLANE], ids=["3-D", "2-D"])
def test_cubic_stays_near_the_image_beside_nan(target):
    image, transform = spoiled(target), motion(target, (0, 0.25, 1.3), 5)
    where = position(target, transform)
    ramp = transform.map_points(target.points_mm()) - target.centre_mm
    expected = (ramp @ (0.5, -0.25, 0.125) + 30).reshape(target.shape)
    inner = np.all([(x >= 0) & (x <= n - 1) for x, n in zip(where, target.shape, strict=True)], axis=0)
    found = transform.warp(image, target, "cubic").data
    off = np.abs(found - expected)[inner & np.isfinite(found)]
    step = np.abs(np.array([0.5, -0.25, 0.125]) @ target.affine[:3, :3]).max()  # of the ramp, a voxel
    assert off.max() < step  # beside a hole and at a mirrored border
    assert np.median(off) < 0.05 * step


def test_a_value_for_nothing_near_the_largest_float_spreads_no_further_than_linear():
    image = spoiled(SPACE, np.float32(-3.4e38))
    found = motion(SPACE, (0, 0, 0.5)).warp(image, SPACE, "cubic", outside=0).data
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.abs(found) > 1e30, np.abs(image_at_half(image.data)) > 1e30)


def image_at_half(data):
    """Half a voxel on along axis 2, linearly, 0 outside."""
    following = np.concatenate([data[..., 1:], np.zeros_like(data[..., :1])], axis=2)
    return data / 2 + following / 2


def test_an_affine_of_rounded_numbers_is_the_identity_for_nan():
    turn = rotation((1, 2, 3), 33)
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ turn.T
    image = spoiled(SPACE)
    found = Affine(matrix).warp(image, SPACE).data
    np.testing.assert_array_equal(np.isnan(found), np.isnan(image.data))
