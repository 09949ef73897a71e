"""Two scans in, one transform out: laws on pairs whose answer is known, odd grids, what is refused."""

import nibabel
import numpy as np
import pytest
from fixtures import scene
from fixtures.scene import FLAT, INSIDE, LEFT_HANDED, OBLIQUE, PLAIN, THIN, distance_mm
from reference.refinement import smallest_of_nine

from mmreg_rt import Grid, Registrar, Volume, write_image
from mmreg_rt.errors import BackendUnavailableError, CancelledError, GeometryError, InputError, IntensityError


@pytest.fixture(scope="module")
def scans():
    return scene.pair()


@pytest.fixture(scope="module")
def result(scans):
    return Registrar(threads=2).register(*scans)


@pytest.fixture(scope="module")
def slices():
    return scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))


def all_points(grid):
    return grid.map_indices(np.stack(np.indices(grid.shape), -1).reshape(-1, 3))


def least_determinant(field):
    """Of the nine ways to take differences, in float64, from the displacement alone."""
    u_vox = np.einsum(
        "ij,j...->i...", np.linalg.inv(field.grid.affine[:3, :3]), np.float64(field.displacement_mm)
    )
    return smallest_of_nine(u_vox).min()


def assert_free_of_folds(found):
    assert found.quality.folded_voxels == 0
    assert found.quality.inverse_folded_voxels == 0
    assert least_determinant(found.transform) > 0
    assert least_determinant(found.inverse) > 0


def assert_recovered(found, share=1 / 3, truth=scene.moved, points=INSIDE, components=3):
    reached, wanted = found.transform.map_points(points), truth(points)
    start, left = (distance_mm(p[:, :components], wanted[:, :components]) for p in (points, reached))
    assert left < share * start, f"{left:.2f} mm of {start:.2f} mm are left"


def test_a_scan_lies_on_itself_in_negative():
    fixed = scene.scan(PLAIN, True)
    found = Registrar().register(fixed, Volume(200 - fixed.data, PLAIN))
    assert distance_mm(found.transform.map_points(INSIDE), INSIDE) < 0.2  # a tenth of a voxel
    assert_free_of_folds(found)


def test_a_known_deformation_is_recovered(result):
    assert_recovered(result)
    assert result.quality.nmi_after > result.quality.nmi_before
    assert result.quality.mind_after < result.quality.mind_before


def test_nothing_folds_in_either_direction(result):
    assert_free_of_folds(result)


def test_there_and_back_is_as_near_as_the_quality_says(result):
    grid, points = result.inverse.grid, all_points(result.transform.grid)
    there = result.transform.map_points(points)
    index = grid.map_points(there)
    seen = ((index > -0.5) & (index < np.array(grid.shape) - 0.5)).all(1)
    missed = np.linalg.norm(result.inverse.map_points(there[seen]) - points[seen], axis=1)
    quality = result.quality
    # the native code measures in float32 voxels
    assert missed.mean() == pytest.approx(quality.inverse_consistency_mean_mm, rel=0.02, abs=1e-4)
    assert np.percentile(missed, 95) == pytest.approx(quality.inverse_consistency_p95_mm, rel=0.02, abs=1e-4)
    assert missed.max() == pytest.approx(quality.inverse_consistency_max_mm, rel=0.02, abs=1e-3)
    assert quality.inverse_consistency_mean_mm < 0.2  # a tenth of a voxel


def test_the_transform_is_the_affine_after_the_deformation(result):
    points = all_points(PLAIN)[::7]
    expected = result.affine.map_points(result.deformation.map_points(points))
    np.testing.assert_allclose(result.transform.map_points(points), expected, atol=1e-3)  # float32 mm


def test_the_displacement_of_the_quality_is_that_of_the_deformation(result):
    lengths = np.linalg.norm(result.deformation.displacement_mm, axis=0)
    quality = result.quality
    found = quality.displacement_p50_mm, quality.displacement_p95_mm, quality.displacement_max_mm
    assert found == pytest.approx(np.percentile(lengths, (50, 95, 100)), rel=1e-3)


def test_warped_is_the_moving_scan_seen_through_the_transform(scans, result):
    again = result.transform.warp(scans[1], scans[0])
    assert result.warped.grid == scans[0].grid
    np.testing.assert_allclose(result.warped.data, again.data, atol=0.01)  # 1e-4 of the range


