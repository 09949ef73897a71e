"""Numbers 29 to 46: geometry."""

import nibabel
import numpy as np
import pytest
from bad_inputs.declared import case, refused
from bad_inputs.files import header, nifti, put
from fixtures.grids import GRIDS, LEFT_HANDED, OBLIQUE, grid, rotation

from mmreg_rt import Grid, Rigid, Volume, read_image, write_image
from mmreg_rt.errors import MmregError
from mmreg_rt.input_validation import check_pair, overlap_fraction


def scan(target, seed=1):
    return Volume(np.random.default_rng(seed).uniform(0, 1, target.shape).astype(np.float32), target)


def values_at_their_points(target, tmp_path):
    """A scan that nibabel writes and we read: each value must stay at its point."""
    data = np.random.default_rng(2).uniform(size=target.shape[::-1])
    affine = target.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii.gz")
    volume = read_image(tmp_path / "a.nii.gz")
    for index in np.ndindex(data.shape):
        found = np.rint(volume.grid.map_points([(affine @ (*index, 1))[:3]])[0]).astype(int)
        assert volume.data[tuple(found)] == data[index]


@case(29, "sform and qform codes both 0", "MMREG_E_NIFTI_NO_ORIENTATION")
def test_29_no_orientation(tmp_path):
    with refused("MMREG_E_NIFTI_NO_ORIENTATION", "a.nii", "set_sform"):
        read_image(put(tmp_path / "a.nii", nifti(sform_code=0, qform_code=0)))
    with refused("MMREG_E_NIFTI_NO_ORIENTATION", "qform"):
        read_image(put(tmp_path / "a.nii", nifti(qform_code=0)), prefer="qform")


