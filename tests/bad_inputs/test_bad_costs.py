"""Small files that would take much time or memory, or block: what a reader spends grows with the file."""

import gzip
import os
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from bad_inputs.files import header, nifti
from fixtures.formats import READERS

from mmreg_rt import Affine, Composite, Rigid, Volume, read_image, read_points, read_transform
from mmreg_rt.bundle.container import bundle_files
from mmreg_rt.io.numbers import number

NUMBERS = ("1" * 400_000 + "x", "." + "1" * 400_000 + "e", "1." * 200_000, " " * 900 + "1" * 400_000 + " x")


@pytest.mark.parametrize("word", NUMBERS, ids=["digits", "fraction", "points", "blanks"])
@case(25, "a line of a gigabyte, NUL bytes, bad UTF-8", "MMREG_E_TRANSFORM_FILE", "MMREG_E_POINTS_ROW")
def test_25_long_words_take_a_time_that_grows_with_their_length(word, tmp_path):
    """Going back through the digits for each digit would take a minute of processor time for these words."""
    (tmp_path / "a.tfm").write_text(
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: " + word + "\n"
    )
    (tmp_path / "a.csv").write_text(f"x,y,z\n{word},1,1\n")
    start = time.process_time()
    with refused("MMREG_E_TRANSFORM_FILE", "a.tfm"):
        read_transform(tmp_path / "a.tfm")
    with refused("MMREG_E_POINTS_ROW", "a.csv", "Line 2"):
        read_points(tmp_path / "a.csv")
    assert number(word) is None
    assert time.process_time() - start < 10


