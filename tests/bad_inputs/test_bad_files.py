"""Numbers 1 to 28: files and headers."""

import gzip
import itertools
import os
import socket
import struct
import threading
import zlib

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from bad_inputs.files import header, nifti, put
from fixtures.formats import READERS, WRITERS

from mmreg_rt import (
    Volume,
    read_image,
    read_points,
    read_transform,
    write_image,
)
from mmreg_rt.io import files

IMAGE = Volume.from_array(np.ones((2, 3, 4), np.float32), np.eye(4))


@pytest.mark.parametrize(("reader", "name"), READERS)
@case(1, "missing path", "MMREG_E_FILE_MISSING")
def test_01_missing_path(reader, name, tmp_path):
    with refused("MMREG_E_FILE_MISSING", tmp_path / name):
        reader(tmp_path / name)
    (tmp_path / "file").write_text("x")
    with refused("MMREG_E_FILE_MISSING"):
        reader(tmp_path / "file" / name)  # a file taken for a folder


@pytest.mark.parametrize(("reader", "name"), READERS)
@case(2, "folder given as file", "MMREG_E_FILE_IS_DIRECTORY")
def test_02_folder_given_as_file(reader, name, tmp_path):
    (tmp_path / name).mkdir()
    for path in (tmp_path, tmp_path / name):
        with refused("MMREG_E_FILE_IS_DIRECTORY", path):
            reader(path)


@case(3, "no permission", "MMREG_E_FILE_PERMISSION", "MMREG_E_OUTPUT")
def test_03_no_permission(tmp_path, monkeypatch):
    path = put(tmp_path / "a.nii", nifti())

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")  # as a chmod would, but also for root

    monkeypatch.setattr("builtins.open", forbidden)
    with refused("MMREG_E_FILE_PERMISSION", path):
        read_image(path)
    with refused("MMREG_E_OUTPUT", tmp_path / "b.nii", "Permission denied"):
        write_image(IMAGE, tmp_path / "b.nii")


@case(3, "no permission", "MMREG_E_FILE_PERMISSION")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_03_no_permission_by_the_modes_of_the_file(tmp_path):
    path = put(tmp_path / "a.nii", nifti())
    path.chmod(0)
    with refused("MMREG_E_FILE_PERMISSION", path):
        read_image(path)


