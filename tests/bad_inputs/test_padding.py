"""CT padding of every kind: found, named, and without an effect on the registration."""

import numpy as np
import pytest

from mmreg_rt import Registrar
from mmreg_rt.preprocess.padding import without_padding

SHAPE = (32, 40, 40)
AFFINE = np.array([[0, 0, 4.0, -78], [0, 4.0, 0, -78], [4.0, 0, 0, -62], [0, 0, 0, 1]])
Z, Y, X = np.indices(SHAPE)
RADIUS = np.hypot(Y - 19.5, X - 19.5)
OUTSIDE = RADIUS > 18.5


def ellipsoid(q, centre, radii):
    return 1 / (1 + np.exp(np.clip(14 * (np.sqrt((((q - centre) / radii) ** 2).sum(-1)) - 1), -60, 60)))


def body(shift=(0.0, 0.0, 0.0), degrees=0.0):
    """The organs, at the points of the grid, of a body that is moved by ``shift`` (mm) after a turn."""
    p = np.stack([X, Y, Z], -1) * 4.0 + AFFINE[:3, 3]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    q = (p - shift) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    organs = [
        ((0, 0, 0), (52, 42, 50)),
        ((18, 8, 5), (16, 20, 14)),
        ((-20, -6, 10), (14, 17, 20)),
        ((4, -18, -16), (20, 9, 12)),
        ((-8, 17, -14), (9, 8, 15)),
    ]
    return [ellipsoid(q, np.array(m), np.array(r)) for m, r in organs]


def mr():
    weights = (0.6, 0.35, -0.3, 0.3, -0.4)
    noise = np.random.default_rng(1).normal(0, 0.01, SHAPE)
    return np.float32(1000 * (sum(w * o for w, o in zip(weights, body(), strict=True)) + noise))


SHIFT, DEGREES = (9.0, -7.0, 5.0), 7.0


def ct():
    """In HU: air of -1000, tissue from 0 to 300."""
    weights = (1030, 160, -130, 260, 90)
    noise = np.random.default_rng(2).normal(0, 8, SHAPE)
    organs = body(SHIFT, DEGREES)
    return np.rint(-1000 + sum(w * o for w, o in zip(weights, organs, strict=True)) + noise).astype(
        np.float32
    )


def blurred(data, sigma):
    from scipy import ndimage

    return ndimage.gaussian_filter(np.float64(data), sigma).astype(np.float32)


def tilted(data):
    """Sheared along the slices and interpolated, as a gantry tilt is undone."""
    from scipy import ndimage

    shear = np.array([[1, 0, 0], [0.25, 1, 0], [0, 0, 1]])
    return ndimage.affine_transform(data, shear, (0, -4, 0), order=1, mode="nearest").astype(np.float32)


def filled(*values):
    """The outside of the field of view filled with the values, in sectors."""
    data, sector = ct(), np.floor((np.arctan2(Y - 19.5, X - 19.5) / (2 * np.pi) + 0.5) * len(values))
    for k, value in enumerate(values):
        data[OUTSIDE & (np.clip(sector, 0, len(values) - 1) == k)] = value
    return data


PADDED = {
    "-1024": filled(-1024),
    "-2000": filled(-2000),
    "-3024": filled(-3024),
    "-32768": filled(-32768),
    "zero": filled(0),
    "two": filled(-3024, -32768),
    "three": filled(-2000, -3024, -8192),
    "wrapped": filled(-2000) % 65536,
    "wrapped, two": filled(-2000, -3024) % 65536,
    "wrapped, air": filled(-1024) % 65536,
    "blurred": blurred(filled(-32768), 0.8),
    "blurred, two": blurred(filled(-3024, -32768), 0.7),
    "blurred, mild": blurred(filled(-3024), 1.0),
    "slices": np.where(Z < 4, np.float32(-2000), filled(-3024)),
}