@case(30, "sform and qform disagree", "MMREG_E_NIFTI_FORMS_DISAGREE", handled="Choose one with prefer=.")
def test_30_sform_and_qform_disagree(tmp_path):
    path = put(tmp_path / "a.nii", nifti(qoffset_x=5.0))
    with refused("MMREG_E_NIFTI_FORMS_DISAGREE", path, "5 mm", "prefer='sform'"):
        read_image(path)
    assert read_image(path, prefer="sform").grid.affine[0, 3] == 0
    assert read_image(path, prefer="qform").grid.affine[0, 3] == 5
    assert read_image(put(tmp_path / "b.nii", nifti(qoffset_x=0.05))).grid.affine[0, 3] == 0  # rounding


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.ones((3, 4)), np.diag([1.5, 1, 0, 1])[:3]])
@case(31, "singular affine", "MMREG_E_GRID_SINGULAR", "MMREG_E_GRID_SPACING")
def test_31_singular_affine(rows, tmp_path):
    fields = {f"srow_{axis}": row for axis, row in zip("xyz", rows, strict=True)}
    path = put(tmp_path / "a.nii", nifti(qform_code=0, **fields))
    code = "MMREG_E_GRID_SINGULAR" if rows.all() else "MMREG_E_GRID_SPACING"
    with refused(code, path):
        read_image(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@case(31, "affine that is not finite", "MMREG_E_NIFTI_AFFINE")
def test_31_affine_that_is_not_finite(value, tmp_path):
    for fields in ({"srow_y": {2: value}}, {"srow_x": {3: value}}, {"qoffset_z": value}):
        with refused("MMREG_E_NIFTI_AFFINE", "a.nii", f"{value:g}"):
            read_image(put(tmp_path / "a.nii", nifti(**fields)))


@pytest.mark.parametrize("spacing", [0.0, -1.0, 1e-40, 1e30, np.nan, np.inf])
@case(32, "zero, negative or NaN spacing", "MMREG_E_NIFTI_SPACING")
def test_32_spacing_that_is_none(spacing, tmp_path):
    with refused("MMREG_E_NIFTI_SPACING", "a.nii", "pixdim"):
        read_image(put(tmp_path / "a.nii", nifti(pixdim={2: spacing})))


EXTREMES = (0.0, -0.0, 5e-324, 1e-45, 1e-30, 1e11, 3e38, -3e38, np.inf, np.nan)
NUMBERS = {"pixdim": range(4), "srow_x": range(4), "srow_z": range(4)} | dict.fromkeys(
    ("quatern_b", "qoffset_x", "scl_slope", "scl_inter", "vox_offset", "intent_p1"), [None]
)
PLACES = [(name, place) for name, places in NUMBERS.items() for place in places]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("codes", [{}, {"qform_code": 0}, {"sform_code": 0}], ids=["both", "sform", "qform"])
@pytest.mark.filterwarnings("error")
def test_32_extreme_numbers_are_read_or_refused_without_a_warning(codes, version, tmp_path):
    rng = np.random.default_rng(version)
    alone = [[(place, value)] for place in PLACES for value in EXTREMES]
    pairs = [
        [(PLACES[k], rng.choice(EXTREMES)) for k in rng.choice(len(PLACES), 2, replace=False)]
        for _ in range(200)
    ]
    codes_seen = set()
    for changes in alone + pairs:
        fields = dict(codes)
        for (name, place), value in changes:
            if name == "vox_offset" and version == 2:
                continue  # a whole number there
            fields[name] = value if place is None else {**fields.get(name, {}), place: value}
        content = header(version=version, **fields) + b"\0\0\0\0" + bytes(48)
        try:
            read_image(put(tmp_path / "a.nii", content))
            codes_seen.add("read")
        except MmregError as error:
            codes_seen.add(error.code)
    assert {"read", "MMREG_E_NIFTI_SPACING"} <= codes_seen


@case(32, "spacing that contradicts the affine", "MMREG_E_NIFTI_SPACING_DISAGREES")
def test_32_spacing_that_contradicts_the_affine(tmp_path):
    with refused("MMREG_E_NIFTI_SPACING_DISAGREES", "a.nii", "1.5 3 2", "1.5 1 2"):
        read_image(put(tmp_path / "a.nii", nifti(pixdim={2: 3.0}, qform_code=0)))


@pytest.mark.parametrize("quatern", [(2.0, 0, 0), (np.nan, 0, 0), (1e30, 1e30, 1e30)])
@case(32, "qform that is no rotation", "MMREG_E_NIFTI_QUATERNION")
def test_32_qform_that_is_no_rotation(quatern, tmp_path):
    b, c, d = quatern
    with refused("MMREG_E_NIFTI_QUATERNION", "a.nii"):
        read_image(put(tmp_path / "a.nii", nifti(quatern_b=b, quatern_c=c, quatern_d=d)))


@case(
    33,
    "sheared axes",
    "MMREG_E_GRID_SHEAR",
    handled="Read with every point in its place. If every corner is within 0.1 voxels of orthogonal axes, "
    "the image is also registered, and written with those axes.",
)
def test_33_sheared_axes(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.3
    sheared = Grid((3, 4, 5), affine[:, [2, 1, 0, 3]])
    data = np.random.default_rng(3).uniform(size=(5, 4, 3))
    image = nibabel.Nifti1Image(data, affine)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.grid.map_indices([[0, 2, 1]]), [[1.6, 2, 0]], atol=1e-6)
    with refused("MMREG_E_GRID_SHEAR", "moving", "0.287"):
        check_pair(scan(grid((3, 4, 5), (1, 1, 1))), volume)
    with refused("MMREG_E_GRID_SHEAR", "0.287"):
        write_image(Volume(np.zeros((3, 4, 5)), sheared), tmp_path / "b.nii")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]


@case(34, "left-handed axes", handled="Each value stays at its point in space, as in nibabel.")
def test_34_left_handed_axes(tmp_path):
    assert LEFT_HANDED.handedness == "left"
    values_at_their_points(LEFT_HANDED, tmp_path)


