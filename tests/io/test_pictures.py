"""Pictures: values kept, colour refused unless asked for, a spacing always asked for, as ITK places them."""

import struct
import zlib

import numpy as np
import pytest

from mmreg_rt import Volume, read_image, write_image
from mmreg_rt.errors import BackendUnavailableError, MmregError
from mmreg_rt.io import is_planar

Image = pytest.importorskip("PIL.Image", reason="the extra formats is not installed")
GREY = np.random.default_rng(1).integers(0, 256, (5, 7)).astype(np.uint8)


def refused(code, *mentions, path, **choice):
    with pytest.raises(MmregError) as caught:
        read_image(path, **choice)
    assert caught.value.code == code, str(caught.value)
    assert all(str(mention) in caught.value.args[0] for mention in mentions), str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff"])
def test_grey_values_are_kept(dtype, ending, tmp_path):
    data = np.random.default_rng(2).integers(0, np.iinfo(dtype).max, (6, 4)).astype(dtype)
    Image.fromarray(data).save(tmp_path / f"a{ending}")
    mine = read_image(tmp_path / f"a{ending}", spacing_mm=(0.5, 0.7))
    np.testing.assert_array_equal(mine.data[0], data)
    assert mine.data.dtype == dtype
    assert mine.grid.spacing_mm == (1.0, 0.7, 0.5)
    assert is_planar(mine)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_simpleitk_places_the_pixels_at_the_same_points(ending, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(GREY)
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    image.SetSpacing((0.5, 0.7))
    mine = read_image(tmp_path / f"a{ending}", spacing_mm=(0.5, 0.7))
    for point, value in zip(mine.grid.points_mm() * (-1, -1, 1), mine.data.ravel(), strict=True):
        assert image[image.TransformPhysicalPointToIndex(point[:2].tolist())] == value


def test_float_pixels_of_tiff_are_kept_and_written_again(tmp_path):
    data = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
    Image.fromarray(data).save(tmp_path / "a.tif")
    mine = read_image(tmp_path / "a.tif", spacing_mm=2)
    np.testing.assert_array_equal(mine.data[0], data)
    write_image(mine, tmp_path / "b.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif", spacing_mm=2).data, mine.data)
    with pytest.raises(MmregError, match=r"\.tif or \.nii\.gz"):
        write_image(mine, tmp_path / "b.png")
    with pytest.raises(MmregError, match="one plane"):
        write_image(Volume.from_array(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "c.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "YCbCr"])
def test_colour_is_refused_or_converted_if_asked(mode, tmp_path):
    name = "a.png" if mode in ("RGB", "RGBA", "LA", "P") else "a.jpg"
    Image.fromarray(GREY).convert("RGB").convert(mode).save(tmp_path / name)
    refused("MMREG_E_PICTURE_COLOUR", "grey=True", path=tmp_path / name, spacing_mm=1)
    grey = read_image(tmp_path / name, spacing_mm=1, grey=True).data[0]
    assert np.abs(grey.astype(int) - GREY).max() <= (
        60 if mode in ("P", "CMYK", "YCbCr") else 1
    )  # of few colours, or JPEG


def test_a_grey_jpeg_is_read(tmp_path):
    Image.fromarray(np.full((9, 9), 77, np.uint8)).save(tmp_path / "a.jpeg")
    assert (read_image(tmp_path / "a.jpeg", spacing_mm=1).data == 77).all()


def test_pages_are_frames(tmp_path):
    pages = [Image.fromarray(GREY + n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    refused("MMREG_E_IMAGE_FRAMES", "3 frames", path=tmp_path / "a.tif", spacing_mm=1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", spacing_mm=1, frame=2).data[0], GREY + 2)


def test_a_spacing_is_asked_for_and_belongs_to_pictures_alone(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    write_image(Volume.from_array(np.zeros((2, 3, 4)), np.eye(4)), tmp_path / "a.nii")
    refused("MMREG_E_PICTURE_SPACING", "spacing_mm", path=tmp_path / "a.png")
    for spacing in (0, -1, (1, 2, 3), float("nan"), float("inf"), "wide"):
        refused("MMREG_E_PICTURE_SPACING", path=tmp_path / "a.png", spacing_mm=spacing)
    refused("MMREG_E_PICTURE_SPACING", "left out", path=tmp_path / "a.nii", spacing_mm=1)


def test_damaged_and_foreign_content_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "good.png")
    content = (tmp_path / "good.png").read_bytes()
    for ending in (".png", ".tif", ".jpg"):
        for data in (
            content[:20],
            content[:60],
            b"\x89PNG",
            b"II*\0\x08\0\0\0\xff\xff",
            b"\xff\xd8\xff\xe0",
        ):
            (tmp_path / f"a{ending}").write_bytes(data)
            refused("MMREG_E_PICTURE", path=tmp_path / f"a{ending}", spacing_mm=1)
    (tmp_path / "b.tif").write_bytes(content)
    refused("MMREG_E_PICTURE", "TIFF", path=tmp_path / "b.tif", spacing_mm=1)
    huge = content[:16] + struct.pack(">II", 60_000, 30_000) + content[24:29]
    huge += struct.pack(">I", zlib.crc32(huge[12:29])) + content[33:]
    (tmp_path / "c.png").write_bytes(huge)
    with pytest.raises(MmregError):
        read_image(tmp_path / "c.png", spacing_mm=1)


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(BackendUnavailableError, match=r"mmreg-rt\[formats\]"):
        read_image(tmp_path / "a.png", spacing_mm=1)
