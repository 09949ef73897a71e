"""Figures that do not depend on how intensities are stored, what is kept, and what may pass."""

import numpy as np
import pytest

from mmreg_rt import Registrar, Rigid
from mmreg_rt.phantom import phantom
from mmreg_rt.report import figures, verdict

SHAPE, SPACING = (26, 30, 34), 3.0
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.eye(3)[::-1] * SPACING
AFFINE[:3, 3] = -(np.array(SHAPE[::-1]) - 1) / 2 * SPACING
PARTS = [  # mm and weights in two contrasts
    ((0, 0, 0), (40, 34, 31), 0.3, 1.0),
    ((0, 0, 0), (35, 29, 27), 0.5, -0.75),
    ((12, 8, 4), (14, 9, 8), -0.35, 0.3),
    ((-8, -12, 6), (12, 7, 10), 0.4, -0.15),
    ((-20, 5, -8), (8, 12, 6), 0.5, -0.2),
    ((16, -8, -10), (6, 5, 9), -0.3, 0.35),
    ((-4, 16, 12), (8, 4, 5), 0.45, 0.25),
]


def moved(shift=(0.0, 0.0, 0.0), degrees=0.0, shape=SHAPE, affine=AFFINE):
    """Points of the grid where the body lies after a turn about z and a shift."""
    p = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (p - shift) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def head(contrast, *where, seed=0, **options):
    q = moved(*where, **options)
    image = np.zeros(len(q))
    for m, r, *weights in PARTS:
        inside = np.sqrt((((q - m) / r) ** 2).sum(1))
        image += weights[contrast] / (1 + np.exp(np.clip(12 * (inside - 1), -60, 60)))
    texture = np.sin(q[:, 0] / 5 + 1) * np.sin(q[:, 1] / 6) * np.sin(q[:, 2] / 4 + 2)
    image += 0.05 * texture * (np.sqrt(((q / (35, 29, 27)) ** 2).sum(1)) < 1)
    shape = options.get("shape", SHAPE)
    noise = np.random.default_rng(seed).normal(0, 0.01, shape)
    return np.float32(1000 * (image.reshape(shape) + noise))


FIXED, MOVING = head(0), head(1, (6, -5, 4), 6, seed=1)
RIGID = Registrar(deform=False, threads=1)


def quality(fixed=FIXED, moving=MOVING, fixed_affine=AFFINE, moving_affine=AFFINE):
    return RIGID.register((fixed, fixed_affine), (moving, moving_affine)).quality


@pytest.fixture(scope="module")
def plain():
    return quality()


def padded(image, value, voxels=6):
    affine = AFFINE.copy()
    affine[:3, 3] = (AFFINE @ [-voxels, -voxels, -voxels, 1])[:3]
    return np.pad(image, voxels, constant_values=value), affine


def stored(kind, image):
    """The image as other programs may store it."""
    if kind == "uint16 and 32768":
        return np.uint16(np.rint(image + 32768))
    offset, gain = kind
    return np.float32(np.float64(image) * gain + offset)


STORED = [(-1000, 1), (1e5, 1), (-1e5, 1), (3000, 1e3), (0, 1e-3), (0, 1e3), (1e5, 10), "uint16 and 32768"]


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_figures_do_not_depend_on_how_intensities_are_stored(plain, side, kind):
    """By more than the alignment itself changes, which climbs to a hundredth of a voxel on rounded values."""
    found = quality(**{side: stored(kind, FIXED if side == "fixed" else MOVING)})
    for name in ("nmi_before", "nmi_after"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), abs=0.01)
    for name in ("mind_before", "mind_after"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=0.05)
    assert found.overlap_fraction == pytest.approx(plain.overlap_fraction, abs=0.01)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_figures_do_not_depend_on_a_border_of_background(plain, side):
    image, affine = padded(FIXED if side == "fixed" else MOVING, 0.0)
    found = quality(**{side: image, f"{side}_affine": affine})
    for name in ("nmi_before", "nmi_after"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), abs=0.02)
    assert found.mind_after == pytest.approx(plain.mind_after, rel=0.15)
    assert found.overlap_fraction == pytest.approx(plain.overlap_fraction, abs=0.03)


