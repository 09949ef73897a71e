"""The container: what is written is read back, and every trick with names, links and zips is refused."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from fixtures import bundle_parts as parts

from mmreg_rt.bundle import format as bundle_format
from mmreg_rt.bundle import open_bundle, write_bundle
from mmreg_rt.bundle.container import MAX_FILES
from mmreg_rt.errors import BundleError, InputError, MmregError


@pytest.fixture(params=[True, False], ids=["zip", "folder"])
def written(request, tmp_path):
    return write_bundle(tmp_path / "tiny.mmreg", parts.manifest(), parts.files(), zip=request.param)


@pytest.fixture
def archive(tmp_path):
    return write_bundle(tmp_path / "tiny.mmreg", parts.manifest(), parts.files()).path


def refused(path, code, *mentions):
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert caught.value.code == code, caught.value
    for mention in mentions:
        assert mention in str(caught.value)


def rezipped(path, *extra, change=id):
    """The zip written again, by a library, with further entries and changed ones."""
    with zipfile.ZipFile(path) as file:
        content = [(info.filename, file.read(info)) for info in file.infolist()]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (*content, *extra):
            entry = zipfile.ZipInfo(name)
            change(entry)
            file.writestr(entry, data)
    return path


def test_what_is_written_is_read_back(written):
    again = open_bundle(written.path)
    assert again.manifest == written.manifest
    content = parts.files()
    assert {name: again.file(name) for name in again.manifest.files} == content
    assert again.model().onnx == again.model("bf16").onnx == content["net.onnx"]
    for name, expected in zip(("fixed", "moving", "output"), parts.golden_pair()):
        np.testing.assert_array_equal(getattr(again.golden(), name), expected)


def test_a_network_is_read_and_parsed_once(written, monkeypatch):
    calls = []
    for name in ("check_model", "read_golden"):
        function = getattr(bundle_format, name)
        monkeypatch.setattr(bundle_format, name, lambda *a, f=function: calls.append(f.__name__) or f(*a))
    bundle = open_bundle(written.path)
    assert bundle.model() is bundle.model("bf16")
    assert bundle.golden() is bundle.golden()
    assert sorted(calls) == ["check_model", "read_golden"]


def test_folder_and_zip_hold_the_same_files(tmp_path):
    one = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files())
    other = write_bundle(tmp_path / "b.mmreg", parts.manifest(), parts.files(), zip=False)
    with zipfile.ZipFile(one.path) as file:
        assert {n: file.read(n) for n in file.namelist()} == {
            p.name: p.read_bytes() for p in other.path.iterdir()
        }
        assert file.testzip() is None


def test_the_same_content_gives_the_same_bytes(tmp_path):
    files = parts.files()
    one = write_bundle(tmp_path / "a.mmreg", parts.manifest(), files)
    other = write_bundle(tmp_path / "b.mmreg", parts.manifest(), dict(reversed(files.items())))
    assert one.path.read_bytes() == other.path.read_bytes()


def test_a_bundle_written_by_another_zip_program_is_read(archive):
    assert open_bundle(rezipped(archive)).manifest.name == "tiny"


def test_a_zip_is_replaced_and_a_folder_is_not(written):
    again = written.path, parts.manifest(version="2"), parts.files()
    if written.path.is_dir():
        with pytest.raises(InputError, match="MMREG_E_OUTPUT"):
            write_bundle(*again, zip=False)
        assert open_bundle(written.path).manifest.version == "1.0"
    else:
        assert write_bundle(*again).manifest.version == "2"
    assert [p.name for p in written.path.parent.iterdir()] == ["tiny.mmreg"]


@pytest.mark.parametrize("zip", [True, False])
def test_nothing_is_left_of_a_bundle_that_cannot_be_written(zip, tmp_path):
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(dims=2), parts.files(), zip=zip)
    with pytest.raises(BundleError, match="MMREG_E_BUNDLE_NAME"):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"manifest.json": b"{}"}), zip=zip)
    with pytest.raises(InputError, match="MMREG_E_OUTPUT"):
        write_bundle(tmp_path / "none" / "a.mmreg", parts.manifest(), parts.files(), zip=zip)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../up.txt", "/etc/passwd", "a/b.txt", "..", "a\\b", "con:", "x" * 200, ".x"]
)
def test_names_that_lead_elsewhere_are_refused(archive, name):
    refused(rezipped(archive, (name, b"x")), "MMREG_E_BUNDLE_NAME")


def test_a_folder_within_a_folder_is_refused(written):
    if written.path.is_dir():
        (written.path / "sub").mkdir()
        refused(written.path, "MMREG_E_BUNDLE_LINK", "sub")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["net.onnx", "NET.onnx"])
def test_two_files_of_one_name_are_refused(archive, name):
    refused(rezipped(archive, (name, b"x")), "MMREG_E_BUNDLE_DUPLICATE", name)


def test_names_that_differ_in_case_are_refused_in_a_folder(tmp_path):
    folder = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(), zip=False).path
    (folder / "NET.onnx").write_bytes(b"x")
    refused(folder, "MMREG_E_BUNDLE_DUPLICATE")


def test_compressed_files_are_refused(archive):
    def compress(entry):
        entry.compress_type = zipfile.ZIP_DEFLATED

    refused(rezipped(archive, change=compress), "MMREG_E_BUNDLE_COMPRESSED")


def test_links_are_refused_in_a_zip_and_in_a_folder(archive, tmp_path):
    def link(entry):
        entry.create_system, entry.external_attr = 3, 0o120777 << 16

    refused(rezipped(archive, change=link), "MMREG_E_BUNDLE_LINK")
    folder = write_bundle(tmp_path / "b.mmreg", parts.manifest(), parts.files(), zip=False).path
    opened = open_bundle(folder)
    (tmp_path / "elsewhere").write_bytes((folder / "card.md").read_bytes())
    (folder / "card.md").unlink()
    (folder / "card.md").symlink_to(tmp_path / "elsewhere")
    refused(folder, "MMREG_E_BUNDLE_LINK", "card.md")
    with pytest.raises(BundleError):  # put there after it was opened
        opened.file("card.md")


def test_a_pipe_put_in_the_place_of_a_file_does_not_block(tmp_path):
    bundle = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(), zip=False)
    (bundle.path / "card.md").unlink()
    os.mkfifo(bundle.path / "card.md")
    with pytest.raises(BundleError, match="MMREG_E_BUNDLE_LINK"):
        bundle.file("card.md")


@pytest.mark.parametrize("extra", [b"in front", b""])
def test_bytes_in_front_or_behind_are_refused(archive, extra):
    data = archive.read_bytes()
    archive.write_bytes(extra + data if extra else data + b"behind")
    refused(archive, "MMREG_E_BUNDLE_ZIP")


def test_comments_and_extra_fields_are_refused(archive):
    def extra(entry):
        entry.extra = struct.pack("<HHI", 0x5455, 4, 0)

    data = archive.read_bytes()
    refused(rezipped(archive, change=extra), "MMREG_E_BUNDLE_ZIP")
    archive.write_bytes(data[:-2] + b"\x02\0hi")
    refused(archive, "MMREG_E_BUNDLE_ZIP")


def test_a_name_other_in_the_list_than_before_the_data_is_refused(archive):
    data = archive.read_bytes()
    assert data.count(b"card.md") > 2  # before its data, in the manifest, in the list
    archive.write_bytes(data.replace(b"card.md", b"evil.md", 1))
    refused(archive, "MMREG_E_BUNDLE_ZIP")


def test_a_hidden_entry_is_refused(archive):
    """Stored, but not listed: another program may find it."""
    data = archive.read_bytes()
    at = data.rindex(b"PK\x01\x02")
    end = bytearray(data[-22:])
    end[8:12] = struct.pack("<2H", end[8] - 1, end[8] - 1)
    end[12:16] = struct.pack("<I", at - struct.unpack("<I", end[16:20])[0])
    archive.write_bytes(data[:at] + end)
    refused(archive, "MMREG_E_BUNDLE_ZIP")


def test_a_zip_of_more_files_than_a_bundle_has_is_refused(archive, tmp_path):
    extra = [(f"f{i}.txt", b"x") for i in range(MAX_FILES)]
    refused(rezipped(archive, *extra), "MMREG_E_BUNDLE_TOO_LARGE")
    folder = write_bundle(tmp_path / "b.mmreg", parts.manifest(), parts.files(), zip=False).path
    for name, data in extra:
        (folder / name).write_bytes(data)
    refused(folder, "MMREG_E_BUNDLE_TOO_LARGE")


def test_a_manifest_too_large_is_refused_before_it_is_read(tmp_path):
    folder = tmp_path / "a.mmreg"
    folder.mkdir()
    with open(folder / "manifest.json", "wb") as stream:
        stream.truncate(1 << 30)
    tracemalloc.start()
    refused(folder, "MMREG_E_BUNDLE_TOO_LARGE")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_every_cut_of_a_zip_is_refused(archive):
    data = archive.read_bytes()
    for length in range(0, len(data), 7):
        archive.write_bytes(data[:length])
        refused(archive, "MMREG_E_BUNDLE_ZIP")


def test_a_checksum_of_the_zip_that_does_not_fit_is_refused(archive):
    data = bytearray(archive.read_bytes())
    at = data.index(b'"licence"')
    data[at + 1] ^= 1
    archive.write_bytes(data)
    refused(archive, "MMREG_E_BUNDLE_ZIP", "manifest.json")


@pytest.mark.parametrize("part", ["zip", "manifest.json", "golden.npz"])
def test_flipped_bytes_end_in_a_refusal_and_in_nothing_else(part, tmp_path):
    """A manifest and a golden pair are mutated behind checksums that fit, so that their readers see it."""
    bundle = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(), zip=part == "zip")
    path = bundle.path if part == "zip" else bundle.path / part
    seed, rng = path.read_bytes(), np.random.default_rng(7)
    codes = set()
    tracemalloc.start()
    for _ in range(250):
        data = bytearray(seed)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        try:
            if part == "golden.npz":
                from mmreg_rt.bundle.golden import read_golden

                read_golden(bytes(data), bundle.manifest)
            else:
                path.write_bytes(data)
                open_bundle(bundle.path)
            codes.add("read")
        except MmregError as refusal:
            codes.add(refusal.code)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(codes) >= (2 if part == "golden.npz" else 3)
    assert peak < 16 << 20


def test_a_golden_pair_written_by_numpy_is_read(tmp_path):
    fixed, moving, output = parts.golden_pair()
    made = io.BytesIO()
    np.savez(made, fixed=fixed, moving=moving, output=output.astype(np.float16)[None])
    bundle = write_bundle(
        tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"golden.npz": made.getvalue()})
    )
    np.testing.assert_allclose(bundle.golden().output, output, atol=5e-4)  # float16 below 1
    assert bundle.golden().output.dtype == np.float32
