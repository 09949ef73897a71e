"""Preprocessing: laws of the network's grid and of its intensities, then settings that are refused."""

from itertools import permutations

import numpy as np
import pytest
from fixtures.grids import GRIDS, LEFT_HANDED, OBLIQUE, grid, rotation

from mmreg_rt.errors import GeometryError, InputError, IntensityError
from mmreg_rt.geometry import Grid
from mmreg_rt.preprocess import PreprocessSpec, network_grid, normalise

SPACINGS = (None, 0.9, 2.0)
ORIENTATIONS = ("RAS", "LPS", "SRA")
COVERED_VOX = 1e-4  # what is left out at most on both sides together: rounding of headers


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def fixed(request):
    return request.param


@pytest.fixture(params=ORIENTATIONS)
def orientation(request):
    return request.param


@pytest.fixture(params=SPACINGS)
def spec(request, orientation):
    return PreprocessSpec(request.param, 4, orientation=orientation)


def outer_corners(of):
    """The eight corners of the field of view, half a voxel beyond the centres."""
    return of.map_indices(np.array([*np.ndindex(2, 2, 2)]) * of.shape - 0.5)


def test_the_network_grid_covers_the_field_of_view(fixed, spec):
    made = network_grid(fixed, spec)
    index = made.map_points(outer_corners(fixed))
    if fixed.dims == 2:  # the slice keeps its thickness
        np.testing.assert_allclose(np.abs(index[:, 0]), 0.5, atol=1e-9)
    assert (index >= -0.5 - COVERED_VOX).all()
    assert (index <= np.array(made.shape) - 0.5 + COVERED_VOX).all()


def test_it_is_centred_and_no_larger_than_one_multiple_more(fixed, spec):
    made = network_grid(fixed, spec)
    off_vox = made.map_points(fixed.centre_mm[None])[0] - (np.array(made.shape) - 1) / 2
    assert (np.abs(off_vox) <= 0.5 + 1e-9).all()  # half a voxel where that keeps voxels where they are
    first = fixed.dims == 2
    assert all(n % spec.multiple == 0 for n in made.shape[first:])
    extent = np.ptp(made.map_points(outer_corners(fixed)), axis=0)
    assert (np.array(made.shape)[first:] - extent[first:] < spec.multiple + COVERED_VOX).all()


def test_its_spacing_is_the_one_asked_for(fixed, spec):
    made = network_grid(fixed, spec)
    if spec.spacing_mm is None:
        np.testing.assert_allclose(sorted(made.spacing_mm), sorted(fixed.spacing_mm), rtol=1e-12)
    else:
        first = fixed.dims == 2
        np.testing.assert_allclose(made.spacing_mm[first:], spec.spacing_mm, rtol=1e-12)
    assert made.dims == fixed.dims


def test_its_axes_are_those_of_the_scan(fixed, spec):
    """Oblique scans stay oblique: each new axis is an old one, or its opposite."""
    made = network_grid(fixed, spec)
    cosines = (made.affine[:3, :3] / made.spacing_mm).T @ (fixed.affine[:3, :3] / fixed.spacing_mm)
    np.testing.assert_allclose(np.sort(np.abs(cosines), axis=1), [[0, 0, 1]] * 3, atol=1e-12)


def test_no_other_order_of_the_axes_comes_nearer_to_the_orientation(fixed, orientation):
    made = network_grid(fixed, PreprocessSpec(orientation=orientation))
    towards = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1)}
    wanted = np.array([towards[c] for c in reversed(orientation)])
    cosines = wanted @ (made.affine[:3, :3] / made.spacing_mm)
    if made.dims == 3:
        fits = [sum(abs(cosines[i, j]) for i, j in enumerate(order)) for order in permutations(range(3))]
        assert np.trace(np.abs(cosines)) == pytest.approx(max(fits))
        assert (np.diag(cosines) > 0).all()


def test_a_network_grid_is_its_own_network_grid(fixed, spec):
    made = network_grid(fixed, spec)
    assert network_grid(made, spec) is made