@case(35, "oblique grid", handled="Each value stays at its point in space, as in nibabel.")
def test_35_oblique_grid(tmp_path):
    assert OBLIQUE.is_oblique
    values_at_their_points(OBLIQUE, tmp_path)


@case(36, "extreme anisotropy", handled="Each value stays at its point in space, as in nibabel.")
def test_36_extreme_anisotropy(tmp_path):
    values_at_their_points(grid((3, 12, 11), (10.0, 0.3, 0.3), 12), tmp_path)


@pytest.mark.parametrize(("unit", "mm"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 + 8, 1), (3 + 16, 0.001)])
@case(
    37,
    "units metre, micron, unknown",
    "MMREG_E_NIFTI_UNITS",
    handled="Metre and micron are converted to mm, and back when written; unknown is taken as mm.",
)
def test_37_units_of_length(unit, mm, tmp_path):
    path = put(tmp_path / "a.nii", nifti(xyzt_units=unit))
    volume = read_image(path)
    np.testing.assert_allclose(volume.grid.spacing_mm, (2 * mm, 1 * mm, 1.5 * mm))
    write_image(volume, tmp_path / "b.nii")
    assert (tmp_path / "b.nii").read_bytes() == path.read_bytes()
    with refused("MMREG_E_NIFTI_UNITS", "a.nii"):
        read_image(put(tmp_path / "a.nii", nifti(xyzt_units=5)))


@case(38, "distant origins, no overlap", "MMREG_E_NO_OVERLAP", "MMREG_E_GRID_ORIGIN")
def test_38_no_overlap(tmp_path):
    here, there = grid((9, 9, 9), (1, 1, 1)), grid((9, 9, 9), (1, 1, 1), 20, origin_mm=(30, 0, 0))
    assert overlap_fraction(here, there) == 0
    with refused("MMREG_E_NO_OVERLAP", "fixed centre", "moving"):
        check_pair(scan(here), scan(there))
    with refused("MMREG_E_GRID_ORIGIN", "a.nii"):
        read_image(put(tmp_path / "a.nii", nifti(srow_x={3: 1e9}, qform_code=0)))


@case(39, "tiny overlap", "MMREG_E_TINY_OVERLAP")
def test_39_tiny_overlap():
    here, corner = grid((20, 20, 20), (1, 1, 1)), grid((20, 20, 20), (1, 1, 1), origin_mm=(15, 15, 15))
    # a cube of 5 of 20 voxels a side; sampled with 24 points a side, 6 or 7 of them inside
    assert overlap_fraction(here, corner) == pytest.approx((5 / 20) ** 3, abs=0.005)
    with refused("MMREG_E_TINY_OVERLAP", "fixed centre", "1."):
        check_pair(scan(here), scan(corner))
    half = grid((20, 20, 20), (1, 1, 1), origin_mm=(10, 0, 0))
    assert check_pair(scan(here), scan(half)).overlap_fraction == pytest.approx(0.5, abs=1 / 24)
    assert (
        overlap_fraction(here, grid((4, 4, 4), (1, 1, 1), 10, origin_mm=(8, 8, 8))) == 1
    )  # a small one inside


@pytest.mark.parametrize("name", ["slice", "row", "voxel", "thin"])
@case(40, "single slice or an axis of one voxel", handled="Ordinary input.")
def test_40_axes_of_one_voxel(name, tmp_path):
    thin = GRIDS[name]
    values_at_their_points(thin, tmp_path)
    volume = scan(thin)
    np.testing.assert_allclose(Rigid(np.eye(4)).warp(volume).data, volume.data, atol=1e-5)
    assert Rigid(np.eye(4)).folding(thin).folded_voxels == 0


@case(41, "2-D with 3-D", "MMREG_E_DIMS_MISMATCH")
def test_41_a_slice_with_a_volume():
    flat, deep = grid((1, 9, 9), (1, 1, 1)), grid((3, 9, 9), (1, 1, 1))
    for fixed, moving in ((flat, deep), (deep, flat)):
        with refused("MMREG_E_DIMS_MISMATCH", fixed.shape, moving.shape):
            check_pair(scan(fixed), scan(moving))


