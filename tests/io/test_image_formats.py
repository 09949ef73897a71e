"""NRRD, MetaImage and MGH in and out: every value at the point where the owners of the formats see it."""

import dataclasses
import gzip
import zlib

import nibabel
import numpy as np
import pytest
from fixtures.grids import GRIDS, OBLIQUE, rotation

from mmreg_rt import Grid, Volume, read_image, write_image
from mmreg_rt.io import images, is_planar

LPS = np.array([-1.0, -1.0, 1.0])
ITK_ENDINGS = (".nrrd", ".mha")
ENDINGS = (*ITK_ENDINGS, ".mgh", ".mgz")
FLOAT32_MM = 2e-5  # MGH keeps coordinates of some hundred mm in float32
DTYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def volume(request):
    data = np.random.default_rng(3).normal(size=request.param.shape).astype(np.float32)
    return Volume(data, request.param)


def assert_itk_agrees(image, volume):
    """Every voxel centre of ours has our value in theirs, and the points of the corners agree to 1e-6 mm."""
    for point, value in zip(volume.grid.points_mm() * LPS, volume.data.ravel(), strict=True):
        index = image.TransformPhysicalPointToIndex(point[: image.GetDimension()].tolist())
        assert image[index] == value
        back = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(back, point[: image.GetDimension()], atol=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(volume, ending, tmp_path):
    path = tmp_path / f"a{ending}"
    write_image(volume, path)
    again = read_image(path)
    np.testing.assert_array_equal(again.data, volume.data)
    assert again.grid.same_as(volume.grid, FLOAT32_MM if "mg" in ending else 1e-9)


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_simpleitk_sees_the_same_value_at_the_same_point(volume, ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write_image(volume, tmp_path / f"a{ending}")
    assert_itk_agrees(sitk.ReadImage(str(tmp_path / f"a{ending}")), volume)


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_simpleitk_writes_is_read_with_the_same_value_at_the_same_point(
    volume, ending, packed, tmp_path
):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(volume.data)
    affine = volume.grid.affine[:3, [2, 1, 0]] * LPS[:, None]
    spacing = np.linalg.norm(affine, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine / spacing).ravel().tolist())
    image.SetOrigin((volume.grid.affine[:3, 3] * LPS).tolist())
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"), packed)
    mine = read_image(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(mine.data, volume.data)
    assert mine.grid.same_as(volume.grid, 1e-5)  # the header of ITK has some digits
    assert_itk_agrees(image, mine)


@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_a_plane_of_simpleitk_comes_back_as_a_plane(ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.random.default_rng(5).normal(size=(6, 7)))
    image.SetSpacing((0.5, 0.8))
    image.SetOrigin((3.0, -4.0))
    image.SetDirection((0.6, 0.8, -0.8, 0.6))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    mine = read_image(tmp_path / f"a{ending}")
    assert is_planar(mine)
    assert_itk_agrees(image, mine)
    write_image(mine, tmp_path / f"b{ending}")
    again = sitk.ReadImage(str(tmp_path / f"b{ending}"))
    assert again.GetDimension() == 2
    assert_itk_agrees(again, mine)


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
def test_nibabel_sees_the_same_value_at_the_same_point(volume, ending, tmp_path):
    write_image(volume, tmp_path / f"a{ending}")
    image = nibabel.load(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume.data.T)
    np.testing.assert_allclose(image.affine, volume.grid.affine[:, [2, 1, 0, 3]], atol=FLOAT32_MM)


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_what_nibabel_writes_is_read(volume, ending, dtype, tmp_path):
    data = (volume.data * 50).astype(np.int64).clip(0, 200).astype(dtype)
    image = nibabel.MGHImage(data.T, volume.grid.affine[:, [2, 1, 0, 3]])
    image.header["tr"] = 2500.0
    nibabel.save(image, tmp_path / f"a{ending}")
    mine = read_image(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(mine.data, data)
    assert mine.data.dtype == dtype
    assert mine.grid.same_as(volume.grid, FLOAT32_MM)
    write_image(mine, tmp_path / f"b{ending}")
    assert nibabel.load(tmp_path / f"b{ending}").header["tr"] == 2500.0  # the footer is kept


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ending", ITK_ENDINGS)
def test_every_type_of_voxel_is_kept(dtype, ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    limits = (-3.5, 2.25) if dtype[0] == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    data = np.array([*limits] * 30, dtype).reshape(3, 4, 5)
    write_image(Volume(data, Grid((3, 4, 5), np.eye(4))), tmp_path / f"a{ending}")
    again = read_image(tmp_path / f"a{ending}").data
    np.testing.assert_array_equal(again, data)
    assert again.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"a{ending}"))), data)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("i1", "i2"), ("u2", "i4"), ("u4", "i4"), ("f8", "f4"), ("?", "u1")]
)
def test_mgh_takes_the_nearest_type_that_it_has(dtype, kept, tmp_path):
    data = np.array([0, 1, 100, 17] * 15).astype(dtype).reshape(3, 4, 5)
    write_image(Volume(data, Grid((3, 4, 5), np.eye(4))), tmp_path / "a.mgz")
    again = read_image(tmp_path / "a.mgz").data
    np.testing.assert_array_equal(again, data)
    assert again.dtype == np.dtype(kept)