@pytest.mark.parametrize("off_mm", [0, 1e-9])
def test_a_scan_that_lies_as_the_network_wants_it_is_left_alone(off_mm):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ::-1] * (1.5 + off_mm)
    scan = Grid((16, 32, 48), affine)
    assert network_grid(scan, PreprocessSpec(1.5)) is scan


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 6, 7)])
def test_left_handed_axes_become_right_handed(shape):
    scan = grid(shape, (1, 1, 1), 5, (1, 1, -1))
    assert scan.handedness == "left"
    assert network_grid(scan, PreprocessSpec()).handedness == "right"


@pytest.mark.parametrize(
    ("across", "down", "right"),
    [("S", "A", "R"), ("A", "S", "R"), ("R", "S", "A")],  # axial, coronal, sagittal
)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_a_slice_is_seen_along_its_own_axis(across, down, right, swap, flips):
    unit = {"R": (1, 0, 0), "A": (0, 1, 0), "S": (0, 0, 1)}
    names = (across, right, down) if swap else (across, down, right)
    affine = np.eye(4)
    affine[:3, :3] = np.array([unit[c] for c in names]).T * flips * (4, 0.5, 0.5)
    made = network_grid(Grid((1, 20, 24), affine), PreprocessSpec(0.5, 8))
    directions = made.affine[:3, :3] / made.spacing_mm
    np.testing.assert_allclose(directions[:, 1:].T, [unit[down], unit[right]], atol=1e-12)
    assert made.shape == ((1, 24, 24))
    assert made.spacing_mm[0] == pytest.approx(4)


def test_an_axis_halfway_between_two_directions_is_chosen_alike_whatever_the_rounding():
    chosen = set()
    for tilt in (45 - 1e-9, 45, 45 + 1e-9):
        affine = np.eye(4)
        affine[:3, :3] = rotation((1, 0, 0), tilt) @ np.eye(3)[:, ::-1]
        made = network_grid(Grid((5, 6, 7), affine), PreprocessSpec(multiple=1))
        chosen.add(made.shape)
    assert len(chosen) == 1


@pytest.mark.parametrize("spacing_mm", [None, 1.5])
@pytest.mark.parametrize("shape", [(7, 18, 21), (16, 17, 30), (1, 9, 12)])
def test_voxels_stay_where_they_are_where_the_spacing_stays(shape, spacing_mm):
    """Between voxels both scans would be blurred by their interpolation."""
    fixed = grid(shape, (1.5, 1.5, 1.5), 25, origin_mm=(3, -40, 25))
    made = network_grid(fixed, PreprocessSpec(spacing_mm, 8))
    at = made.map_points(fixed.map_indices(np.array([[0, 0, 0], np.array(shape) - 1])))
    np.testing.assert_allclose(at, np.round(at), atol=1e-9)
    assert (at.round() >= 0).all()
    assert (at.round() < made.shape).all()


def test_a_network_grid_too_large_is_refused():
    scan = grid((100, 100, 100), (50, 50, 50))
    with pytest.raises(GeometryError, match="Crop"):
        network_grid(scan, PreprocessSpec(0.05))


@pytest.mark.parametrize("scan", [OBLIQUE, LEFT_HANDED])
def test_the_scan_is_not_changed(scan):
    before = scan.affine.copy()
    network_grid(scan, PreprocessSpec(1.0))
    np.testing.assert_array_equal(scan.affine, before)


# ---- intensities

RULES = (
    PreprocessSpec(),
    PreprocessSpec(intensity="minmax"),
    PreprocessSpec(intensity="window", low=-50, high=80),
)


@pytest.fixture(params=RULES, ids=lambda spec: spec.intensity)
def rule(request):
    return request.param


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.uint8])
def test_intensities_end_in_0_to_1_as_float32(rule, dtype):
    data = np.random.default_rng(1).normal(60, 40, (5, 6, 7)).clip(0, 250).astype(dtype)
    made = normalise(data, rule)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    assert made.min() >= 0
    assert made.max() <= 1


def test_order_is_kept(rule):
    data = np.random.default_rng(2).normal(0, 60, (4, 5, 6)).astype(np.float32)
    made = normalise(data, rule).ravel()[np.argsort(data.ravel())]
    assert (np.diff(made) >= 0).all()
    assert np.ptp(made) > 0.5