@pytest.mark.parametrize("row", ["1,1,1\n", "1,1,1\r\n", "1,1,1\r", "-12.5,3e1,4\n"])
def test_points_take_24_bytes_each_and_little_beside(row, tmp_path):
    count = 200_000
    (tmp_path / "a.csv").write_text("x,y,z\n" + row * count, newline="")
    tracemalloc.start()
    try:
        points = read_points(tmp_path / "a.csv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert points.shape == (count, 3)
    assert peak <= 24 * count + (8 << 20)  # blocks of 1 MiB and their lines


@pytest.mark.parametrize(
    "block",
    ["Transform: IdentityTransform_double_3_3\nParameters:\nFixedParameters:\n",
     "Transform: TranslationTransform_double_3_3\nParameters: 0 0 0\n",
     "Transform: CompositeTransform_double_3_3\n"],
    ids=["identity", "translation", "composite"],
)  # fmt: skip
def test_a_long_chain_takes_no_more_memory_than_four_times_its_file(block, tmp_path):
    heading = "#Insight Transform File V1.0\n"
    text = heading + block * ((1 << 20) // len(block) - 3) + "Transform: IdentityTransform_double_3_3\n"
    (tmp_path / "a.tfm").write_text(text)
    tracemalloc.start()
    try:
        matrix = read_transform(tmp_path / "a.tfm").matrix
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(matrix, np.eye(4))
    assert peak <= 4 * len(text)


def test_many_numbers_in_one_line_are_refused_before_they_are_read(tmp_path):
    (tmp_path / "a.tfm").write_text(
        "#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters:" + " 1" * 500_000
    )
    with refused("MMREG_E_TRANSFORM_FILE", "at most 64 numbers"):
        read_transform(tmp_path / "a.tfm")


EMPTY = gzip.compress(b"", mtime=0)


@case(8, "gzip checksum error", "MMREG_E_GZIP_CORRUPT")
def test_08_many_empty_gzip_members(tmp_path):
    """Copying what follows for each of them would take 100 GB of copies."""
    (tmp_path / "a.nii.gz").write_bytes(EMPTY * ((4 << 20) // len(EMPTY)) + gzip.compress(nifti()))
    start = time.process_time()
    with refused("MMREG_E_GZIP_CORRUPT", "a.nii.gz", "empty members"):
        read_image(tmp_path / "a.nii.gz")
    assert time.process_time() - start < 10


@pytest.mark.parametrize("between", [b"", EMPTY, EMPTY * 900, bytes(5), bytes(3 << 20)])
@pytest.mark.parametrize("size", [1, 7, 400])
def test_compressed_pieces_are_put_together(size, between, tmp_path):
    """Each writer cuts the data its own way: small members, empty ones and zeros between them do no harm."""
    content = nifti((11, 5, 3), data=np.random.default_rng(2).bytes(2 * 165))
    pieces = [gzip.compress(content[at : at + size], mtime=0) for at in range(0, len(content), size)]
    if len(between) > 1000:
        pieces = [b"".join(pieces[:-1]), pieces[-1]]
    (tmp_path / "a.nii.gz").write_bytes(between.join(pieces) + between)
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").data, read_image(tmp_path / "a.nii").data)


def sparse(path, shape, size):
    """A file of zeros without a byte of them on the disk, but for the header."""
    with open(path, "wb") as stream:
        stream.write(header(shape, np.uint8) + bytes(4))
        stream.truncate(size)
    return path


@pytest.mark.parametrize("surplus", [1, 4096, 1 << 40])
@case(10, "trailing garbage", "MMREG_E_FILE_TRAILING")
def test_10_trailing_bytes_are_refused_before_the_voxels_are_read(surplus, tmp_path):
    path = sparse(tmp_path / "a.nii", (256, 1000, 1000), 352 + 256_000_000 + surplus)
    with refused("MMREG_E_FILE_TRAILING", path):  # within PEAK_BYTES
        read_image(path)


@case(6, "truncated voxels", "MMREG_E_FILE_TRUNCATED")
def test_06_voxels_that_were_never_written_are_not_read_as_zeros(tmp_path):
    path = sparse(tmp_path / "a.nii", (256, 1000, 1000), 352 + 256_000_000)
    if os.stat(path).st_blocks * 512 > 1 << 20:
        pytest.skip("the disk keeps no holes")
    with refused("MMREG_E_FILE_TRUNCATED", path, "never written"):
        read_image(path)
    for reader, name in ((read_image, "b.nii"), (read_transform, "u.nii")):
        content = nifti((3, 4, 2, 1, 3), np.float32, intent_code=1007) if name[0] == "u" else nifti()
        (tmp_path / name).write_bytes(content[:352] + bytes(len(content) - 352))
        assert reader(tmp_path / name)  # zeros that were written are zeros


@pytest.mark.parametrize(("reader", "name"), READERS)
@case(26, "link loop, pipe, device", "MMREG_E_FILE_NOT_REGULAR")
def test_26_a_pipe_that_takes_the_place_of_the_file_does_not_block(reader, name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    look = os.stat

    def and_then_it_is_replaced(where, *more, **options):
        status = look(where, *more, **options)
        if where == path and not more and not options:
            os.replace(tmp_path / "pipe", path)
        return status

    monkeypatch.setattr(os, "stat", and_then_it_is_replaced)
    with refused("MMREG_E_FILE_NOT_REGULAR", path):
        reader(path)


@pytest.mark.parametrize("folder", [True, False])
def test_a_pipe_in_place_of_a_file_of_a_bundle_does_not_block(folder, tmp_path):
    path = tmp_path / "b.mmreg"
    if folder:
        path.mkdir()
        (path / "a.txt").write_bytes(b"x")
    else:
        with zipfile.ZipFile(path, "w") as made:
            entry = zipfile.ZipInfo("a.txt")
            entry.external_attr = 0o100644 << 16
            made.writestr(entry, b"x")
    opened = bundle_files(path)
    assert opened.read("a.txt") == b"x"
    place = path / "a.txt" if folder else path
    place.unlink()
    os.mkfifo(place)
    with refused("MMREG_E_BUNDLE_LINK", place.name):
        opened.read("a.txt")


def test_neighbouring_matrices_of_a_chain_are_multiplied_before_they_meet_a_grid(monkeypatch):
    """4,000 passes over the grid would take minutes; the product is the chain, to rounding."""
    passes = []
    monkeypatch.setattr(Affine, "after", spied(Affine.after, passes))
    rng = np.random.default_rng(4)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * np.sign(np.linalg.det(turn)), (3, -2, 1)
    parts = [Rigid(matrix), Affine(np.diag([1.1, 0.9, 1.2, 1])), Rigid(np.linalg.inv(matrix))]
    image = Volume.from_array(np.ones((5, 6, 7), np.float32), np.eye(4))
    once = Composite(parts).to_field(image.grid)
    assert len(passes) == 1
    many = Composite([Rigid(matrix), Rigid(np.linalg.inv(matrix))] * 2000 + parts).to_field(image.grid)
    assert len(passes) == 2
    points = rng.normal(0, 20, (10, 3))
    np.testing.assert_allclose(many.displacement_mm, once.displacement_mm, atol=1e-4)
    expected = np.c_[points, np.ones(10)] @ np.linalg.multi_dot([p.matrix for p in parts[::-1]])[:3].T
    np.testing.assert_allclose(Composite(parts).map_points(points), expected, atol=1e-10)


def spied(call, calls):
    """Return ``call`` with each of its calls noted."""

    def noted(*arguments):
        calls.append(arguments)
        return call(*arguments)

    return noted
