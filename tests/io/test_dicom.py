"""DICOM in: every value at its point, whatever the order, coding and kind of files; or its own error."""

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fixtures import dicom_files as made
from fixtures.grids import GRIDS, OBLIQUE
from fuzz.test_mutations import mutated

from mmreg_rt import Grid, read_image
from mmreg_rt.errors import BackendUnavailableError, MmregError

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
DIGITS_MM = 1e-6  # DICOM has 16 characters for a number, our files ten digits
SERIES = {name: grid for name, grid in GRIDS.items() if grid.shape[0] > 1}


def stored(grid, dtype=np.int16):
    return np.random.default_rng(1).integers(0, 4000, grid.shape).astype(dtype)


def refused(code, folder, *mentions, **choice):
    with pytest.raises(MmregError) as caught:
        read_image(folder, **choice)
    assert caught.value.code == code, str(caught.value)
    message = caught.value.args[0]
    assert all(str(mention) in message for mention in mentions), message
    assert made.SECRET not in message
    assert "ID-17" not in message


@pytest.mark.parametrize("grid", SERIES.values(), ids=SERIES.keys())
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_a_series_is_read_with_every_value_at_its_point(grid, dtype, tmp_path):
    data = stored(grid, dtype)
    folder = made.save(made.slices(data, grid), tmp_path / "s")
    (folder / "notes.txt").write_text("no image")
    (folder / "empty").touch()
    mine = read_image(folder)
    for index in np.ndindex(*grid.shape):
        there = mine.grid.map_points(grid.map_indices([index]))[0]
        np.testing.assert_allclose(there, np.rint(there), atol=1e-4)
        assert mine.data[tuple(np.rint(there).astype(int))] == data[index]
    assert mine.data.dtype == dtype


@pytest.mark.parametrize("grid", SERIES.values(), ids=SERIES.keys())
def test_simpleitk_and_highdicom_see_the_same_value_at_the_same_point(grid, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    folder = made.save(made.slices(stored(grid), grid), tmp_path / "s", names="{:04}.dcm")
    mine = read_image(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    if grid.shape[1] > 1:  # GDCM takes images of one row for something else
        for point, value in zip(mine.grid.points_mm() * (-1, -1, 1), mine.data.ravel(), strict=True):
            assert theirs[theirs.TransformPhysicalPointToIndex(point.tolist())] == value
    highdicom = pytest.importorskip("highdicom")
    volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in folder.iterdir()])
    for index in np.ndindex(*volume.spatial_shape):
        point = (volume.affine @ (*index, 1))[:3] * (-1, -1, 1)
        ours = np.rint(mine.grid.map_points([point])[0]).astype(int)
        np.testing.assert_allclose(mine.grid.map_indices([ours])[0], point, atol=1e-5)
        assert mine.data[tuple(ours)] == volume.array[index]


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.BIG_ENDIAN, made.RLE, made.JPEG_LS, made.JPEG_2000])
def test_every_coding_gives_the_same_values(syntax, tmp_path):
    if syntax == made.JPEG_LS:
        pytest.importorskip("jpeg_ls")
    if syntax == made.JPEG_2000:
        pytest.importorskip("openjpeg")
    grid = Grid((3, 40, 33), OBLIQUE.affine)  # smaller ones cannot be encoded as JPEG 2000
    data = stored(grid, np.uint16)
    mine = read_image(made.save(made.slices(data, grid), tmp_path / "s", syntax))
    order = -1 if mine.grid.map_points(grid.map_indices([[0, 0, 0]]))[0, 0] > 1 else 1
    np.testing.assert_array_equal(mine.data, data[::order])


def test_values_of_ct_are_whole_and_each_slice_has_its_own_scale(tmp_path):
    data = stored(OBLIQUE, np.uint16)
    ct = read_image(made.save(made.slices(data, OBLIQUE, RescaleIntercept=-1024), tmp_path / "ct"))
    assert ct.data.dtype == np.int16
    assert sorted(ct.data.ravel()) == sorted(data.ravel().astype(int) - 1024)
    pet = made.slices(data, OBLIQUE, RescaleSlope=lambda k: f"{1 + k / 10}", RescaleIntercept=lambda k: k)
    mine = read_image(made.save(pet, tmp_path / "pet"))
    for k in range(len(data)):
        expected = data[k] * float(f"{1 + k / 10}") + k
        index = np.rint(mine.grid.map_points(OBLIQUE.map_indices([[k, 0, 0]]))[0]).astype(int)
        np.testing.assert_allclose(mine.data[index[0]], expected, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 3])