def test_threads_do_not_change_a_bit(scans, result):
    other = Registrar(threads=3).register(*scans)
    np.testing.assert_array_equal(other.transform.displacement_mm, result.transform.displacement_mm)
    np.testing.assert_array_equal(other.inverse.displacement_mm, result.inverse.displacement_mm)
    np.testing.assert_array_equal(other.warped.data, result.warped.data)
    assert other.quality == result.quality


def test_every_stage_is_timed_and_the_last_is_reached(result):
    assert tuple(result.seconds) == ("read", "check", "align", "deform", "finish")
    assert all(s >= 0 for s in result.seconds.values())
    assert not result.degraded
    assert result.finished == "deform"


@pytest.mark.parametrize(("align", "rigid", "affine"), [("none", 0, 0), ("rigid", 1, 0), ("affine", 1, 1)])
def test_the_parts_that_were_asked_for_are_there(slices, align, rigid, affine):
    found = Registrar(align=align, deform=False).register(*slices)
    assert (found.rigid is not None, found.affine is not None) == (bool(rigid), bool(affine))
    assert found.deformation is None
    linear = found.affine or found.rigid
    points = all_points(FLAT)
    expected = linear.map_points(points) if linear else points
    np.testing.assert_allclose(found.transform.map_points(points), expected, atol=1e-3)  # float32 mm
    assert found.quality.displacement_max_mm == 0


def test_oblique_and_left_handed_scans_register():
    found = Registrar().register(*scene.pair(LEFT_HANDED, OBLIQUE))
    assert_recovered(found, 2 / 5)  # each resampling blurs a little
    assert_free_of_folds(found)
    assert found.inverse.grid == OBLIQUE


@pytest.mark.parametrize("fixed_grid", [PLAIN, THIN], ids=["on-a-volume", "on-each-other"])
def test_ten_thick_slices_register(fixed_grid):
    found = Registrar().register(*scene.pair(fixed_grid, THIN))
    # within the slices: across them the truth moves by a tenth of their distance of 8 mm
    assert_recovered(found, 2 / 3, components=2)
    assert_free_of_folds(found)
    assert found.inverse.grid == THIN


def test_slices_register_in_their_plane(slices):
    fixed, moving = ((v.data[0], v.grid.affine) for v in slices)
    found = Registrar().register(fixed, moving)
    points = INSIDE * (1, 1, 0)
    assert_recovered(found, truth=lambda p: scene.moved(p, plane=True), points=points)
    assert_free_of_folds(found)
    np.testing.assert_allclose(found.transform.displacement_mm[2], 0, atol=1e-4)  # float32 mm


def test_masks_leave_out_what_would_mislead(scans):
    fixed, rng = scans[0].data.copy(), np.random.default_rng(5)
    fixed[:, :12] = rng.normal(300, 100, fixed[:, :12].shape)
    mask = np.ones(fixed.shape, np.uint8)
    mask[:, :12] = 0
    found = Registrar().register(Volume(fixed, PLAIN), scans[1], fixed_mask=Volume(mask, PLAIN))
    seen = INSIDE[PLAIN.map_points(INSIDE)[:, 1] > 20]  # as far from the edge of the mask as a bump is wide
    assert_recovered(found, 3 / 4, points=seen)  # so little is seen that the deformation is left out
    assert_free_of_folds(found)


def test_a_deadline_ends_in_what_there_is(slices):
    found = Registrar().register(*slices, deadline_ms=1)
    assert found.degraded
    assert found.finished != "deform"
    assert np.isfinite(found.warped.data).all()
    assert least_determinant(found.transform) > 0
    assert least_determinant(found.inverse) > 0  # computed now, where there was no time for it


def test_progress_hears_of_the_stages_in_order(slices):
    heard = []
    Registrar(progress=lambda stage, share: heard.append((stage, share))).register(*slices)
    stages = [stage for stage, _ in heard]
    assert list(dict.fromkeys(stages)) == ["align", "deform", "finish"]
    assert stages == sorted(stages)
    assert all(0 <= share <= 1 for _, share in heard)
    shares = [share for stage, share in heard if stage == "deform"]
    assert shares == sorted(shares)