@pytest.mark.parametrize(("reader", "name"), READERS)
@case(4, "empty file", "MMREG_E_FILE_EMPTY")
def test_04_empty_file(reader, name, tmp_path):
    (tmp_path / name).touch()
    with refused("MMREG_E_FILE_EMPTY", tmp_path / name):
        reader(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kept", [5, 100, 347, 348, 351])
@case(5, "truncated header", "MMREG_E_NIFTI_HEADER_TRUNCATED")
def test_05_truncated_header(kept, name, tmp_path):
    with refused("MMREG_E_NIFTI_HEADER_TRUNCATED", name, kept):
        read_image(put(tmp_path / name, nifti()[:kept]))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("missing", [1, 2, 48])
@case(6, "truncated voxels", "MMREG_E_FILE_TRUNCATED")
def test_06_truncated_voxels(missing, name, tmp_path):
    content = nifti()
    with refused("MMREG_E_FILE_TRUNCATED", name, len(content)):
        read_image(put(tmp_path / name, content[:-missing]))


@pytest.mark.parametrize("kept", [0.3, 0.9, -1])
@case(7, "truncated gzip", "MMREG_E_GZIP_TRUNCATED")
def test_07_truncated_gzip(kept, tmp_path):
    noise = np.random.default_rng(1).bytes(2 * 40**3)
    content = gzip.compress(nifti((40, 40, 40), data=noise))
    cut = content[: int(len(content) * kept) if kept > 0 else kept]
    (tmp_path / "a.nii.gz").write_bytes(cut)
    with refused("MMREG_E_GZIP_TRUNCATED", "a.nii.gz"):
        read_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("place", [-8, -1, 40], ids=["checksum", "length", "data"])
@case(8, "gzip checksum error", "MMREG_E_GZIP_CORRUPT")
def test_08_gzip_checksum_error(place, tmp_path):
    content = bytearray(gzip.compress(nifti(data=np.random.default_rng(1).bytes(48))))
    content[place] ^= 0x55
    (tmp_path / "a.nii.gz").write_bytes(content)
    with refused("MMREG_E_GZIP_CORRUPT", "a.nii.gz"):
        read_image(tmp_path / "a.nii.gz")


@case(9, "gzip bomb", "MMREG_E_FILE_TRAILING", "MMREG_E_FILE_TRUNCATED")
def test_09_gzip_bomb(tmp_path):
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(nifti()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(128))
    (tmp_path / "a.nii.gz").write_bytes(bomb + packer.flush())  # 128 MiB of zeros behind 24 voxels
    with refused("MMREG_E_FILE_TRAILING", "a.nii.gz"):
        read_image(tmp_path / "a.nii.gz")
    vast = gzip.compress(nifti((1000, 1000, 1000), data=b""))
    (tmp_path / "b.nii.gz").write_bytes(vast)  # promises 2 GB from some hundred bytes
    with refused("MMREG_E_FILE_TRUNCATED", "b.nii.gz"):
        read_image(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@case(10, "trailing garbage", "MMREG_E_FILE_TRAILING")
def test_10_trailing_garbage(name, tmp_path):
    with refused("MMREG_E_FILE_TRAILING", name):
        read_image(put(tmp_path / name, nifti() + b"?"))


@case(10, "trailing garbage", "MMREG_E_FILE_TRAILING")
def test_10_trailing_garbage_after_the_compressed_data(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(nifti()) + b"garbage")
    with refused("MMREG_E_FILE_TRAILING", "a.nii.gz"):
        read_image(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(nifti()) + bytes(600))  # zeros are padding
    assert read_image(tmp_path / "b.nii.gz").data.size == 24


@case(
    11,
    "wrong extension or magic",
    "MMREG_E_FILE_EXTENSION",
    "MMREG_E_NIFTI_MAGIC",
    "MMREG_E_FORMAT_UNSUPPORTED",
)
def test_11_wrong_extension_or_magic(tmp_path):
    (tmp_path / "a.nii").write_bytes(gzip.compress(nifti()))
    with refused("MMREG_E_FILE_EXTENSION", "a.nii", "compressed"):
        read_image(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").write_bytes(nifti())
    with refused("MMREG_E_FILE_EXTENSION", "b.nii.gz", "not compressed"):
        read_image(tmp_path / "b.nii.gz")
    with refused("MMREG_E_NIFTI_MAGIC", "c.nii", "b'oops'"):
        read_image(put(tmp_path / "c.nii", nifti(magic=b"oops")))
    for name, advice in (("a.npy", "from_array"), ("a.xyz", "Convert")):
        with refused("MMREG_E_FORMAT_UNSUPPORTED", name, advice):
            read_image(tmp_path / name)


@case(12, "sizeof_hdr wrong", "MMREG_E_NIFTI_SIZEOF_HDR", handled="Byte-swapped files are read.")
def test_12_sizeof_hdr_wrong_or_swapped(tmp_path):
    for content in (b"\x5d\1\0\0" + nifti()[4:], b"NRRD0004\n", b"\x89HDF\r\n\x1a\n" + bytes(400)):
        with refused("MMREG_E_NIFTI_SIZEOF_HDR", "a.nii", content[:4].hex(" ")):
            read_image(put(tmp_path / "a.nii", content))
    voxels = np.arange(24, dtype=">i2")
    swapped = put(tmp_path / "b.nii", header(order=">") + bytes(4) + voxels.tobytes())
    np.testing.assert_array_equal(read_image(swapped).data.ravel(), voxels)


@pytest.mark.parametrize("count", [0, 1, 8, -1, 255, 32767])
@case(13, "dim[0] = 0 or > 7", "MMREG_E_NIFTI_DIM_COUNT")
def test_13_dim_0_is_none(count, tmp_path):
    with refused("MMREG_E_NIFTI_DIM_COUNT", "a.nii", f"dim[0] = {count}"):
        read_image(put(tmp_path / "a.nii", nifti(dim={0: count})))


@pytest.mark.parametrize("sizes", [(0, 3, 2), (4, -3, 2), (32767,) * 3, (32767,) * 7])
@case(14, "zero, negative or huge dimensions", "MMREG_E_NIFTI_DIM")
def test_14_zero_negative_or_huge_dimensions(sizes, tmp_path):
    dim = {0: len(sizes), **dict(enumerate(sizes, 1))}
    with refused("MMREG_E_NIFTI_DIM", "a.nii", sizes[1]):
        read_image(put(tmp_path / "a.nii", nifti(dim=dim)))


@case(14, "zero, negative or huge dimensions", "MMREG_E_NIFTI_DIM")
def test_14_huge_dimensions_whose_product_overflows_64_bits(tmp_path):
    content = header(version=2, dim={0: 7, **dict.fromkeys(range(1, 8), 2**40)}) + bytes(4)
    with refused("MMREG_E_NIFTI_DIM", "a.nii"):
        read_image(put(tmp_path / "a.nii", content))


@pytest.mark.parametrize("offset", [np.nan, np.inf, -352, 0, 100, 352.5, 1e12, 1e38])
@case(15, "vox_offset NaN, infinite, negative, past the end or inside the header", "MMREG_E_NIFTI_VOX_OFFSET")
def test_15_vox_offset_is_no_place(offset, tmp_path):
    with refused("MMREG_E_NIFTI_VOX_OFFSET", "a.nii", "vox_offset"):
        read_image(put(tmp_path / "a.nii", nifti(vox_offset=offset)))


@case(15, "vox_offset NaN, infinite, negative, past the end or inside the header", "MMREG_E_FILE_TRUNCATED")
def test_15_vox_offset_past_the_end(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        with refused("MMREG_E_FILE_TRUNCATED", name):
            read_image(put(tmp_path / name, nifti(vox_offset=2**20)))


@pytest.mark.parametrize(
    "block",
    [b"", *(struct.pack("<ii", size, 6) + bytes(16) for size in (8, 24, 2**30, -16, 0)),
     struct.pack("<ii", 16, 6) + bytes(8) + b"\x10\0\0\0"],
    ids=["none", "too short", "no multiple", "too long", "negative", "zero", "half a header"],
)  # fmt: skip
@case(16, "extension flag set without extension, or bad esize", "MMREG_E_NIFTI_EXTENSION")
def test_16_extensions_that_are_none(block, tmp_path):
    with refused("MMREG_E_NIFTI_EXTENSION", "a.nii"):
        read_image(put(tmp_path / "a.nii", nifti(flag=b"\1\0\0\0", extensions=block)))


@case(17, "unknown datatype or bitpix mismatch", "MMREG_E_NIFTI_DATATYPE", "MMREG_E_NIFTI_BITPIX")
def test_17_unknown_datatype_or_bitpix_mismatch(tmp_path):
    for code in (0, 3, 777, -4):
        with refused("MMREG_E_NIFTI_DATATYPE", "a.nii", code):
            read_image(put(tmp_path / "a.nii", nifti(datatype=code)))
    with refused("MMREG_E_NIFTI_BITPIX", "a.nii", 16, 32):
        read_image(put(tmp_path / "a.nii", nifti(bitpix=32)))


@pytest.mark.parametrize(("code", "name"), [(1, "1-bit"), (32, "complex64"), (128, "RGB"), (2304, "RGBA")])
@case(18, "complex, RGB or 1-bit voxels", "MMREG_E_NIFTI_DATATYPE_UNSUPPORTED")
def test_18_voxels_that_are_not_one_real_number(code, name, tmp_path):
    with refused("MMREG_E_NIFTI_DATATYPE_UNSUPPORTED", "a.nii", name):
        read_image(put(tmp_path / "a.nii", nifti(datatype=code)))


@case(
    19,
    "scl_slope 0, NaN or infinite",
    "MMREG_E_NIFTI_SCALING",
    handled="0 and NaN mean no scaling, as in the standard and nibabel.",
)
def test_19_scl_slope_zero_nan_or_infinite(tmp_path):
    for slope in (0.0, np.nan):
        volume = read_image(put(tmp_path / "a.nii", nifti(scl_slope=slope, scl_inter=5)))
        np.testing.assert_array_equal(volume.data.ravel(), np.arange(24))
    for slope, inter in ((np.inf, 0), (-np.inf, 0), (2, np.nan), (2, np.inf)):
        with refused("MMREG_E_NIFTI_SCALING", "a.nii", "scl_slope"):
            read_image(put(tmp_path / "a.nii", nifti(scl_slope=slope, scl_inter=inter)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@case(20, "header declares more than the file has", "MMREG_E_FILE_TRUNCATED")
def test_20_more_promised_than_the_file_has(name, tmp_path):
    with refused("MMREG_E_FILE_TRUNCATED", name, "1200 1200 1200"):  # 13.8 GB, refused within PEAK_BYTES
        read_image(put(tmp_path / name, nifti((1200, 1200, 1200), np.float64, data=b"")))


@case(21, ".hdr/.img pair", "MMREG_E_FORMAT_UNSUPPORTED", "MMREG_E_NIFTI_PAIR")
def test_21_pairs_of_header_and_image(tmp_path):
    for name in ("a.hdr", "a.img", "a.hdr.gz"):
        put(tmp_path / name, nifti(magic=b"ni1\0"))
        with refused("MMREG_E_FORMAT_UNSUPPORTED", name, "one .nii.gz"):
            read_image(tmp_path / name)
    with refused("MMREG_E_NIFTI_PAIR", "b.nii"):  # a header that goes by the name of a whole file
        read_image(put(tmp_path / "b.nii", nifti(magic=b"ni1\0")))


@case(25, "a line of a gigabyte, NUL bytes, bad UTF-8", "MMREG_E_TEXT_TOO_LONG", "MMREG_E_TEXT_ENCODING")
def test_25_text_that_is_none(tmp_path):
    with open(tmp_path / "a.tfm", "wb") as stream:
        stream.write(b"#Insight Transform File V1.0\nParameters: ")
        stream.truncate(1 << 30)  # one line, sparse on the disk
    with refused("MMREG_E_TEXT_TOO_LONG", "a.tfm"):
        read_transform(tmp_path / "a.tfm")
    for content, where in ((b"x,y,z\n1,2,\0003\n", 10), (b"x,y,z\n1,2,\xff3\n", 10)):
        (tmp_path / "a.csv").write_bytes(content)
        with refused("MMREG_E_TEXT_ENCODING", "a.csv", where):
            read_points(tmp_path / "a.csv")


@case(
    26,
    "link loop, pipe, device",
    "MMREG_E_FILE_LINK_LOOP",
    "MMREG_E_FILE_NOT_REGULAR",
    handled="A stalled network mount cannot be distinguished from a slow disk.",
)
def test_26_what_never_ends_is_not_opened(tmp_path, monkeypatch):
    (tmp_path / "a.nii").symlink_to(tmp_path / "b.nii")
    (tmp_path / "b.nii").symlink_to(tmp_path / "a.nii")
    with refused("MMREG_E_FILE_LINK_LOOP", "a.nii"):
        read_image(tmp_path / "a.nii")
    os.mkfifo(tmp_path / "pipe.nii")  # opening it would wait for a writer
    (tmp_path / "zero.nii").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the address of a socket is short
        listening.bind("s.nii")
        for name in ("pipe.nii", "zero.nii", "s.nii"):
            with refused("MMREG_E_FILE_NOT_REGULAR", name):
                read_image(tmp_path / name)


@case(27, "file changed while it is read", "MMREG_E_FILE_CHANGED")
def test_27_file_changed_while_it_is_read(tmp_path, monkeypatch):
    path = put(tmp_path / "a.nii", nifti((64, 64, 64)))
    check, moments = files._refuse_special, itertools.count(1)

    def and_then_it_grows(path, status):
        check(path, status)
        moment = next(moments)
        writer = threading.Thread(target=lambda: os.utime(path, ns=(moment, moment)))
        writer.start()
        writer.join()

    monkeypatch.setattr(files, "_refuse_special", and_then_it_grows)
    with refused("MMREG_E_FILE_CHANGED", "a.nii"):
        read_image(path)


@case(28, "two names that differ in case", "MMREG_E_OUTPUT_CASE", "MMREG_E_FILE_MISSING")
def test_28_two_names_that_differ_in_case(tmp_path):
    write_image(IMAGE, tmp_path / "Scan.nii.gz")
    with refused("MMREG_E_OUTPUT_CASE", "Scan.nii.gz"):
        write_image(IMAGE, tmp_path / "scan.nii.gz")
    with refused("MMREG_E_FILE_MISSING", "'Scan.nii.gz'"):
        read_image(tmp_path / "scan.nii.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["Scan.nii.gz"]


@pytest.mark.parametrize(("save", "name"), WRITERS)
def test_what_cannot_be_written_leaves_nothing_and_keeps_what_was_there(save, name, tmp_path, monkeypatch):
    with refused("MMREG_E_OUTPUT", "no/such/folder"):
        save(tmp_path / "no/such/folder" / name)
    save(tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with refused("MMREG_E_OUTPUT", "No space left"):
        save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before
