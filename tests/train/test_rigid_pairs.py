"""Rigid starts: how far they lie off, that they know the way back, and where the truth comes from."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures import scene
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch", reason="training needs PyTorch")
rigid_pairs = pytest.importorskip("mmreg_train.data.rigid.pairs")
rigid_truth = pytest.importorskip("mmreg_train.data.rigid.truth")

from mmreg_rt import Grid, Volume, io  # noqa: E402
from mmreg_rt.errors import InputError  # noqa: E402
from mmreg_rt.geometry import rigid_motion  # noqa: E402
from mmreg_rt.preprocess import PreprocessSpec  # noqa: E402
from mmreg_rt.transform import Rigid  # noqa: E402
from mmreg_train.data import seeding  # noqa: E402
from mmreg_train.data.cases import Case, Scan  # noqa: E402
from mmreg_train.data.rigid.pairs import RigidPairs, StartSampling  # noqa: E402
from mmreg_train.engine.validation import surface_errors  # noqa: E402
from mmreg_train.losses.rigid import surface_distance  # noqa: E402
from mmreg_train.methods import Output, Window  # noqa: E402

SPEC = PreprocessSpec(multiple=4, intensity="minmax")
WINDOW = Window((16, 24, 24), (4.5, 3.0, 3.0))
TRUTH = rigid_motion.matrix_of([9.0, -6.0, 4.0, 6.0, -5.0, 8.0])
LANDMARKS = np.array([[12.0, 3, -8], [-9, 10, 5], [4, -13, 9], [-7, -6, -11]])
VARIED = {
    "turn_degrees": 15.0,
    "place_mm": 6.0,
    "scale": 0.2,
    "mirror": True,
    "cut_mm": 2.0,
    "deform_mm": 3.0,
}


def structures(grid, truth, path):
    """A ball and four small ones, where ``truth`` says, each in a frame of its own."""
    import nibabel

    points = grid.points_mm()
    middles = np.concatenate([np.zeros((1, 3)), LANDMARKS])
    radii = [16.0, *[4.0] * 4]
    frames = [
        (np.linalg.norm(points - middle, axis=1) < radius).reshape(grid.shape)
        for middle, radius in zip(Rigid(truth).map_points(middles), radii)
    ]
    data = np.stack(frames, -1).transpose(2, 1, 0, 3).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(data, grid.affine[:, [2, 1, 0, 3]]), path)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    grids = scene.PLAIN, scene.OBLIQUE
    fixed = scene.scan(grids[0], True, lambda p: Rigid(TRUTH).map_points(p.reshape(-1, 3)).reshape(p.shape))
    scans = {"fixed": fixed, "moving": scene.scan(grids[1], True, seed=1)}
    paths = {}
    for role, scan in scans.items():
        paths[role] = folder / f"{role}.nii.gz"
        io.write_image(scan, paths[role])
    for role, grid, truth in (("fixed", grids[0], np.eye(4)), ("moving", grids[1], TRUTH)):
        paths[f"{role}_structures"] = folder / f"{role}_structures.nii.gz"
        structures(grid, truth, paths[f"{role}_structures"])
    return Case("a", ("a",), {role: Scan(path) for role, path in paths.items()})


def source(case, **starts):
    return RigidPairs([case], [case], SPEC, WINDOW, StartSampling(**starts))


def test_the_truth_is_the_fit_of_the_structures(case):
    truth = rigid_truth.truth_of(case)
    corners = scene.PLAIN.corners_mm / 3
    apart = rigid_motion.moved(truth.matrix, corners) - rigid_motion.moved(TRUTH, corners)
    assert np.linalg.norm(apart, axis=1).max() < 0.5  # centroids of voxels of 2 mm
    assert truth.structures == 5
    assert truth.residual_mm < 0.3
    assert np.linalg.norm(truth.centre_mm) < 0.2
    assert np.linalg.norm(truth.moving_centre_mm - TRUTH[:3, 3]) < 0.2
    radii = np.linalg.norm(truth.surface_mm, axis=1)
    assert (radii.min() > 14 - 0.1) and radii.max() < 16


def test_a_fit_is_that_of_scipy_where_the_points_decide():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 200, (6, 3))
    onto = rigid_motion.moved(TRUTH, points) + rng.normal(0, 3, (6, 3))
    expected = Rotation.align_vectors(onto - onto.mean(0), points - points.mean(0))[0].as_matrix()
    found = rigid_truth.rigid_fit(points, onto)
    # points far apart: 1 mm^2 against some 10^5 that the points weigh, of a turn of a sixth
    np.testing.assert_allclose(found[:3, :3], expected, atol=5e-5)
    np.testing.assert_allclose(rigid_motion.moved(found, points.mean(0)[None]), onto.mean(0)[None], atol=1e-9)


def test_a_turn_that_is_left_open_is_not_made():
    points = np.array([[0.0, 0, 0], [30, 0, 0]])
    turn = rigid_motion.matrix_of([1.0, 2, 3, 0, 0, 20])
    found = rigid_truth.rigid_fit(points, rigid_motion.moved(turn, points))
    assert np.degrees(Rotation.from_matrix(found[:3, :3]).magnitude()) == pytest.approx(20, abs=0.1)
    np.testing.assert_allclose(found[2, :3], [0, 0, 1], atol=1e-6)  # about z, and not about the line


def test_the_surface_is_what_has_a_neighbour_outside():
    mask = np.zeros((6, 6, 6), bool)
    mask[1:5, 1:5, 1:5] = True
    found = rigid_truth.surface_voxels(mask)
    assert len(found) == 64 - 8
    assert not {(2, 2, 2), (3, 3, 3)} & set(map(tuple, found))
    assert len(rigid_truth.surface_voxels(np.ones((3, 3, 3), bool))) == 26  # it ends where the scan ends


@pytest.mark.parametrize("limits", [(0.0, 20.0), (0.0, 8.0), (20.0, 20.0)])
def test_starts_lie_off_by_as_much_as_is_drawn(case, limits):
    pairs = source(case, error_mm=limits)
    errors = []
    for step in range(40):
        batch = pairs.sample(1, step, 0)
        errors.append(float(surface_distance(torch.zeros(1, 6), batch.rigid, batch.surface)))
    low, high = limits
    assert low - 0.01 <= min(errors)
    assert max(errors) <= high + 0.01
    assert np.mean(errors) == pytest.approx((low + high) / 2, abs=0.2 * high)
    if low < high:
        assert np.ptp(errors) > 0.7 * high


@pytest.mark.parametrize("varied", [{}, VARIED], ids=["plain", "varied"])
def test_the_numbers_bring_what_the_moving_image_shows_onto_the_fixed_one(case, varied):
    """By the images alone: the moving one, moved by the numbers, is nearer to the fixed one."""
    pairs = source(case, error_mm=(8.0, 8.0), **varied)
    window = Grid(WINDOW.size, scene.centred(WINDOW.size, WINDOW.spacing_mm).affine)
    for step in range(6):
        batch = pairs.sample(3, step, 0)
        fixed, moving = (image[0, 0].numpy() for image in (batch.fixed, batch.moving))
        back = rigid_motion.updated(np.eye(4), batch.rigid[0].double().numpy(), window)
        moved = Rigid(back).warp(Volume(moving, window), window).data
        inner = (slice(4, -4),) * 3
        before, after = (np.abs(fixed - image)[inner].mean() for image in (moving, moved))
        assert after < 0.5 * before


@pytest.mark.parametrize("varied", [{}, VARIED], ids=["plain", "varied"])
def test_the_surface_is_that_of_the_ball_where_the_moving_image_shows_it(case, varied):
    pairs = source(case, error_mm=(10.0, 10.0), **varied)
    for step in range(6):
        batch = pairs.sample(5, step, 0)
        on_fixed = rigid_motion.moved(
            rigid_motion.matrix_of(batch.rigid[0].numpy()), batch.surface[0].numpy()
        )
        radii = np.linalg.norm(on_fixed - on_fixed.mean(0), axis=1)
        largest = 16 * (1 + varied.get("scale", 0))
        assert (
            largest / (1 + varied.get("scale", 0)) ** 2 * 14 / 16 - 0.2
            < radii.min()
            <= radii.max()
            < largest + 0.2
        )
        assert np.linalg.norm(on_fixed.mean(0)) < 0.3 + np.sqrt(3) * varied.get("place_mm", 0) * 1.2


def test_samples_depend_on_their_address_alone(case):
    pairs, again = source(case, **VARIED), source(case, **VARIED)
    pairs.sample(1, 2, 0)
    one, other, elsewhere = pairs.sample(1, 2, 3), again.sample(1, 2, 3), again.sample(1, 2, 4)
    assert torch.equal(one.moving, other.moving) and torch.equal(one.rigid, other.rigid)
    assert not torch.equal(one.rigid, elsewhere.rigid)
    assert one.fixed.shape == (1, 1, *WINDOW.size)
    both = torch.cat([one.fixed, one.moving])
    assert float(both.min()) == 0
    assert float(both.max()) == pytest.approx(1, abs=1e-6)  # float32


@pytest.fixture(scope="module")
def inverted(case, tmp_path_factory):
    """The same pair in the opposite contrast, as if of somebody else."""
    folder = tmp_path_factory.mktemp("inverted")
    scans = dict(case.scans)
    for role in ("fixed", "moving"):
        scan = scans[role].read()
        io.write_image(Volume(scan.data.max() - scan.data, scan.grid), folder / f"{role}.nii.gz")
        scans[role] = Scan(folder / f"{role}.nii.gz")
    return Case("b", ("b",), scans)


@pytest.mark.parametrize(("crossed", "alike"), [(0.0, True), (1.0, False)])
def test_crossed_pairs_are_of_two_cases(case, inverted, crossed, alike):
    pairs = RigidPairs(
        [case, inverted], [case], SPEC, WINDOW, StartSampling(error_mm=(0.0, 0.0), crossed=crossed)
    )
    for step in range(8):
        batch = pairs.sample(2, step, 0)
        agreement = np.corrcoef(batch.fixed.flatten(), batch.moving.flatten())[0, 1]
        assert (agreement > 0.5) if alike else (agreement < -0.5)
    validated = pairs.validation_sample(0)
    assert np.corrcoef(validated.fixed.flatten(), validated.moving.flatten())[0, 1] > 0.5


def test_the_truth_of_two_cases_brings_organ_onto_organ(case):
    one = source(case).known(seeding.TRAIN, 0)
    moved = rigid_motion.matrix_of([30.0, -20, 10, 0, 0, 25])
    elsewhere = replace(
        one.truth, matrix=moved @ one.truth.matrix,
        moving_centre_mm=rigid_motion.moved(moved, one.truth.moving_centre_mm[None])[0],
    )  # fmt: skip
    onto = replace(one.truth, centre_mm=one.truth.centre_mm + 7)
    both = rigid_pairs.cross_pairs(replace(one, truth=onto), replace(one, truth=elsewhere))
    found = rigid_motion.moved(both.truth.matrix, onto.centre_mm[None])[0]
    np.testing.assert_allclose(found, elsewhere.moving_centre_mm, atol=1e-9)
    np.testing.assert_allclose(both.truth.matrix[:3, :3], elsewhere.matrix[:3, :3])


def test_validation_varies_nothing_but_the_start(case):
    pairs = source(case, **VARIED)
    assert list(pairs.validation(3)) == [0, 1, 2]
    first, second = (pairs.validation_sample(number) for number in (0, 1))
    assert not torch.equal(first.rigid, second.rigid)
    assert (first.fixed - second.fixed).abs().max() < 0.2  # alike but for the range, which the pair shares
    assert list(RigidPairs([case], [], SPEC, WINDOW, StartSampling()).validation(3)) == []


def test_validation_tells_the_error_of_the_surface_before_and_after(case):
    batch = source(case, error_mm=(12.0, 12.0)).validation_sample(0)
    found = surface_errors(Output("rigid", batch.rigid), batch)
    assert found["surface_error_mm"] == pytest.approx(0, abs=1e-4)
    assert found["surface_error_before_mm"] == pytest.approx(12, abs=0.01)


@pytest.mark.parametrize(
    ("table", "mention"),
    [
        ({"speed": 1}, "speed"),
        ({"error_mm": [5, 1]}, "error_mm"),
        ({"degrees": 0, "shift_mm": 0}, "error_mm"),
        ({"scale": 1.0}, "scale"),
        ({"points": 1}, "points"),
        ({"crossed": 1.5}, "crossed"),
        ({"degrees": "5"}, "cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(table, mention):
    with pytest.raises(InputError, match=mention):
        StartSampling.from_table(table)
    assert StartSampling.from_table({"error_mm": [0.0, 8.0]}).error_mm == (0.0, 8.0)


def test_a_map_is_read_in_its_own_units(case, tmp_path):
    """Probabilities in 8 bits: only what is above a half belongs to a structure."""
    import nibabel

    scans = dict(case.scans)
    for role in ("fixed_structures", "moving_structures"):
        image = nibabel.load(case.scans[role].path)
        marked = np.asanyarray(image.dataobj)
        around = np.roll(marked, 3, 0) * np.uint8(100)  # unlikely places beside the likely ones
        made = nibabel.Nifti1Image(np.where(marked, np.uint8(255), around), image.affine)
        made.header.set_slope_inter(1 / 255, 0)
        nibabel.save(made, tmp_path / f"{role}.nii.gz")
        scans[role] = Scan(tmp_path / f"{role}.nii.gz")
    likely, plain = rigid_truth.truth_of(Case("b", ("b",), scans)), rigid_truth.truth_of(case)
    np.testing.assert_array_equal(likely.matrix, plain.matrix)
    np.testing.assert_array_equal(likely.centre_mm, plain.centre_mm)


def test_scans_are_seen_as_the_runtime_sees_them(case, tmp_path):
    """Padding far below any tissue, as of CT, is no tissue."""
    image = io.read_image(case.scans["moving"].path)
    padded = image.data.astype(np.float32) + 100
    padded[:3] = -3024
    io.write_image(Volume(padded, image.grid), tmp_path / "moving.nii.gz")
    made = Case("b", ("b",), {**case.scans, "moving": Scan(tmp_path / "moving.nii.gz")})
    seen = source(made)._known(seeding.TRAIN, 0).moving.data
    assert seen[:3].max() == 0
    assert (seen[3:] < 0.2).any()  # of -3024 to 200, all tissue would lie above 0.9


def test_maps_that_do_not_fit_together_are_refused(case, tmp_path):
    import nibabel

    image = nibabel.load(case.scans["moving_structures"].path)
    for frames, mention in ((image.slicer[..., :3], "same structures"), (None, "Structure 2")):
        path = tmp_path / f"{mention[:4]}.nii.gz"
        if frames is None:
            data = np.asanyarray(image.dataobj).copy()
            data[..., 2] = 0
            frames = nibabel.Nifti1Image(data, image.affine)
        nibabel.save(frames, path)
        scans = {**case.scans, "moving_structures": Scan(path)}
        with pytest.raises(InputError, match=mention):
            rigid_truth.truth_of(Case("b", ("b",), scans))