def judged(fixed, moving, affine=AFFINE, **options):
    registrar = Registrar(threads=1, **options)
    result = registrar.register((fixed, AFFINE), (moving, affine))
    return result, verdict(figures(result))


ALIGNED = {"itself": FIXED, "again": head(0, seed=5)}


@pytest.mark.parametrize("moving", ALIGNED.values(), ids=ALIGNED.keys())
def test_scans_that_are_aligned_stay_where_they_are(moving):
    result, state = judged(FIXED, moving)
    assert np.abs(result.transform.displacement_mm).max() == 0
    assert state == "pass"
    assert any("headers" in warning for warning in result.warnings)


def test_a_slice_and_itself():
    flat = FIXED[12]
    result, state = judged(flat, flat.copy())
    assert np.abs(result.transform.displacement_mm).max() == 0
    assert state == "pass"


def test_origins_that_say_nothing_do_not_change_the_verdict():
    affine = AFFINE.copy()
    affine[:3, 3] += 500
    result, state = judged(FIXED, MOVING, affine, same_space=False)
    assert result.quality.nmi_before is None
    assert state == judged(FIXED, MOVING)[1] != "fail"


def test_a_deformation_that_fits_a_blurred_scan_is_left_out():
    """As of SPECT: nothing in it is as sharp as what a deformation would need."""
    from scipy import ndimage

    rng = np.random.default_rng(3)
    rate = np.clip(ndimage.gaussian_filter(head(1, (6, -5, 4), 6, seed=1), 2), 0, None)
    counts = ndimage.gaussian_filter(rng.poisson(rate / rate.max() * 40).astype(np.float32), 1)
    result, _ = judged(FIXED, counts)
    assert result.deformation is None
    assert any("deformation was left out" in warning for warning in result.warnings)
    affine, _ = judged(FIXED, counts, deform=False)
    np.testing.assert_array_equal(result.transform.displacement_mm, affine.transform.displacement_mm)


def mirrored(image, axis):
    return np.ascontiguousarray(np.flip(image, axis))


WRONG = {
    "half turn": head(1, (3, 2, 0), 180, seed=2),
    "half turn, one contrast": head(0, (3, 2, 0), 180, seed=2),
    "mirrored, left and right": mirrored(MOVING, 2),
    "mirrored, front and back": mirrored(MOVING, 1),
    "mirrored, head and feet": mirrored(MOVING, 0),
    "mirrored, one contrast": mirrored(head(0, (6, -5, 4), 6, seed=1), 2),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_turned_or_mirrored_does_not_pass_where_it_ends_wrong(kind):
    result, state = judged(FIXED, WRONG[kind])
    if "turn" in kind:  # a search that reaches it may be right
        inside = moved()[np.sqrt(((moved() / (30, 25, 22)) ** 2).sum(1)) < 1]
        truth = inside * (-1, -1, 1) + (3, 2, 0)
        error = np.linalg.norm(result.transform.map_points(inside) - truth, axis=1).mean()
        assert error < SPACING or state != "pass"
    else:
        assert state != "pass"


@pytest.mark.parametrize("shift_mm", [12.0, 20.0, 30.0])
def test_a_start_far_off_that_nothing_moves_does_not_pass(shift_mm):
    assert judged(FIXED, head(1, (shift_mm, 0, 0), seed=3), align="none", deform=False)[1] != "pass"


def normalised_information(a, b, bins):
    share = np.histogram2d(a, b, bins)[0] / len(a)
    entropy = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (share.sum(0), share.sum(1), share)]
    return (entropy[0] + entropy[1]) / entropy[2]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gain_in_similarity_depends_little_on_the_number_of_bins(seed):
    """Half to twice the 48 bins of ``nmi_before`` and ``nmi_after``: the gain changes by less than half."""
    pair = phantom(seed, scale=3)
    result = Registrar().register(pair.fixed, pair.moving)
    before = Rigid(np.eye(4)).warp(pair.moving, pair.fixed)
    fixed = pair.fixed.as_float32()
    body = (result.valid > 0) & (fixed > 0.1 * fixed.max())
    gains = {
        bins: normalised_information(fixed[body], result.warped.data[body], bins)
        - normalised_information(fixed[body], before.data[body], bins)
        for bins in (24, 32, 48, 64, 96)
    }
    assert all(2 / 3 < gain / gains[48] < 3 / 2 for gain in gains.values()), gains