def test_an_enhanced_image_is_read_by_its_functional_groups(frames, tmp_path):
    data = np.stack([stored(OBLIQUE, np.uint16) + n for n in range(frames)])
    made.save([made.enhanced(data, OBLIQUE)], tmp_path, names="e.dcm")
    for path in (tmp_path / "e.dcm", tmp_path):
        if frames > 1:
            refused("MMREG_E_IMAGE_FRAMES", path, "3 frames")
        for frame in range(frames):
            mine = read_image(path, frame=frame)
            order = -1 if mine.grid.map_points(OBLIQUE.map_indices([[0, 0, 0]]))[0, 0] > 1 else 1
            np.testing.assert_allclose(mine.data, 2.0 * data[frame][::order] - 5)
            assert mine.grid.spacing_mm == pytest.approx(OBLIQUE.spacing_mm, abs=1e-6)


def test_images_at_one_place_are_frames_in_time(tmp_path):
    data = stored(OBLIQUE)
    first = made.slices(data, OBLIQUE, TemporalPositionIdentifier=1)
    second = made.slices(data + 1, OBLIQUE, TemporalPositionIdentifier=2)
    for one in second:
        one.SeriesInstanceUID, one.FrameOfReferenceUID = (
            first[0].SeriesInstanceUID,
            first[0].FrameOfReferenceUID,
        )
    folder = made.save([*second, *first], tmp_path / "s")
    refused("MMREG_E_IMAGE_FRAMES", folder, "2 frames")
    difference = read_image(folder, frame=1).data - read_image(folder, frame=0).data
    assert (difference == 1).all()


def test_one_of_several_series_is_chosen_by_its_number(tmp_path):
    one, two = (made.slices(stored(OBLIQUE) * 0 + n, OBLIQUE, SeriesNumber=n) for n in (3, 8))
    made.save(one, tmp_path / "s" / "a" / "b")
    made.save(two, tmp_path / "s" / "c")
    refused("MMREG_E_DICOM_SERIES", tmp_path / "s", "2 series", "1: CT, series number 3, 5 images of 7 x 6")
    refused("MMREG_E_DICOM_SERIES", tmp_path / "s", "2 series", series="3")
    assert (read_image(tmp_path / "s", series="1").data == 3).all()
    assert (read_image(tmp_path / "s", series=two[0].SeriesInstanceUID).data == 8).all()


def test_a_dicomdir_stands_for_its_folder(tmp_path):
    folder = made.save(made.slices(stored(OBLIQUE), OBLIQUE), tmp_path / "s")
    directory = made.slices(stored(OBLIQUE), OBLIQUE)[0]
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    made.save([directory], folder, names="DICOMDIR")
    np.testing.assert_array_equal(read_image(folder / "DICOMDIR").data, read_image(folder).data)


def test_a_tilted_gantry_keeps_every_voxel_at_its_place(tmp_path):
    tilted = Grid((5, 6, 7), np.array([[0, 0, 1.0, 5], [0.6, 1.2, 0, -7], [3, 0, 0, 9], [0, 0, 0, 1]]))
    data = stored(tilted)
    mine = read_image(made.save(made.slices(data, tilted), tmp_path / "s"))
    assert mine.grid.shear > 0.1
    for index in np.ndindex(*tilted.shape):
        there = np.rint(mine.grid.map_points(tilted.map_indices([index]))[0]).astype(int)
        np.testing.assert_allclose(
            mine.grid.map_indices([there]), tilted.map_indices([index]), atol=DIGITS_MM
        )
        assert mine.data[tuple(there)] == data[index]