@pytest.mark.parametrize("intensity", ["percentile", "minmax"])
def test_gain_and_offset_do_not_matter_without_a_window(intensity):
    spec = PreprocessSpec(intensity=intensity)
    data = np.random.default_rng(3).normal(0, 1, (4, 5, 6)).astype(np.float32)
    # float32 rounding of 1000 against a range of about 35
    np.testing.assert_allclose(normalise(7 * data + 1000, spec), normalise(data, spec), atol=2e-5)


def test_a_window_is_in_units_of_the_scan():
    spec = PreprocessSpec(intensity="window", low=-100, high=300)
    data = np.float32([[[-1000, -100, 100, 300, 2000]]])
    np.testing.assert_allclose(normalise(data, spec), [[[0, 0, 0.5, 1, 1]]], atol=1e-7)


def test_percentiles_are_of_the_voxels_above_the_lowest_value():
    data = np.zeros((1, 40, 50), np.float32)
    data[0, 0] = np.arange(1, 51)  # 2.5 % of the voxels
    made = normalise(data, PreprocessSpec(low=0, high=50))
    # nearest rank: 0 % of 49 steps is 1, 50 % is the 24th (halves go to even), 25
    np.testing.assert_allclose(made[0, 0], ((np.arange(1, 51) - 1) / 24).clip(0, 1), atol=1e-6)
    assert not made[0, 1:].any()


def test_a_constant_image_becomes_zero(rule):
    assert not normalise(np.full((2, 3, 4), 70.0), rule).any()


def test_a_mask_keeps_its_two_values():
    data = np.zeros((2, 3, 4))
    data[0] = 5
    np.testing.assert_array_equal(normalise(data, PreprocessSpec()), data / 5)


@pytest.mark.parametrize("scale", [1e-42, 1e-38, 1e-20, 3e38])
@pytest.mark.parametrize("intensity", ["percentile", "minmax"])
def test_extreme_ranges_neither_overflow_nor_vanish(intensity, scale):
    data = (np.linspace(-1, 1, 60) * scale).astype(np.float32).reshape(3, 4, 5)
    made = normalise(data, PreprocessSpec(intensity=intensity, low=0, high=100))
    assert np.isfinite(made).all()
    assert made.max() == pytest.approx(1)
    assert np.unique(made).size > 30  # the smallest are denormal, with few digits


def test_the_callers_array_is_not_written(rule):
    data = np.random.default_rng(4).random((3, 4, 5), np.float32)
    before = data.copy()
    normalise(data, rule)
    np.testing.assert_array_equal(data, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(rule, bad):
    data = np.random.default_rng(5).random((3, 4, 5))
    data[1, 2, 3] = bad
    with pytest.raises(IntensityError, match="MMREG_E_INTENSITY_NOT_FINITE"):
        normalise(data, rule)


# ---- settings


def test_settings_survive_as_plain_data(rule):
    assert PreprocessSpec.from_dict(rule.as_dict()) == rule


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_mm": 0},
        {"spacing_mm": -1.0},
        {"spacing_mm": float("nan")},
        {"spacing_mm": "1"},
        {"spacing_mm": True},
        {"spacing_mm": 10**400},
        {"multiple": 0},
        {"multiple": 16.0},
        {"multiple": True},
        {"multiple": 10**6},
        {"intensity": "zscore"},
        {"intensity": ["percentile"]},
        {"low": 99.6},
        {"low": -1},
        {"high": 101},
        {"high": None},
        {"orientation": "RAR"},
        {"orientation": "RL"},
        {"orientation": "ras"},
        {"orientation": ["R", "A", "S"]},
        {"surplus": 1},
    ],
)
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(InputError, match="MMREG_E_PREPROCESS_SPEC"):
        PreprocessSpec.from_dict(PreprocessSpec().as_dict() | change)


def test_a_missing_setting_is_refused_by_name():
    settings = PreprocessSpec().as_dict()
    del settings["low"]
    with pytest.raises(InputError, match="missing: low"):
        PreprocessSpec.from_dict(settings)