@case(42, "4-D image", "MMREG_E_NIFTI_FRAMES", handled="Choose a frame with frame=.")
def test_42_several_frames(tmp_path):
    path = put(tmp_path / "a.nii", nifti((4, 3, 2, 5), dim={0: 4, 1: 4, 2: 3, 3: 2, 4: 5}))
    with refused("MMREG_E_NIFTI_FRAMES", path, "5 frames", "frame=4"):
        read_image(path)
    for frame in (5, -1):
        with refused("MMREG_E_NIFTI_FRAMES", frame):
            read_image(path, frame=frame)
    stored = np.asanyarray(nibabel.load(path).dataobj)
    np.testing.assert_array_equal(read_image(path, frame=3).data, stored[..., 3].T)
    one = read_image(put(tmp_path / "b.nii", nifti((4, 3, 2, 1))))  # a fourth axis of one is no series
    assert one.data.shape == (2, 3, 4)


@case(
    43,
    "moving and fixed swapped",
    handled="Not detectable from two files; the result is on the fixed grid, and the inverse is available.",
)
def test_43_moving_and_fixed_swapped():
    there = Rigid(np.block([[rotation((0, 0, 1), 4), np.ones((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]))
    fixed, moving = grid((9, 9, 9), (1, 1, 1)), grid((8, 7, 6), (1.2, 1.3, 1.4))
    assert there.warp(scan(moving), fixed).grid == fixed
    assert there.inverse().warp(scan(fixed), moving).grid == moving
    points = fixed.points_mm()
    np.testing.assert_allclose(there.inverse().map_points(there.map_points(points)), points, atol=1e-11)


@case(44, "different frames of reference claimed equal", handled="A warning names the two spaces.")
def test_44_headers_that_name_different_spaces(tmp_path):
    scanner, mni = (
        read_image(put(tmp_path / f"{code}.nii", nifti(sform_code=code, qform_code=0))) for code in (1, 4)
    )
    (warning,) = check_pair(scanner, mni).warnings
    assert "the scanner" in warning
    assert "MNI" in warning
    assert not check_pair(scanner, scanner).warnings


@case(
    45,
    "different patient, study or laterality",
    handled="NIfTI has no patient name; descrip and extensions of the header are kept in the output.",
)
def test_45_what_names_the_patient_is_kept(tmp_path):
    note = b"\x20\0\0\0\6\0\0\0patient 7 left knee"
    extensions = note.ljust(32, b"\0")
    path = put(tmp_path / "a.nii", nifti(flag=b"\1\0\0\0", extensions=extensions, descrip=b"study 12"))
    write_image(read_image(path), tmp_path / "b.nii")
    kept = (tmp_path / "b.nii").read_bytes()
    assert extensions in kept
    assert b"study 12" in kept


@case(
    46,
    "left and right flipped in the header",
    handled="Not detectable from a file, which is read as its header says. Flipping data and header together "
    "changes nothing.",
)
def test_46_left_and_right_are_read_as_the_header_says(tmp_path):
    data = np.random.default_rng(4).uniform(size=(6, 5, 4))
    affine = np.diag([-1.0, 1, 1, 1])
    flipped = affine.copy()
    flipped[:, 0] *= -1
    flipped[0, 3] = -5
    for name, values, matrix in (("a", data, affine), ("b", data[::-1], flipped), ("c", data, flipped)):
        nibabel.save(nibabel.Nifti1Image(values, matrix), tmp_path / f"{name}.nii")
    original, both, header_alone = (read_image(tmp_path / f"{name}.nii") for name in "abc")
    same = Rigid(np.eye(4)).warp(both, original)
    np.testing.assert_allclose(same.data, original.data, atol=1e-6)
    assert np.abs(Rigid(np.eye(4)).warp(header_alone, original).data - original.data).max() > 0.1
