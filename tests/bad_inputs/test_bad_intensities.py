"""Numbers 47 to 59: intensities, masks, labels, landmarks."""

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from fixtures.grids import grid

from mmreg_rt import Rigid, Volume, _native, read_image, read_points, write_image, write_points
from mmreg_rt.input_validation import check_intensities, check_pair, check_points
from mmreg_rt.metrics import tre_mm

GRID = grid((12, 13, 14), (1, 1, 1))
IDENTITY = Rigid(np.eye(4))


def noise(seed=1):
    return np.random.default_rng(seed).uniform(50, 150, GRID.shape).astype(np.float32)


def volume(data):
    return Volume(np.asarray(data), GRID)


GOOD = volume(noise(2))


def check(data, mask=None):
    return check_pair(volume(data), GOOD, None if mask is None else volume(mask))


def features(data):
    """MIND-SSC of an image: what the registration looks at."""
    return _native.mind(np.ascontiguousarray(data, np.float32), 1, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@case(47, "NaN or infinite voxels", "MMREG_E_INTENSITY_NOT_FINITE")
def test_47_voxels_that_are_not_finite(bad):
    data = noise()
    data[3, 4, 5] = data[7, 0, 0] = bad
    with refused("MMREG_E_INTENSITY_NOT_FINITE", "fixed", "2 of 2184", (3, 4, 5)):
        check(data)
    with refused("MMREG_E_INTENSITY_NOT_FINITE", "moving"):
        check_pair(GOOD, volume(data))


@pytest.mark.parametrize("value", [0, 7.5, -1000])
@case(48, "all constant or all zero", "MMREG_E_INTENSITY_CONSTANT")
def test_48_a_constant_image(value):
    with refused("MMREG_E_INTENSITY_CONSTANT", "fixed", f"{value:g}"):
        check(np.full(GRID.shape, value, np.float32))
    with refused("MMREG_E_INTENSITY_CONSTANT"):  # constant where it counts
        check(np.where(np.indices(GRID.shape)[0] > 5, 3, noise()), np.indices(GRID.shape)[0] > 5)
    with refused("MMREG_E_INTENSITY_CONSTANT"):  # rounding of a constant
        check(np.full(GRID.shape, 1e6, np.float32) + np.float32(0.06) * (np.indices(GRID.shape)[0] % 2))


@case(
    49,
    "all NaN outside the mask",
    "MMREG_E_INTENSITY_NOT_FINITE",
    handled="With a mask they are replaced by the lowest value inside, with a warning.",
)
def test_49_nan_outside_the_mask():
    mask = np.indices(GRID.shape)[1] > 4
    data = np.where(mask, noise(), np.nan)
    with refused("MMREG_E_INTENSITY_NOT_FINITE", "give a mask"):
        check(data)
    found = check(data, mask)
    np.testing.assert_array_equal(found.fixed.data[mask], data[mask].astype(np.float32))
    assert (found.fixed.data[~mask] == data[mask].min().astype(np.float32)).all()
    assert len(found.warnings) == 1
    with refused("MMREG_E_INTENSITY_NOT_FINITE", "inside its mask"):
        check(np.full(GRID.shape, np.nan), mask)


@pytest.mark.parametrize("padding", [-32768, -2000, -3024])
@case(
    50,
    "huge dynamic range, CT padding",
    handled="Padding far below air is replaced by the lowest measured value, with a warning.",
)
def test_50_ct_padding(padding):
    data = np.random.default_rng(3).integers(-1024, 3071, GRID.shape).astype(np.int16)
    outside = np.indices(GRID.shape)[2] < 4
    data[outside] = padding
    found = check(data)
    assert found.fixed.data.min() == data[~outside].min()
    np.testing.assert_array_equal(found.fixed.data[~outside], data[~outside])
    assert str(padding) in found.warnings[0]
    assert not check(np.where(outside, -1024, data)).warnings  # air
    assert not check(np.where(outside, 1e9, noise())).warnings  # large, and perhaps meant


@case(
    51,
    "wrong modality declared",
    handled="There is no declared modality; features do not depend on gain and offset.",
)
def test_51_no_modality_is_declared():
    # MIND compares patches with their neighbourhood relative to the local variance: gain and offset cancel
    np.testing.assert_allclose(features(noise() * 7 - 1000), features(noise()), atol=2e-3)


@case(52, "inverted contrast", handled="Features of an image and of its negative are equal.")
def test_52_inverted_contrast():
    np.testing.assert_allclose(features(200 - noise()), features(noise()), atol=1e-5)


@case(53, "saturated metal or electrodes", handled="Features change only near the metal.")
def test_53_saturated_metal():
    shape = (40, 44, 48)
    clean = np.random.default_rng(7).uniform(-100, 200, shape).astype(np.float32)
    metal = clean.copy()
    metal[19:21, 21:23, 20:24] = 3071  # where a 12-bit scanner saturates
    check_intensities(Volume(metal, grid(shape, (1, 1, 1))), None, "fixed")
    before, after = features(clean), features(metal)
    changed = np.abs(after - before).max(axis=[n not in shape for n in before.shape].index(True))
    index = np.indices(shape)
    low, high = np.reshape((19, 21, 20), (3, 1, 1, 1)), np.reshape((20, 22, 23), (3, 1, 1, 1))
    reach = np.maximum(low - index, index - high).max(axis=0)
    assert np.isfinite(after).all()
    # two steps of dilation 2 and a patch of radius 1 reach 5 voxels; beyond, the variance is what it was
    np.testing.assert_array_equal(changed[reach > 5], 0)
    assert changed[reach <= 1].max() > 0.05


@case(54, "salt and pepper, ultrasound shadow", handled="Accepted; features stay finite and between 0 and 1.")
def test_54_salt_and_pepper_and_shadow():
    rng = np.random.default_rng(5)
    data = noise()
    data[rng.uniform(size=data.shape) < 0.2] = 0
    data[rng.uniform(size=data.shape) < 0.2] = 255
    data[:, 5:, 4:7] = 0  # shadow
    assert not check(data).warnings
    found = features(data)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@case(55, "denormal numbers", handled="Replaced by 0, with a warning.")
def test_55_denormal_numbers():
    data = noise()
    data[:4] = 1e-40
    found = check(data)
    assert (found.fixed.data[:4] == 0).all()
    np.testing.assert_array_equal(found.fixed.data[4:], data[4:])
    assert "denormal" in found.warnings[0]


@case(55, "nothing but denormal numbers", "MMREG_E_INTENSITY_CONSTANT")
def test_55_nothing_but_denormal_numbers():
    with refused("MMREG_E_INTENSITY_CONSTANT", "fixed"):
        check(noise() * np.float32(1e-42))


@case(
    56,
    "overflow on a cast",
    "MMREG_E_INTENSITY_OVERFLOW",
    handled="An image is written in its own dtype, never in that of its header.",
)
def test_56_overflow_on_a_cast(tmp_path):
    data = noise().astype(np.float64)
    data[0, 0, 1] = 1e300
    with refused("MMREG_E_INTENSITY_OVERFLOW", "1e+300", (0, 0, 1)):
        check(data)
    write_image(volume(np.ones(GRID.shape, np.uint8)), tmp_path / "fixed.nii")
    fixed = read_image(tmp_path / "fixed.nii")
    write_image(fixed.with_data(np.full(GRID.shape, 70000.5)), tmp_path / "warped.nii")
    assert (read_image(tmp_path / "warped.nii").data == 70000.5).all()
    for dtype, value in ((np.uint64, 2**64 - 1), (np.int64, 2**63 - 1)):
        extreme = np.zeros(GRID.shape, dtype)
        extreme[0] = value
        assert check(extreme).fixed.data[0, 0, 0] == np.float32(value)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
@case(
    57,
    "mask empty, not binary, on another grid, float",
    "MMREG_E_MASK_EMPTY",
    "MMREG_E_MASK_NOT_BINARY",
    "MMREG_E_MASK_GRID",
    handled="Any dtype is accepted, with 0 and one other value.",
)
def test_57_masks(dtype):
    mask = (np.indices(GRID.shape)[0] > 3).astype(dtype)
    np.testing.assert_array_equal(check(noise(), mask).fixed_mask, mask != 0)
    np.testing.assert_array_equal(check(noise(), mask * dtype(200)).fixed_mask, mask != 0)
    with refused("MMREG_E_MASK_EMPTY", "fixed"):
        check(noise(), np.zeros(GRID.shape, dtype))
    other = Volume(mask, grid(GRID.shape, (1, 1, 1), origin_mm=(0.5, 0, 0)))
    with refused("MMREG_E_MASK_GRID", "moving", "warp_labels"):
        check_pair(GOOD, GOOD, None, other)
    if dtype is not bool:
        for labels in (np.indices(GRID.shape)[0], np.where(mask, 1, 0.5 if dtype is np.float32 else 2)):
            with refused("MMREG_E_MASK_NOT_BINARY", "fixed"):
                check(noise(), labels.astype(dtype))
    with refused("MMREG_E_MASK_NOT_BINARY", "nan"):
        check(noise(), np.where(mask, 1, np.nan))


@case(
    58,
    "labels above 65535, negative or fractional",
    "MMREG_E_LABELS_FRACTIONAL",
    "MMREG_E_LABELS_RANGE",
    handled="Integers of 32 bits keep their value.",
)
def test_58_labels():
    for names in ((0, 70000, 16777217, 2**31 - 1), (0, -1, -(2**31), 5), (0.0, 3.0, -7.0, 4e6)):
        labels = np.array(names)[np.indices(GRID.shape).sum(axis=0) % 4]
        np.testing.assert_array_equal(IDENTITY.warp_labels(volume(labels)).data, labels)
    for bad in (0.5, np.nan, np.inf):
        with refused("MMREG_E_LABELS_FRACTIONAL", bad):
            IDENTITY.warp_labels(volume(np.full(GRID.shape, bad)))
    with refused("MMREG_E_LABELS_RANGE", 2**31):
        IDENTITY.warp_labels(volume(np.full(GRID.shape, 2**31)))


@pytest.mark.parametrize(
    ("content", "code", "mention"),
    [
        (b"\xef\xbb\xbfx,y,z\n1,2,3\n", "MMREG_E_TEXT_BOM", "UTF-8 without BOM"),
        (b"x;y;z\n1;2;3\n", "MMREG_E_POINTS_HEADING", "separator is a comma"),
        (b"1,2,3\n", "MMREG_E_POINTS_HEADING", "x,y,z"),
        (b"x,y,z,t\n1,2,3,0\n", "MMREG_E_POINTS_HEADING", "LPS"),
        (b"x,y,z\n1;2;3\n", "MMREG_E_POINTS_ROW", "commas as separators"),
        (b"x,y,z\n1,5,2,5,3,5\n", "MMREG_E_POINTS_ROW", "decimal points"),
        (b"x,y,z\n1,2\n", "MMREG_E_POINTS_ROW", "Line 2"),
        (b"x,y,z\n1,2,3\n1,2,nan\n", "MMREG_E_POINTS_ROW", "Leave out"),
        (b"x,y,z\n1,2,inf\n", "MMREG_E_POINTS_ROW", "Leave out"),
        (b"x,y,z\n1,2,1e999\n", "MMREG_E_POINTS_NOT_FINITE", "Line 2"),
        (b"x,y,z\n1,2,1_0\n", "MMREG_E_POINTS_ROW", "Line 2"),
        (b"x,y,z\n\n", "MMREG_E_POINTS_EMPTY", "no point"),
    ],
)  # fmt: skip
@case(
    59,
    "landmarks: BOM, semicolons, decimal commas, NaN",
    "MMREG_E_TEXT_BOM",
    "MMREG_E_POINTS_HEADING",
    "MMREG_E_POINTS_ROW",
    "MMREG_E_POINTS_NOT_FINITE",
    "MMREG_E_POINTS_EMPTY",
)
def test_59_landmark_files(content, code, mention, tmp_path):
    (tmp_path / "p.csv").write_bytes(content)
    with refused(code, "p.csv", mention):
        read_points(tmp_path / "p.csv")


@case(
    59,
    "landmarks outside, of wrong count, LPS for RAS",
    "MMREG_E_POINTS_OUTSIDE",
    "MMREG_E_POINTS_COUNT",
    "MMREG_E_POINTS_NOT_FINITE",
)
def test_59_landmarks_against_their_scan(tmp_path):
    far = grid((20, 20, 20), (1, 1, 1), origin_mm=(5, 30, -10))
    inside = far.map_indices(np.random.default_rng(6).uniform(0, 19, (8, 3)))
    assert check_points(inside, far, "moving") == []
    assert "1 of 8" in check_points(np.r_[inside[:7], [[0, 0, 0]]], far, "moving")[0]
    with refused("MMREG_E_POINTS_OUTSIDE", "moving", "8 of 8", "LPS"):
        check_points(inside * (-1, -1, 1), far, "moving")
    with refused("MMREG_E_POINTS_OUTSIDE", "in mm"):
        check_points(inside / 1000, far, "moving")
    with refused("MMREG_E_POINTS_NOT_FINITE", "row 3"):
        check_points(np.where(np.arange(8)[:, None] == 3, np.nan, inside), far, "moving")
    with refused("MMREG_E_POINTS_COUNT", 8, 7):
        tre_mm(IDENTITY, inside, inside[:7])
    with refused("MMREG_E_POINTS_NOT_FINITE"):
        write_points([[np.inf, 0, 0]], tmp_path / "p.csv")
