"""Hostile files of each text format and of DICOM: a refusal of the package in little memory, nothing left."""

import contextlib
import gzip
import re
import tracemalloc

import numpy as np
import pytest
from bad_inputs.declared import PEAK_BYTES, refused
from dialects.dicom_oracles import series
from dialects.scenes import AFFINE, FIXED, MOVING, chain
from fixtures.m3z import m3z

from mmreg_rt import Grid, read_transform, write_transform
from mmreg_rt.errors import MmregError, TransformError

# format: name of the file, dialect, and pairs of a pattern in a valid file and what replaces it
REPLACED = {
    "lta": (
        "t.lta",
        "freesurfer",
        [
            (r"type +=", "kind ="),
            (r"type +=.*", "type = 1e400"),
            (r"type +=.*", "type = 99"),
            (r"nxforms +=.*", "nxforms = 2"),
            (r"nxforms +=.*", "nxforms = 1000000000"),
            (r"mean +=.*", "mean = 0 0"),
            (r"sigma +=.*\n", ""),
            (r"1 4 4", "1 4 5"),
            (r"1 4 4", "100000 4 4"),
            (r"(1 4 4\n)\S+", r"\1nan"),
            (r"(1 4 4\n)\S+", r"\1inf"),
            (r"(1 4 4\n)\S+", r"\g<1>1e300"),
            (r"(1 4 4\n)\S+", r"\g<1>0x10"),
            (r"(1 4 4\n)\S+", r"\1"),
            (r"(?s)(1 4 4\n).*", r"\1"),
            (r"(?s)1 4 4\n.*", ""),
            (r"(?s)(1 4 4\n)(?:[^\n]*\n){3}", "1 4 4\n" + "0 0 0 0\n" * 3),
            (r"1 4 4", "1 4 4\n" + "9" * 5000),
            (r"(?s).*", "type = 1\n" * 50000),
            (r"(?s)(1 4 4\n(?:[^\n]*\n){3})[^\n]*", r"\g<1>1 1 1 1"),
        ],
    ),
    "lta voxels": (
        "t.lta",
        "freesurfer",
        [
            (r"src volume info", "dst volume info"),
            (r"valid = 1", "valid = 0"),
            (r"voxelsize = \S+", "voxelsize = 0"),
            (r"voxelsize = \S+", "voxelsize = -1"),
            (r"xras   = .*", "xras = 0 0 0"),
            (r"cras   = .*", "cras = nan nan nan"),
            (r"volume = .*", "volume = 1 2"),
            (r"(?s)dst volume info.*", ""),
        ],
    ),
    "minc": (
        "t.xfm",
        "minc",
        [
            (r"MNI Transform File", "MNI Transform File 2"),
            (r"Transform_Type", "Transform_Kind"),
            (r"= Linear;", "= Grid_Transform;"),
            (r"= Linear;", "= Thin_Plate_Spline_Transform;"),
            (r"= Linear;", "= ;"),
            (r"Linear_Transform =\n\S+", "Linear_Transform =\nnan"),
            (r"Linear_Transform =\n\S+", "Linear_Transform =\n1e400"),
            (r"Linear_Transform =\n\S+", "Linear_Transform =\n"),
            (r"Linear_Transform =\n", "Linear_Transform =\n1 "),
            (r"Linear_Transform", "Cubic_Transform"),
            (r"Linear_Transform =\n", "Invert_Flag = Maybe;\nLinear_Transform =\n"),
            (r"(?s)Linear_Transform =.*", "Linear_Transform =\n" + "0 " * 12 + ";"),
            (r"(?s)Linear_Transform =.*", "Linear_Transform = " + "1 " * 100000),
            (r"(?s)Transform_Type.*", ""),
            (r"(?s)(Transform_Type.*)", r"\1" * 100),
            (r"Transform_Type", "Displacement_Volume = /etc/passwd;\nTransform_Type = Grid;\nTransform_Type"),
            (r";", ""),
            (r"(?s).*", "MNI Transform File"),
            (r"(?s).*", "MNI Transform File\n" + ";" * 100000),
            (r"(?s).*", "MNI Transform File\nTransform_Type = " + "x" * 100000),
        ],
    ),
    "elastix": (
        "t.txt",
        "elastix",
        [
            (r'"AffineTransform"', '"AffineTransforms"'),
            (r'"AffineTransform"', '"DeformationFieldTransform"'),
            (r'"AffineTransform"', '"BSplineTransform"'),
            (r'"AffineTransform"', '"SimilarityTransform"'),
            (r"\(TransformParameters \S+", "(TransformParameters nan"),
            (r"\(TransformParameters \S+", "(TransformParameters 1e999"),
            (r"\(TransformParameters \S+", "(TransformParameters"),
            (r"\(TransformParameters .*", "(TransformParameters " + "0 " * 12 + ")"),
            (r"\(TransformParameters .*", "(TransformParameters " + "1 " * 100000 + ")"),
            (r"\(TransformParameters .*", ""),
            (r"\(CenterOfRotationPoint.*", ""),
            (r"\(CenterOfRotationPoint.*", "(CenterOfRotationPoint 0 0)"),
            (r"\(FixedImageDimension 3", "(FixedImageDimension 2"),
            (r"\(FixedImageDimension 3", "(FixedImageDimension many"),
            (r"NoInitialTransform", "t.txt"),
            (r"NoInitialTransform", "../../../../etc/passwd"),
            (r"NoInitialTransform", "/dev/zero"),
            (r"NoInitialTransform", "missing.txt"),
            (r'("NoInitialTransform"\)\n)', '"t.txt")\n(HowToCombineTransforms "Add")\n'),
            (r"\(Size", "(Size 1)\n((((((Size"),
        ],
    ),
    "bare 4x4": (
        "t.mat",
        "fsl",
        [
            (r"(?s).*", text)
            for text in (
                "1 0 0 0\n" * 4, "1 0 0\n" * 4, "1 0 0 0\n" * 3, "1 0 0 0\n" * 5, "nan 0 0 0\n" * 4,
                "0 0 0 0\n" * 3 + "0 0 0 1", "1,0,0,0\n" * 4, "1e999 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1",
                "x", "1 " * 16, "1 " * 100000, "1\n" * 100000, "\x00" * 20, "\ufeff1 0 0 0",
                "#", "# 1 0 0 0\n" * 4,
                "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 2", "0x1 0 0 0\n" * 4, "1_0 0 0 0\n" * 4, "9" * 100000,
            )
        ],
    ),
    "afni": (
        "t.aff12.1D",
        "afni",
        [
            (r"(?s).*", text)
            for text in (
                "1 " * 11, "1 " * 13, "1 0 0\n" * 4, "1 0 0 0\n" * 4, "0 " * 12, "nan " * 12,
                "1e999 " + "0 " * 11,
                "#", "# 3dvolreg matrices\n", "1," * 12, "x " * 12, "1 " * 12 + "\n" + "1 " * 12, "\x00",
                "\ufeff1", "9" * 100000, "1 " * 100000, "1\n" * 12, "1_0 " * 12, "inf " * 12, "1e-300 " * 12,
            )
        ],
    ),
}  # fmt: skip
CASES = [
    pytest.param(form, pattern, text, id=f"{form} {number}")
    for form, (_, _, replaced) in REPLACED.items()
    for number, (pattern, text) in enumerate(replaced)
]