@pytest.mark.parametrize("stage", ["align", "deform", "finish"])
def test_progress_cancels_and_the_registrar_still_works(slices, stage):
    unwanted = [stage]
    registrar = Registrar(progress=lambda at, _: at in unwanted)
    with pytest.raises(CancelledError) as caught:
        registrar.register(*slices)
    assert caught.value.code == "MMREG_E_CANCELLED"
    unwanted.clear()
    assert not registrar.register(*slices).degraded


def test_an_error_of_the_callback_reaches_the_caller(slices):
    def fail(stage, _):
        raise LookupError(stage)

    with pytest.raises(LookupError, match="align"):
        Registrar(progress=fail).register(*slices)


def test_a_scan_may_be_an_array_an_image_or_a_path(slices, tmp_path):
    fixed, moving = slices
    image = nibabel.Nifti1Image(moving.data.T, moving.grid.affine[:, [2, 1, 0, 3]])
    write_image(moving, tmp_path / "moving.nii.gz")
    registrar = Registrar(align="rigid", deform=False)
    expected = registrar.register(fixed, moving).rigid.matrix
    for given in ((moving.data, moving.grid.affine), image, tmp_path / "moving.nii.gz"):
        # a header keeps its affine in float32
        np.testing.assert_allclose(registrar.register(fixed, given).rigid.matrix, expected, atol=1e-3)


def test_without_an_affine_an_array_is_refused(slices):
    with pytest.raises(InputError) as caught:
        Registrar().register(slices[0].data, slices[1])
    assert caught.value.code == "MMREG_E_IMAGE_KIND"


def with_nan(volume):
    data = volume.data.copy()
    data[0, 3, 3] = np.nan
    return Volume(data, volume.grid)


def constant(volume):
    return Volume(np.full_like(volume.data, 7), volume.grid)


def far_away(volume):
    affine = volume.grid.affine.copy()
    affine[:3, 3] += (900, 0, 0)
    return Volume(volume.data, Grid(volume.grid.shape, affine))


@pytest.mark.parametrize(
    ("spoil", "error", "code"),
    [
        (with_nan, IntensityError, "MMREG_E_INTENSITY_NOT_FINITE"),
        (constant, IntensityError, "MMREG_E_INTENSITY_CONSTANT"),
        (far_away, GeometryError, "MMREG_E_NO_OVERLAP"),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_scans_that_cannot_be_registered_are_refused(slices, spoil, error, code, which):
    given = list(slices)
    given[which] = spoil(given[which])
    with pytest.raises(error) as caught:
        Registrar().register(*given)
    assert caught.value.code == code


def test_a_slice_and_a_volume_are_refused(scans, slices):
    with pytest.raises(GeometryError) as caught:
        Registrar().register(scans[0], slices[1])
    assert caught.value.code == "MMREG_E_DIMS_MISMATCH"


@pytest.mark.parametrize("name", ["fixed_mask", "moving_mask"])
def test_an_empty_mask_is_refused(slices, name):
    with pytest.raises(InputError) as caught:
        Registrar().register(*slices, **{name: Volume(np.zeros(FLAT.shape, np.uint8), FLAT)})
    assert caught.value.code == "MMREG_E_MASK_EMPTY"


@pytest.mark.parametrize("deadline_ms", [0, -1.0, float("nan")])
def test_a_deadline_that_is_no_time_is_refused(slices, deadline_ms):
    with pytest.raises(InputError) as caught:
        Registrar().register(*slices, deadline_ms=deadline_ms)
    assert caught.value.code == "MMREG_E_DEADLINE"


@pytest.mark.parametrize(
    ("choice", "error", "code"),
    [
        ({"align": "similarity"}, InputError, "MMREG_E_ALIGN"),
        ({"threads": 0}, InputError, "MMREG_E_THREADS"),
        ({"threads": 1.5}, InputError, "MMREG_E_THREADS"),
        ({"device": "cuda:900"}, BackendUnavailableError, "MMREG_E_DEVICE"),
        ({"device": "tpu"}, BackendUnavailableError, "MMREG_E_DEVICE"),
        ({"device": "cuda:x"}, BackendUnavailableError, "MMREG_E_DEVICE"),
        ({"model": "no-such-bundle"}, InputError, "MMREG_E_MODEL"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(choice, error, code):
    with pytest.raises(error) as caught:
        Registrar(**choice)
    assert caught.value.code == code
