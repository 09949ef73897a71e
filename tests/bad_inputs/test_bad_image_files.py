"""Numbers of files and headers, for NRRD, MetaImage and MGH."""

import gzip
import zlib

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from bad_inputs.image_files import VOXELS, meta, mgh, nrrd, put

from mmreg_rt import Volume, read_image, write_image

GOOD = {".nrrd": nrrd, ".mha": meta, ".mgh": mgh, ".mgz": mgh}
HEADER, STORAGE = "MMREG_E_IMAGE_HEADER", "MMREG_E_IMAGE_STORAGE"
HUGE = "9" * 18


@pytest.mark.parametrize(("ending", "make"), GOOD.items())
def test_the_files_that_are_changed_below_are_right(ending, make, tmp_path):
    image = read_image(put(tmp_path / f"a{ending}", make()))
    np.testing.assert_array_equal(image.data.ravel(), np.arange(24))
    assert image.grid.spacing_mm == (2.0, 1.0, 1.5)


@pytest.mark.parametrize(("ending", "make"), GOOD.items())
@pytest.mark.parametrize("kept", [1, 10, 40, 150])
@case(5, "truncated header", "MMREG_E_IMAGE_HEADER")
def test_05_a_header_cut_short(ending, make, kept, tmp_path):
    with refused("MMREG_E_IMAGE_HEADER", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", make()[:kept]))


@pytest.mark.parametrize(("ending", "make"), GOOD.items())
@pytest.mark.parametrize("missing", [1, 47, 48])
@case(6, "truncated voxels", "MMREG_E_FILE_TRUNCATED")
def test_06_voxels_cut_short(ending, make, missing, tmp_path):
    content = make(tail=b"") if make is mgh else make()
    with refused("MMREG_E_FILE_TRUNCATED", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", content[:-missing]))


PACKED = [
    (".nrrd", lambda data: nrrd(data, encoding="gzip"), lambda raw: gzip.compress(raw, mtime=0)),
    (".mha", lambda data: meta(data, CompressedData="True"), zlib.compress),
]


@pytest.mark.parametrize(("ending", "make", "pack"), PACKED)
@case(7, "truncated gzip", "MMREG_E_GZIP_TRUNCATED")
def test_07_compressed_voxels_cut_short(ending, make, pack, tmp_path):
    for missing in (1, 5, 12):
        with refused("MMREG_E_GZIP_TRUNCATED", f"a{ending}"):
            read_image(put(tmp_path / f"a{ending}", make(pack(VOXELS)[:-missing])))


@pytest.mark.parametrize(("ending", "make", "pack"), PACKED)
@case(8, "gzip checksum error", "MMREG_E_GZIP_CORRUPT")
def test_08_compressed_voxels_damaged(ending, make, pack, tmp_path):
    packed = bytearray(pack(VOXELS))
    packed[-6 if ending == ".nrrd" else -2] ^= 1
    for content in (bytes(packed), b"neither this nor that"):
        with refused("MMREG_E_GZIP_CORRUPT", f"a{ending}"):
            read_image(put(tmp_path / f"a{ending}", make(content)))


@pytest.mark.parametrize(("ending", "make", "pack"), PACKED)
@case(9, "gzip bomb", "MMREG_E_FILE_TRAILING", "MMREG_E_FILE_TRUNCATED")
def test_09_a_bomb_is_unpacked_no_further_than_its_voxels(ending, make, pack, tmp_path):
    path = put(tmp_path / f"a{ending}", make(pack(bytes(1 << 26))))
    with refused("MMREG_E_FILE_TRAILING", path):
        read_image(path)
    big = {"sizes": "1000 1000 1000"} if ending == ".nrrd" else {"DimSize": "1000 1000 1000"}
    content = (nrrd if ending == ".nrrd" else meta)(
        pack(VOXELS), **big, **({"encoding": "gzip"} if ending == ".nrrd" else {"CompressedData": "True"})
    )
    with refused("MMREG_E_FILE_TRUNCATED", f"a{ending}", "1000 1000 1000"):
        read_image(put(tmp_path / f"a{ending}", content))


@case(9, "gzip bomb", "MMREG_E_FILE_TRAILING")
def test_09_tags_after_an_mgh_image_have_a_limit(tmp_path):
    path = put(tmp_path / "a.mgz", mgh(tail=bytes(1 << 25)))
    with refused("MMREG_E_FILE_TRAILING", path):
        read_image(path)


@pytest.mark.parametrize(("ending", "make"), [(".nrrd", nrrd), (".mha", meta)])
@case(10, "trailing garbage", "MMREG_E_FILE_TRAILING")
def test_10_more_than_the_voxels(ending, make, tmp_path):
    with refused("MMREG_E_FILE_TRAILING", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", make() + b"?"))
    packed = PACKED[ending == ".mha"]
    with refused("MMREG_E_FILE_TRAILING", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", packed[1](packed[2](VOXELS) + b"???")))


@case(11, "wrong extension or magic", "MMREG_E_FILE_EXTENSION", "MMREG_E_IMAGE_HEADER")
def test_11_another_format_under_the_name(tmp_path):
    for ending in (".nrrd", ".mha", ".mgh"):
        for content in (b"\x89PNG\r\n\x1a\n" + bytes(400), b"NRRD9999\n\n", bytes(500), b"\xff" * 500):
            with refused("MMREG_E_IMAGE_HEADER", f"a{ending}"):
                read_image(put(tmp_path / f"a{ending}", content))
    (tmp_path / "a.mgz").write_bytes(mgh())
    (tmp_path / "b.mgh").write_bytes(gzip.compress(mgh()))
    for name in ("a.mgz", "b.mgh"):
        with refused("MMREG_E_FILE_EXTENSION", name):
            read_image(tmp_path / name)


DIMENSIONS = [
    (".nrrd", nrrd(sizes="4 0 2")),
    (".nrrd", nrrd(sizes="4 -3 2")),
    (".nrrd", nrrd(sizes=f"{HUGE} {HUGE} {HUGE}")),
    (".mha", meta(DimSize="4 0 2")),
    (".mha", meta(DimSize="-4 3 2")),
    (".mha", meta(DimSize=f"{HUGE} 1 {HUGE}")),
    (".mgh", mgh((4, 0, 2, 1))),
    (".mgh", mgh((-4, 3, 2, -1))),
    (".mgh", mgh((2**31 - 1,) * 4)),
]


@pytest.mark.parametrize(("ending", "content"), DIMENSIONS)
@case(14, "zero, negative or huge dimensions", "MMREG_E_IMAGE_DIM")
def test_14_dimensions_that_are_none(ending, content, tmp_path):
    with refused("MMREG_E_IMAGE_DIM", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", content))


UNREADABLE = [
    (".nrrd", nrrd(type=None)),
    (".nrrd", nrrd(sizes="4 3")),
    (".nrrd", nrrd(sizes="4 3 2.5")),
    (".nrrd", nrrd(sizes="4 3 " + "2" * 10_000)),
    (".nrrd", nrrd(dimension="three")),
    (".nrrd", nrrd(endian=None)),
    (".nrrd", nrrd(endian="middle")),
    (".nrrd", nrrd(kinds="domain domain", space_directions="none (0,1,0) (0,0,2)")),
    (".nrrd", nrrd(space_directions="(1,0,0) (0,1,0)")),
    (".nrrd", nrrd(space_directions="(1,0,0) (0,1,0) (0,0,nan)")),
    (".nrrd", nrrd(space_directions="(1,0,0) (0,1,0) (0,0)")),
    (".nrrd", nrrd(space_directions="(1,0,0) (0,1,0) (0,0,1) rest")),
    (".nrrd", nrrd(space_directions="none none (0,0,1)")),
    (".nrrd", nrrd(space_origin=None)),
    (".nrrd", nrrd(space_origin="(1,2,inf)")),
    (".nrrd", nrrd().replace(b"kinds", b"sizes")),
    (".nrrd", nrrd().replace(b"kinds:", b"kinds ")),
    (".mha", meta(DimSize=None)),
    (".mha", meta(DimSize="4 3")),
    (".mha", meta(NDims="3 3")),
    (".mha", meta(TransformMatrix="1 0 0 0 1 0 0 0")),
    (".mha", meta(TransformMatrix="1 0 0 0 1 0 0 0 0x1")),
    (".mha", meta(Offset="1 2 nan")),
    (".mha", meta(ElementSpacing="1 2 1e999")),
    (".mha", meta(BinaryDataByteOrderMSB="perhaps")),
    (".mha", meta(HeaderSize="-2")),
    (".mha", meta(HeaderSize=HUGE)),
    (".mha", meta(NDims="4", DimSize="4 3 2 1", Offset="0 0 0 0", ElementSpacing="1 1 1 1",
                  TransformMatrix="1 0 0 1 0 1 0 0 0 0 1 0 0 0 0 1")),
    (".mha", meta().replace(b"Offset", b"NDims")),
    (".mha", meta().replace(b"Offset =", b"Offset")),
    (".mha", meta(ElementDataFile=None)),
    (".mgh", mgh(version=2)),
    (".mgh", mgh(directions=[np.nan] * 9)),
    (".mgh", mgh(centre=(0, np.inf, 0))),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "content"), UNREADABLE)
@case(17, "header field missing or not readable", "MMREG_E_IMAGE_HEADER")
def test_17_a_field_that_cannot_be_read(ending, content, tmp_path):
    with refused("MMREG_E_IMAGE_HEADER", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", content))


UNSUPPORTED = [
    (".nrrd", nrrd(type="block")),
    (".nrrd", nrrd(type="complex float")),
    (".nrrd", nrrd(dimension="5", sizes="1 1 4 3 2")),
    (".nrrd", nrrd(dimension="1", sizes="24")),
    (".mha", meta(NDims="1", DimSize="24")),
    (".mha", meta(NDims="7", DimSize="1 1 1 1 1 1 1")),
    (".mha", meta(ElementType="MET_STRING")),
    (".mha", meta(ElementType="MET_FLOAT_ARRAY")),
    (".mha", meta(BinaryData="False")),
    (".mha", meta(ObjectType="Tube")),
    (".mgh", mgh(code=2)),
    (".mgh", mgh(code=-1)),
]


@pytest.mark.parametrize(("ending", "content"), UNSUPPORTED)
@case(18, "complex, RGB or 1-bit voxels", "MMREG_E_IMAGE_STORAGE")
def test_18_voxels_stored_in_another_way(ending, content, tmp_path):
    with refused("MMREG_E_IMAGE_STORAGE", f"a{ending}", "SimpleITK"):
        read_image(put(tmp_path / f"a{ending}", content))


COLOURS = [
    (".nrrd", nrrd(dimension="4", sizes="3 4 2 1", kinds="RGB-color domain domain domain",
                   space_directions="none (1,0,0) (0,1,0) (0,0,1)")),
    (".nrrd", nrrd(dimension="4", sizes="3 4 2 1", kinds="vector domain domain domain",
                   space_directions="none (1,0,0) (0,1,0) (0,0,1)")),
    (".mha", meta(ElementNumberOfChannels="3", DimSize="4 2 1")),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "content"), COLOURS)
@case(18, "complex, RGB or 1-bit voxels", "MMREG_E_IMAGE_CHANNELS")
def test_18_voxels_of_several_values(ending, content, tmp_path):
    with refused("MMREG_E_IMAGE_CHANNELS", f"a{ending}", 3):
        read_image(put(tmp_path / f"a{ending}", content))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\\b.raw", "sub/a.raw", "."])
@case(22, "NRRD or MetaImage with voxels elsewhere", "MMREG_E_IMAGE_DATA_FILE",
      handled="Voxels in a file beside the header are read.")  # fmt: skip
def test_22_voxels_outside_the_folder(name, tmp_path):
    for ending, content in (
        (".nhdr", nrrd(b"", data_file=name)),
        (".mhd", meta(b"", ElementDataFile=name)),
    ):
        with refused("MMREG_E_IMAGE_DATA_FILE", f"a{ending}"):
            read_image(put(tmp_path / f"a{ending}", content))


@case(22, "NRRD or MetaImage with voxels elsewhere", "MMREG_E_FILE_MISSING", "MMREG_E_FILE_NOT_REGULAR")
def test_22_voxels_beside_the_header_that_are_no_file(tmp_path):
    for ending, make in ((".nhdr", nrrd), (".mhd", meta)):
        for name in ("a.raw", "zero.raw"):
            field = {"data_file": name} if make is nrrd else {"ElementDataFile": name}
            path = put(tmp_path / f"a{ending}", make(b"", **field))
            if name == "a.raw":
                with refused("MMREG_E_FILE_MISSING", "a.raw"):
                    read_image(path)
                (tmp_path / "a.raw").write_bytes(VOXELS)
                np.testing.assert_array_equal(read_image(path).data.ravel(), np.arange(24))
                (tmp_path / "a.raw").unlink()
            else:
                (tmp_path / name).symlink_to("/dev/zero")
                with refused("MMREG_E_FILE_NOT_REGULAR", name):
                    read_image(path)
                (tmp_path / name).unlink()


@pytest.mark.parametrize("name", ["LIST", "LIST 2", "slice%03d.raw 1 999999999 1", "%n%n%n"])
@case(23, "MetaImage or NRRD with a list or pattern of files", "MMREG_E_IMAGE_DATA_FILE")
def test_23_a_list_or_pattern_of_files(name, tmp_path):
    for ending, content in (
        (".nhdr", nrrd(b"", data_file=name)),
        (".mha", meta(b"", ElementDataFile=name)),
    ):
        with refused("MMREG_E_IMAGE_DATA_FILE", f"a{ending}", "one file"):
            read_image(put(tmp_path / f"a{ending}", content))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"encoding": "exotic"}, STORAGE),
        ({"encoding": "bzip2"}, STORAGE),
        ({"encoding": "ascii"}, STORAGE),
        ({"line_skip": "3"}, STORAGE),
        ({"line_skip": "9" * 30}, HEADER),
        ({"byte_skip": "-2"}, HEADER),
        ({"byte_skip": "9" * 18}, HEADER),
        ({"encoding": "gzip", "byte_skip": "4"}, STORAGE),
    ],
)
@case(24, "NRRD with unknown encoding or skips", "MMREG_E_IMAGE_STORAGE", "MMREG_E_IMAGE_HEADER")
def test_24_an_unknown_encoding_or_skips(fields, code, tmp_path):
    with refused(code, "a.nrrd"):
        read_image(put(tmp_path / "a.nrrd", nrrd(**fields)))


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@case(25, "a line of a gigabyte, NUL bytes, bad UTF-8", "MMREG_E_IMAGE_HEADER")
def test_25_a_header_without_end(ending, tmp_path):
    path = tmp_path / f"a{ending}"
    path.write_bytes((nrrd if ending == ".nrrd" else meta)(b"")[:30])
    with open(path, "ab") as stream:
        stream.truncate(1 << 30)  # one line, sparse on the disk
    with refused("MMREG_E_IMAGE_HEADER", path):
        read_image(path)
    path.write_bytes(b"NRRD0004\n" * (ending == ".nrrd") + b"# \xff\0\n" * 400_000)
    with refused("MMREG_E_IMAGE_HEADER", path):
        read_image(path)


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".nrrd", nrrd(space=None, space_dimension="3")),
        (".nrrd", nrrd(space="scanner-xyz")),
        (".nrrd", nrrd(space="3D-right-handed")),
        (".nrrd", nrrd(space_directions=None, spacings="1 1 1")),
        (".mgh", mgh(oriented=0)),
    ],
)
@case(29, "header without orientation", "MMREG_E_IMAGE_NO_ORIENTATION")
def test_29_no_orientation(ending, content, tmp_path):
    with refused("MMREG_E_IMAGE_NO_ORIENTATION", f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", content))


@pytest.mark.parametrize(
    ("ending", "content", "code"),
    [
        (".nrrd", nrrd(space_directions="(1,0,0) (1,0,0) (0,0,1)"), "MMREG_E_GRID_SINGULAR"),
        (".nrrd", nrrd(space_directions="(0,0,0) (0,1,0) (0,0,1)"), "MMREG_E_GRID_SPACING"),
        (".mha", meta(TransformMatrix="1 0 0 1 0 0 0 0 1"), "MMREG_E_GRID_SINGULAR"),
        (".mha", meta(ElementSpacing="0 1 1"), "MMREG_E_IMAGE_SPACING"),
        (".mha", meta(ElementSpacing="1 -1 1"), "MMREG_E_IMAGE_SPACING"),
        (".mgh", mgh(spacing=(0, 1, 1)), "MMREG_E_IMAGE_SPACING"),
        (".mgh", mgh(directions=[1, 0, 0] * 3), "MMREG_E_GRID_SINGULAR"),
    ],
)
@case(
    32,
    "zero, negative or NaN spacing; axes in one plane",
    "MMREG_E_GRID_SINGULAR",
    "MMREG_E_GRID_SPACING",
    "MMREG_E_IMAGE_SPACING",
)
def test_32_axes_that_span_nothing(ending, content, code, tmp_path):
    with refused(code, f"a{ending}"):
        read_image(put(tmp_path / f"a{ending}", content))


@pytest.mark.parametrize("units", ['"mile" "mile" "mile"', '"mm" "mm"', '"mm', '"s" "mm" "mm"'])
@case(37, "units metre, micron, unknown", "MMREG_E_IMAGE_UNITS")
def test_37_units_of_no_length(units, tmp_path):
    with refused("MMREG_E_IMAGE_UNITS", "a.nrrd", "mm"):
        read_image(put(tmp_path / "a.nrrd", nrrd(space_units=units)))


@case(42, "4-D image", "MMREG_E_IMAGE_FRAMES", handled="Choose a frame with frame=.")
def test_42_a_series_without_a_frame(tmp_path):
    path = put(tmp_path / "a.mgh", mgh((4, 3, 1, 2)))
    with refused("MMREG_E_IMAGE_FRAMES", path, "2 frames", "frame=1"):
        read_image(path)
    for frame in (2, -1):
        with refused("MMREG_E_IMAGE_FRAMES", frame):
            read_image(path, frame=frame)


@case(56, "overflow when a type is converted", "MMREG_E_IMAGE_TYPE")
def test_56_values_that_mgh_cannot_hold(tmp_path):
    for values in (np.full((2, 3, 4), 2**40), np.full((2, 3, 4), 1e300), np.full((2, 3, 4), 2**32 - 1, "u4")):
        with refused("MMREG_E_IMAGE_TYPE", "a.mgz"):
            write_image(Volume.from_array(values, np.eye(4)), tmp_path / "a.mgz")
    assert list(tmp_path.iterdir()) == []