@pytest.fixture
def valid(tmp_path):
    """Write a valid file of a format and return its path."""

    def write(form):
        name, dialect, _ = REPLACED[form]
        write_transform(AFFINE, tmp_path / name, dialect=dialect, fixed=FIXED, moving=MOVING)
        if form == "lta voxels":
            text = (tmp_path / name).read_text()
            (tmp_path / name).write_text(re.sub("type +=.*", "type = 0", text))
        return tmp_path / name, dialect

    return write


@pytest.mark.parametrize(("form", "pattern", "text"), CASES)
def test_a_hostile_text_is_refused(form, pattern, text, valid, tmp_path):
    path, dialect = valid(form)
    before = path.read_text()
    after = re.sub(pattern, text, before, count=1)
    assert after != before
    path.write_text(after)
    with refused_any("") as caught:
        read_transform(path, dialect=dialect, fixed=FIXED, moving=MOVING)
    assert len(str(caught.value)) < 2000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


HOSTILE_MORPHS = {
    "version": (0, b"\0\0\0\0"),
    "not a number": (0, b"\x7f\xc0\0\0"),
    "no nodes": (4, bytes(4)),
    "negative": (4, b"\xff" * 4),
    "more nodes": (4, b"\0\0\0\x05"),
    "fewer nodes": (4, b"\0\0\0\x01"),
    "huge": (4, b"\x7f\xff\xff\xff" * 3),
    "no spacing": (16, bytes(4)),
    "spacing": (16, b"\x7f\xff\xff\xff"),
    "nowhere": (24, bytes(24)),
    "infinite": (36, b"\x7f\x80\0\0"),
    "position": (36, b"\x7f\x7f\xff\xff"),
    "tag": (24 + 24 * 36, b"\0\0\0\x0c"),
    "not valid": (24 + 24 * 36 + 4, bytes(4)),
    "flat": (24 + 24 * 36 + 4 + 28, bytes(12)),
    "far": (24 + 24 * 36 + 4 + 64, b"\x7f\x7f\xff\xff"),
    "kind tag": (24 + 24 * 36 + 4 + 2 * 588, b"\0\0\0\x0d"),
    "kind": (24 + 24 * 36 + 8 + 2 * 588, b"\0\0\0\x07"),
}