@pytest.mark.parametrize("kind", PADDED)
def test_filled_voxels_become_air_and_the_rest_stays(kind):
    clean, remarks, _ = without_padding(PADDED[kind])
    assert clean.min() >= -1100  # air and its noise
    truth = np.where(OUTSIDE, np.float32(-1000), ct())
    seen = RADIUS < 15  # further in than any blur reaches
    if "slices" in kind:
        seen &= Z > 8
    tolerance = 400 if "blurred" in kind else 0.5  # edges of organs
    assert np.abs(clean - truth)[seen].max() <= tolerance
    assert np.abs(clean - truth)[OUTSIDE & ((Z > 8) & (RADIUS > 21))].max() < 100
    assert bool(remarks) == (kind != "-1024")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("two", ("-32768", "-3024")),
        ("three", ("-8192", "-3024", "-2000")),
        ("zero", ("padding of 0 ",)),
        ("wrapped", ("wrapped", "63536", "-2000")),
        ("blurred", ("-32768", "resampling")),
    ],
)
def test_the_remark_names_the_values(kind, names):
    remarks = " ".join(without_padding(PADDED[kind])[1])
    for name in names:
        assert name in remarks


def skull_stripped():
    data = mr()
    return np.where(data > 300, data, np.float32(0))


UNTOUCHED = {
    "MR": mr(),
    "brain on zero": skull_stripped(),
    "z-scores on zero": np.where(mr() > 300, (mr() - 600) / 200, 0).astype(np.float32),
    "phase": np.float32(4096 * np.sin(X / 5.0) * np.cos(Y / 7.0)),
    "subtraction": np.clip(8 * (mr() - mr().mean()), -4096, 4095),
    "CT": ct(),
    "CT above 1024": ct() + 1024,
    "CT as 32768 and up": ct() + 32768,
    "CT of a body that is cut off": np.clip(ct(), -100, None),
    "saturated": np.where((Z > 14) & (Z < 18) & (RADIUS < 3), np.float32(65535), np.rint(np.abs(mr()))),
    "16 bits": np.rint(np.abs(mr()) * 60).clip(0, 65535),
}


@pytest.mark.parametrize("kind", UNTOUCHED)
def test_what_was_measured_is_left_alone(kind):
    data = np.float32(UNTOUCHED[kind])
    clean, remarks, _ = without_padding(data)
    assert remarks == []
    np.testing.assert_array_equal(clean, data)


@pytest.mark.parametrize("kind", PADDED)
def test_what_a_resampling_mixed_with_the_filling_is_left_out(kind):
    unknown = without_padding(PADDED[kind])[2]
    assert (unknown is not None) == ("blurred" in kind)
    if unknown is not None:
        assert unknown[OUTSIDE & (RADIUS > 21)].all()
        assert not unknown[RADIUS < 15].any()


def test_padding_in_a_single_slice():
    data = PADDED["two"][16:17]
    clean, remarks, _ = without_padding(data)
    assert clean.min() >= -1100
    assert len(remarks) == 1


@pytest.fixture(scope="module")
def error_mm():
    inside = np.stack([X, Y, Z], -1)[RADIUS < 10] * 4.0 + AFFINE[:3, 3]
    c, s = np.cos(np.radians(DEGREES)), np.sin(np.radians(DEGREES))
    truth = inside @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + SHIFT
    registrar = Registrar(deform=False, threads=1)

    def error(scan):
        found = registrar.register((mr(), AFFINE), (np.float32(scan), AFFINE))
        return float(np.linalg.norm(found.transform.map_points(inside) - truth, axis=1).mean())

    return error


@pytest.fixture(scope="module")
def error_without_mm(error_mm):
    return error_mm(ct())


@pytest.mark.parametrize("kind", PADDED)
def test_padding_does_not_change_the_error(kind, error_mm, error_without_mm):
    """By more than a quarter of a voxel of 4 mm: the field of view is smaller, and blurred is blurred."""
    assert error_without_mm < 3
    assert error_mm(PADDED[kind]) < error_without_mm + 1