NRRD = """NRRD0005
# a comment
type: {type}
dimension: 3
space: {space}
sizes: 4 3 2
space directions: (1.5,0,0) (0,2,0.5) (0,-0.25,1)
kinds: domain domain domain
endian: {endian}
encoding: raw
space units: {unit}
space origin: (10,20,30)
name:=a pair
byte skip: 3

"""


def nrrd(space="left-posterior-superior", kind="short", endian="little", unit='"mm" "mm" "mm"', order="<i2"):
    head = NRRD.format(space=space, type=kind, endian=endian, unit=unit)
    return head.encode() + b"xyz" + np.arange(24).astype(order).tobytes()


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
    ],
)
@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("cm", 10), ("um", 1e-3), ("\u00b5m", 1e-3)])
def test_the_space_and_the_unit_of_an_nrrd_say_where_a_voxel_is(space, signs, unit, mm, tmp_path):
    (tmp_path / "a.nrrd").write_bytes(nrrd(space, unit=" ".join([f'"{unit}"'] * 3)))
    mine = read_image(tmp_path / "a.nrrd")
    for k, j, i in np.ndindex(2, 3, 4):
        stated = np.array([10 + 1.5 * i, 20 + 2 * j - 0.25 * k, 30 + 0.5 * j + k]) * mm * signs
        np.testing.assert_allclose(mine.grid.map_indices([[k, j, i]])[0], stated, atol=1e-9)
        assert mine.data[k, j, i] == i + 4 * j + 12 * k