@pytest.mark.parametrize(("place", "content"), HOSTILE_MORPHS.values(), ids=HOSTILE_MORPHS)
def test_a_hostile_morph_is_refused(place, content, tmp_path):
    target = Grid((2, 3, 4), np.eye(4))
    raw = bytearray(gzip.decompress(m3z(np.ones((4, 3, 2, 3)), target, target)))
    raw[place : place + len(content)] = content
    (tmp_path / "t.m3z").write_bytes(gzip.compress(raw))
    with refused_any("t.m3z"):
        read_transform(tmp_path / "t.m3z")


@pytest.mark.parametrize("count", [0, 10, 100, 500, 2000])
def test_a_morph_that_is_cut_is_refused(count, tmp_path):
    target = Grid((2, 3, 4), np.eye(4))
    raw = gzip.decompress(m3z(np.ones((4, 3, 2, 3)), target, target))
    (tmp_path / "t.m3z").write_bytes(gzip.compress(raw[:count]))
    with refused_any("t.m3z"):
        read_transform(tmp_path / "t.m3z")


@contextlib.contextmanager
def refused_any(name):
    """The block is refused by any error of the package that names the file, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(MmregError, match=name) as caught:
            yield caught
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


@pytest.fixture
def deformable(tmp_path):
    pytest.importorskip("pydicom")
    scans = series(tmp_path)
    write_transform(chain(FIXED), tmp_path / "field.dcm", **scans)
    write_transform(AFFINE, tmp_path / "matrix.dcm", **scans)
    return tmp_path


def grid_of(dataset):
    return dataset.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]


def matrix_of(dataset):
    return dataset.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]


HOSTILE_DICOM = {
    "size": lambda d: setattr(grid_of(d), "GridDimensions", [1 << 16, 1 << 16, 1 << 15]),
    "no size": lambda d: setattr(grid_of(d), "GridDimensions", [0, 1, 1]),
    "two sizes": lambda d: setattr(grid_of(d), "GridDimensions", [5, 5]),
    "short": lambda d: setattr(grid_of(d), "VectorGridData", grid_of(d).VectorGridData[:-12]),
    "undefined": lambda d: setattr(
        grid_of(d), "VectorGridData", np.full(len(grid_of(d).VectorGridData) // 4, np.nan, "<f4").tobytes()
    ),
    "spacing": lambda d: setattr(grid_of(d), "GridResolution", [0.0, 1.0, 1.0]),
    "infinite": lambda d: setattr(grid_of(d), "GridResolution", [np.inf, 1.0, 1.0]),
    "flat": lambda d: setattr(grid_of(d), "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
    "no place": lambda d: grid_of(d).__delitem__("ImagePositionPatient"),
    "no vectors": lambda d: grid_of(d).__delitem__("VectorGridData"),
    "no grid": lambda d: d.DeformableRegistrationSequence[0].__delitem__(
        "DeformableRegistrationGridSequence"
    ),
    "no items": lambda d: setattr(d, "DeformableRegistrationSequence", []),
    "two items": lambda d: d.DeformableRegistrationSequence.append(d.DeformableRegistrationSequence[0]),
    "class": lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),
    "no class": lambda d: d.__delitem__("SOPClassUID"),
}
HOSTILE_MATRICES = {
    "rigid that shears": lambda d: setattr(matrix_of(d), "FrameOfReferenceTransformationMatrixType", "RIGID"),
    "short": lambda d: setattr(matrix_of(d), "FrameOfReferenceTransformationMatrix", [1] * 15),
    "singular": lambda d: setattr(matrix_of(d), "FrameOfReferenceTransformationMatrix", [0] * 15 + [1]),
    "perspective": lambda d: setattr(matrix_of(d), "FrameOfReferenceTransformationMatrix", [2] * 16),
    "three frames": lambda d: d.RegistrationSequence.append(d.RegistrationSequence[0]),
    "no frames": lambda d: setattr(d, "RegistrationSequence", []),
    "no matrix": lambda d: setattr(d.RegistrationSequence[1], "MatrixRegistrationSequence", []),
}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("field.dcm", change) for change in HOSTILE_DICOM.values()),
        *(("matrix.dcm", change) for change in HOSTILE_MATRICES.values()),
    ],
    ids=[*HOSTILE_DICOM, *(f"matrix {name}" for name in HOSTILE_MATRICES)],
)
def test_a_hostile_registration_object_is_refused(name, change, deformable):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(deformable / name)
    change(dataset)
    pydicom.dcmwrite(deformable / "bad.dcm", dataset)
    with pytest.raises(MmregError, match=r"bad\.dcm"):
        read_transform(deformable / "bad.dcm")


def test_a_deflated_object_is_refused_before_it_is_unpacked(deformable):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(deformable / "field.dcm")
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    pydicom.dcmwrite(deformable / "bad.dcm", dataset)
    with refused("MMREG_E_TRANSFORM_FILE", "deflated"):
        read_transform(deformable / "bad.dcm")


@pytest.mark.parametrize(
    ("dialect", "name"),
    [("itk", "t.tfm"), ("ants", "t.mat"), ("fsl", "t.mat"), ("freesurfer", "t.lta"), ("niftyreg", "t.txt"),
     ("afni", "t.1D"), ("elastix", "t.txt"), ("minc", "t.xfm")],
)  # fmt: skip
def test_a_field_cannot_be_said_in_a_matrix(dialect, name, tmp_path):
    with pytest.raises(TransformError, match=r"can only hold a rigid or affine transform.*nii\.gz") as caught:
        write_transform(chain(FIXED), tmp_path / name, dialect=dialect, fixed=FIXED, moving=MOVING)
    assert caught.value.code == "MMREG_E_TRANSFORM_KIND"
    assert not list(tmp_path.iterdir())


def test_a_name_that_a_dialect_does_not_have_is_refused_with_those_it_has(tmp_path):
    with refused("MMREG_E_TRANSFORM_DIALECT", "fsl", ".mat, .nii"):
        write_transform(AFFINE, tmp_path / "t.lta", dialect="fsl", fixed=FIXED, moving=MOVING)
    with refused("MMREG_E_TRANSFORM_DIALECT", "itk, ants"):
        write_transform(AFFINE, tmp_path / "t.lta", dialect="fls")


def test_a_matrix_of_bare_numbers_needs_the_name_of_its_program(tmp_path):
    write_transform(AFFINE, tmp_path / "t.mat", dialect="fsl", fixed=FIXED, moving=MOVING)
    with refused("MMREG_E_TRANSFORM_FOREIGN", "--from fsl", "--from niftyreg"):
        read_transform(tmp_path / "t.mat")
    with refused("MMREG_E_TRANSFORM_NEEDS_SCAN", "--fixed"):
        read_transform(tmp_path / "t.mat", dialect="fsl", moving=MOVING)


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    import sys

    for name, extra, module in (("t.h5", "formats", "h5py"), ("t.dcm", "dicom", "pydicom")):
        monkeypatch.setitem(sys.modules, module, None)
        with refused("MMREG_E_EXTRA_MISSING", f"mmreg-rt[{extra}]"):
            write_transform(AFFINE, tmp_path / name)