def moved(k, by):
    """Places of the slices with one moved along the normal."""

    def place(at):
        lps = np.diag([-1.0, -1, 1, 1]) @ OBLIQUE.affine
        return [f"{v:.10g}" for v in lps[:3, 3] + (at + by * (at == k)) * lps[:3, 0]]

    return place


def same_series(slices):
    """Other images at the same places, in the same series."""
    names = ("SeriesInstanceUID", "FrameOfReferenceUID")
    return made.slices(stored(OBLIQUE), OBLIQUE, **{name: getattr(slices[0], name) for name in names})


AXIAL = [1, 0, 0, 0, 1, 0]
WRONG = {
    "missing": (lambda s: [*s[:2], *s[3:]], "MMREG_E_DICOM_MISSING_SLICE", "after slice"),
    "two missing": (lambda s: [s[0], *s[3:]], "MMREG_E_DICOM_MISSING_SLICE", "9 mm"),
    "copy": (lambda s: [*s, s[2]], "MMREG_E_DICOM_DUPLICATE", "6 files, 5 different"),
    "doubled": (lambda s: [*s, same_series(s)[2]], "MMREG_E_DICOM_DUPLICATE", "between 1 and 2"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code", "mention"), WRONG.values(), ids=WRONG.keys())
def test_slices_that_are_missing_or_doubled_are_refused(change, code, mention, tmp_path):
    folder = made.save(change(made.slices(stored(OBLIQUE), OBLIQUE)), tmp_path / "s")
    refused(code, folder, mention)


ATTRIBUTES = {
    "uneven": ({"ImagePositionPatient": moved(2, 0.3)}, "MMREG_E_DICOM_SPACING_VARIES", "evenly"),
    "bent": ({"ImagePositionPatient": lambda k: [k * k, 0, 3 * k], "ImageOrientationPatient": AXIAL},
             "MMREG_E_DICOM_SPACING_VARIES", "evenly"),
    "turned": ({"ImageOrientationPatient": lambda k: AXIAL if k else [0, 1, 0, 0, 0, 1]},
               "MMREG_E_DICOM_MIXED", "localiser"),
    "pixels": ({"PixelSpacing": lambda k: [1, 1 + 0.1 * (k == 3)]}, "MMREG_E_DICOM_MIXED", "1 1.1"),
    "spaces": ({"FrameOfReferenceUID": lambda k: f"1.2.{k}"}, "MMREG_E_DICOM_MIXED", "reference"),
    "size": ({"Rows": lambda k: 6 if k else 3}, "MMREG_E_DICOM_MIXED", "7 x 3, 7 x 6"),
    "no place": ({"ImagePositionPatient": None}, "MMREG_E_DICOM_NO_GEOMETRY", "ImagePositionPatient"),
    "half a place": ({"ImagePositionPatient": [1, 2]}, "MMREG_E_DICOM_NO_GEOMETRY", "3 numbers"),
    "no spacing": ({"PixelSpacing": None}, "MMREG_E_DICOM_NO_GEOMETRY", "PixelSpacing"),
    "parallel": ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "MMREG_E_DICOM_GEOMETRY", "orthogonal"),
    "zero spacing": ({"PixelSpacing": [0, 1]}, "MMREG_E_DICOM_GEOMETRY", "above 0"),
    "colour": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "MMREG_E_IMAGE_CHANNELS", "RGB"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "MMREG_E_IMAGE_CHANNELS", "PALETTE"),
    "frames without groups": ({"NumberOfFrames": 2, "Rows": 3}, "MMREG_E_DICOM_NO_GEOMETRY", "functional"),
    "more rows": ({"Rows": 600}, "MMREG_E_DICOM_DAMAGED", "pixels"),
    "far more rows": ({"Rows": 65535, "Columns": 65535}, "MMREG_E_IMAGE_DIM", "65535"),
    "origin": ({"ImagePositionPatient": lambda k: [1e9, 0, 3 * k]}, "MMREG_E_GRID_ORIGIN", "1e+09"),
}  # fmt: skip