def test_a_big_endian_nrrd_is_read(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(nrrd(endian="big", order=">i2"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.nrrd").data.ravel(), np.arange(24))


@pytest.mark.parametrize("space", ["RAS", "LPS", "left-anterior-superior"])
def test_the_space_of_an_nrrd_is_written_again_and_pynrrd_sees_the_same(space, tmp_path):
    pynrrd = pytest.importorskip("nrrd")
    grid = OBLIQUE
    write_image(Volume(np.arange(210, dtype=np.int16).reshape(grid.shape), grid), tmp_path / "plain.nrrd")
    source = read_image(tmp_path / "plain.nrrd").source
    kept = Volume(
        np.arange(210, dtype=np.int16).reshape(grid.shape), grid, dataclasses.replace(source, space=space)
    )
    write_image(kept, tmp_path / "a.nrrd")
    data, header = pynrrd.read(str(tmp_path / "a.nrrd"), index_order="C")
    assert header["space"] == space
    signs = {"RAS": (1, 1, 1), "LPS": (-1, -1, 1), "left-anterior-superior": (-1, 1, 1)}[space]
    np.testing.assert_array_equal(data, kept.data)
    directions, origin = header["space directions"], header["space origin"]
    for index in np.ndindex(*grid.shape):
        theirs = (origin + directions.T @ index[::-1]) * signs
        np.testing.assert_allclose(grid.map_indices([index])[0], theirs, atol=1e-9)
    assert read_image(tmp_path / "a.nrrd").grid.same_as(grid, 1e-9)


@pytest.mark.parametrize("place", [0, 3])
def test_layers_of_a_segmentation_are_frames(place, tmp_path):
    """3D Slicer puts the axis of layers first, others last."""
    layers = np.random.default_rng(1).integers(0, 9, (2, 4, 5, 6)).astype(np.uint8)  # frames, z, y, x
    stored = np.moveaxis(layers, 0, 3) if place == 0 else layers
    sizes, kinds = [6, 5, 4], ["domain"] * 3
    vectors = ["(-1,0,0)", "(0,-1,0)", "(0,0,2)"]
    for words, word in ((sizes, 2), (kinds, "list"), (vectors, "none")):
        words.insert(place, word)
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\n"
        f"sizes: {' '.join(map(str, sizes))}\nspace directions: {' '.join(vectors)}\n"
        f"kinds: {' '.join(kinds)}\nencoding: gzip\nspace origin: (1,2,3)\n"
        "Segment0_Name:=liver\nSegment0_Layer:=0\n\n"
    )
    (tmp_path / "a.seg.nrrd").write_bytes(header.encode() + gzip.compress(stored.tobytes()))
    for frame in (0, 1):
        np.testing.assert_array_equal(read_image(tmp_path / "a.seg.nrrd", frame=frame).data, layers[frame])


@pytest.mark.parametrize("ending", [*ENDINGS])
def test_a_series_is_written_and_read(ending, tmp_path):
    frames = np.random.default_rng(2).normal(size=(3, *OBLIQUE.shape)).astype(np.float32)
    path = tmp_path / f"a{ending}"
    images.write_frames(frames, OBLIQUE, None, path)
    stack = images.load(path, images.Choice())
    assert stack.count == 3
    assert stack.grid.same_as(OBLIQUE, FLOAT32_MM)
    np.testing.assert_array_equal(stack.data, frames)
    np.testing.assert_array_equal(read_image(path, frame=2).data, frames[2])
    if ending in ITK_ENDINGS:
        sitk = pytest.importorskip("SimpleITK")
        theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))  # of an NRRD as components of each voxel
        np.testing.assert_array_equal(theirs if ending == ".mha" else np.moveaxis(theirs, -1, 0), frames)


@pytest.mark.parametrize(
    "names", [("TransformMatrix", "Offset"), ("Orientation", "Origin"), ("Rotation", "Position")]
)
def test_every_name_of_a_field_of_a_metaimage_is_read(names, tmp_path):
    matrix = rotation((1, 2, 3), 40)
    head = (
        "ObjectType = Image\nNDims = 3\nElementByteOrderMSB = True\nCompressedData = True\n"
        f"{names[0]} = {' '.join(map(str, matrix.T.ravel()))}\n{names[1]} = 5 6 7\nElementSpacing = 1 2 3\n"
        "AnatomicalOrientation = RAI\nDimSize = 4 3 2\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    )
    packed = zlib.compress(np.arange(24, dtype=">u2").tobytes())
    (tmp_path / "a.mha").write_bytes(head.encode() + packed)
    mine = read_image(tmp_path / "a.mha")
    np.testing.assert_array_equal(mine.data.ravel(), np.arange(24))
    for k, j, i in np.ndindex(2, 3, 4):
        expected = (matrix @ (i, 2 * j, 3 * k) + (5, 6, 7)) * LPS
        np.testing.assert_allclose(mine.grid.map_indices([[k, j, i]])[0], expected, atol=1e-9)