@pytest.mark.parametrize(("attributes", "code", "mention"), ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_a_series_that_does_not_fit_together_is_refused(attributes, code, mention, tmp_path):
    slices = made.slices(stored(OBLIQUE), OBLIQUE, **attributes)
    refused(code, made.save(slices, tmp_path / "s"), mention)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    refused("MMREG_E_FILE_IS_DIRECTORY", tmp_path)
    other = made.slices(stored(OBLIQUE), OBLIQUE)[0]
    del other.PixelData, other.Rows, other.Columns
    made.save([other], tmp_path)
    refused("MMREG_E_FILE_IS_DIRECTORY", tmp_path, "without DICOM images")


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(MmregError):
        read_image(tmp_path / "a.dcm")
    whole = made.save(made.slices(stored(OBLIQUE), OBLIQUE)[:1], tmp_path / "s", names="w.dcm") / "w.dcm"
    content = whole.read_bytes()
    for kept in range(132, len(content), 61):
        (tmp_path / "b.dcm").write_bytes(content[:kept])
        with pytest.raises(MmregError):
            read_image(tmp_path / "b.dcm")


def test_a_dataset_deflated_as_a_whole_is_refused_before_it_is_unpacked(tmp_path):
    one = made.slices(stored(OBLIQUE), OBLIQUE)[0]
    made.save([one], tmp_path, "1.2.840.10008.1.2.1.99", names="a.dcm")
    refused("MMREG_E_DICOM_COMPRESSION", tmp_path / "a.dcm", "deflated")


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    folder = made.save(made.slices(stored(OBLIQUE), OBLIQUE), tmp_path / "s")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(BackendUnavailableError, match=r"mmreg-rt\[dicom\]"):
        read_image(folder)


def test_a_missing_decoder_names_what_to_install(tmp_path, monkeypatch):
    one = made.slices(stored(OBLIQUE), OBLIQUE)[0]
    made.save([one], tmp_path, names="a.dcm")
    decoder = pydicom.pixels.get_decoder(made.EXPLICIT)
    monkeypatch.setattr(type(decoder), "is_available", property(lambda _: False))
    refused("MMREG_E_EXTRA_MISSING", tmp_path / "a.dcm", "mmreg-rt[dicom]")


def test_the_test_files_of_pydicom_are_read_or_refused():
    """Of every kind that exists: two hundred vendors' quirks, none of which may end in a bug."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    codes = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            codes[path.name] = read_image(path).data.shape
        except MmregError as refusal:
            codes[path.name] = refusal.code
    assert codes["CT_small.dcm"] == (1, 128, 128)
    assert (
        codes["MR_small.dcm"] == codes["MR_small_RLE.dcm"] == codes["MR_small_bigendian.dcm"] == (1, 64, 64)
    )
    same = {p: read_image(folder / p).data for p in codes if p.startswith("MR_small") and "pad" not in p
            and isinstance(codes[p], tuple)}  # fmt: skip
    for name, data in same.items():
        np.testing.assert_array_equal(data, same["MR_small.dcm"], err_msg=name)
    assert codes["SC_rgb_rle.dcm"] == codes["examples_palette.dcm"] == "MMREG_E_IMAGE_CHANNELS"
    assert codes["MR_truncated.dcm"] == "MMREG_E_DICOM_DAMAGED"


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.RLE])
def test_mutated_files_are_read_or_refused_within_their_memory(syntax, tmp_path):
    frames = stored(OBLIQUE, np.uint16)[None]
    made.save([made.enhanced(frames, OBLIQUE)], tmp_path, names="e.dcm")
    made.save(made.slices(frames[0], OBLIQUE)[:1], tmp_path, syntax, names="s.dcm")
    rng, codes = np.random.default_rng(5), Counter()
    for name in ("e.dcm", "s.dcm"):
        content = (tmp_path / name).read_bytes()
        for _ in range(60):
            (tmp_path / "m.dcm").write_bytes(mutated(content, rng))
            tracemalloc.start()
            try:
                read_image(tmp_path / "m.dcm")
                codes["read"] += 1
            except MmregError as refusal:
                codes[refusal.code] += 1
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 16 << 20  # of 10 kB, with all that pydicom keeps of them
    assert codes["read"] > 20
    assert len(codes) > 3
