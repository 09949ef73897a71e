"""Numbers 70 to 75: transforms."""

import struct

import nibabel
import numpy as np
import pytest
from bad_inputs.declared import case, refused
from fixtures.grids import OBLIQUE, grid, rotation

from mmreg_rt import Affine, Composite, DisplacementField, Rigid, read_transform, write_transform

GRID = grid((6, 7, 8), (1, 1, 1))
HEADING = "#Insight Transform File V1.0\n"


def field_file(path, data, intent=1007, unit=2, affine=None):
    image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
    image.header.set_intent(intent)
    image.header["xyzt_units"] = unit
    nibabel.save(image, path)
    return path


def vectors(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@case(70, "field that is not finite", "MMREG_E_TRANSFORM_NOT_FINITE")
def test_70_a_field_that_is_not_finite(bad, tmp_path):
    u = np.zeros((3, *GRID.shape), np.float32)
    u[1, 2, 3, 4] = bad
    with refused("MMREG_E_TRANSFORM_NOT_FINITE", (1, 2, 3, 4)):
        DisplacementField(u, GRID)
    path = field_file(tmp_path / "u.nii.gz", u.T[:, :, :, None])
    with refused("MMREG_E_TRANSFORM_NOT_FINITE", path):
        read_transform(path)


@case(
    71,
    "field on another grid",
    "MMREG_E_TRANSFORM_GRID",
    handled="A field on another grid is resampled in mm.",
)
def test_71_a_field_on_another_grid():
    with refused("MMREG_E_TRANSFORM_GRID", "(3, 6, 7, 8)", "(3, 5, 6, 7)"):
        DisplacementField(np.zeros((3, *OBLIQUE.shape), np.float32), GRID)
    with refused("MMREG_E_TRANSFORM_GRID", (6, 7, 8, 3)):
        DisplacementField(np.zeros((*GRID.shape, 3), np.float32), GRID)  # vectors last
    constant = DisplacementField(np.full((3, *GRID.shape), 1.5, np.float32), GRID)
    np.testing.assert_allclose(constant.to_field(OBLIQUE).displacement_mm, 1.5)


@pytest.mark.parametrize(
    ("data", "intent", "unit", "code"),
    [
        (vectors(4, 5, 6, 1, 3), 1007, 1, "MMREG_E_FIELD_UNITS"),
        (vectors(4, 5, 6, 1, 3), 1007, 3, "MMREG_E_FIELD_UNITS"),
        (vectors(4, 5, 6, 1, 3), 0, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6, 3), 1007, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6, 1, 2), 1007, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6, 2, 3), 1007, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6, 1, 3, dtype=np.int16), 1007, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6), 0, 2, "MMREG_E_FIELD_LAYOUT"),
        (vectors(4, 5, 6, 1, 3) + 1e6, 1007, 2, "MMREG_E_TRANSFORM_TOO_LARGE"),
    ],
    ids=[
        "metres",
        "microns",
        "no intent",
        "4-D",
        "2 components",
        "2 frames",
        "integers",
        "image",
        "kilometres",
    ],
)
@case(
    71,
    "field in wrong units or layout",
    "MMREG_E_FIELD_UNITS",
    "MMREG_E_FIELD_LAYOUT",
    "MMREG_E_TRANSFORM_TOO_LARGE",
    handled="Voxels instead of mm cannot be detected from the file.",
)
def test_71_a_field_in_wrong_units_or_layout(data, intent, unit, code, tmp_path):
    path = field_file(tmp_path / "u.nii.gz", data, intent, unit)
    with refused(code, path):
        read_transform(path)


@pytest.mark.parametrize(
    ("name", "p1", "intent", "code"),
    [
        ("NREG_TRANS", 3, 1007, "MMREG_E_FIELD_PROGRAM"),
        ("NREG_TRANS", 2, 1007, "MMREG_E_TRANSFORM_NEEDS_SCAN"),
        ("Velocity", 0, 1007, "MMREG_E_FIELD_PROGRAM"),
        ("", 0, 2006, "MMREG_E_TRANSFORM_NEEDS_SCAN"),
        ("", 0, 2008, "MMREG_E_FIELD_PROGRAM"),
        ("Mapping", 0, 1007, "MMREG_E_FIELD_POSITIONS"),
    ],
    ids=["NiftyReg velocity", "NiftyReg spline", "unknown name", "FSL field", "FSL cosines", "SPM"],
)
@case(
    71,
    "field of another program",
    "MMREG_E_FIELD_PROGRAM",
    "MMREG_E_FIELD_POSITIONS",
    "MMREG_E_TRANSFORM_NEEDS_SCAN",
    handled="Deformations of SPM, NiftyReg and FSL are converted.",
)
def test_71_a_field_of_another_program(name, p1, intent, code, tmp_path):
    image = nibabel.Nifti1Image(vectors(4, 5, 6, 1, 3), np.eye(4))
    image.header["intent_name"], image.header["intent_p1"], image.header["intent_code"] = name, p1, intent
    nibabel.save(image, tmp_path / "u.nii.gz")
    with refused(code, tmp_path / "u.nii.gz"):
        read_transform(tmp_path / "u.nii.gz")


@case(
    72,
    "folding",
    "MMREG_E_TRANSFORM_NOT_INVERTIBLE",
    handled="Counted with nine choices of finite differences.",
)
def test_72_folding():
    u = np.zeros((3, *GRID.shape), np.float32)
    u[0, :, :, 4] = 2.5  # along x: one plane jumps over the next two
    folded = DisplacementField(u, GRID)
    assert folded.folding().folded_voxels > 0
    assert folded.folding().min_jacobian < 0
    assert (folded.jacobian_determinant().data <= 0).any()
    with refused("MMREG_E_TRANSFORM_NOT_INVERTIBLE", "folding()"):
        folded.inverse()


@case(
    73,
    "order of a composite reversed",
    handled="Parts are in the order of application; an ITK chain, last first, is reversed.",
)
def test_73_the_order_of_a_composite(tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = rotation((0, 0, 1), 90)
    shift = np.eye(4)
    shift[0, 3] = 10
    moved = Composite((Rigid(turn), Rigid(shift))).map_points([[1, 0, 0]])
    np.testing.assert_allclose(moved, [[10, 1, 0]], atol=1e-12)  # turned, then shifted
    # In the file the shift stands first, so ITK applies it last
    text = (
        "#Transform 0\nTransform: CompositeTransform_double_3_3\n"
        "#Transform 1\nTransform: TranslationTransform_double_3_3\nParameters: -10 0 0\nFixedParameters:\n"
        "#Transform 2\nTransform: Euler3DTransform_double_3_3\n"
        f"Parameters: 0 0 {np.pi / 2!r} 0 0 0\nFixedParameters: 0 0 0\n"
    )
    (tmp_path / "t.tfm").write_text(HEADING + text)
    np.testing.assert_allclose(read_transform(tmp_path / "t.tfm").map_points([[1, 0, 0]]), moved, atol=1e-12)


def block(kind="AffineTransform_double_3_3", parameters="1 0 0 0 1 0 0 0 1 0 0 0", fixed="0 0 0"):
    return f"Transform: {kind}\nParameters: {parameters}\nFixedParameters: {fixed}\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "MMREG_E_TRANSFORM_FILE"),
        ("Transform: x\n", "MMREG_E_TRANSFORM_FILE"),
        (HEADING, "MMREG_E_TRANSFORM_FILE"),
        (HEADING + "Parameters: 1\n", "MMREG_E_TRANSFORM_FILE"),
        (HEADING + "Transform: CompositeTransform_double_3_3\n", "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block(parameters="1 0 0"), "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block(fixed="0 0"), "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block(parameters="1 0 0 0 1 0 0 0 1 0 0 nan"), "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block(parameters="1 0 0 0 1 0 0 0 1 0 0 1e999"), "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block(parameters="1,0 0 0 0 1 0 0 0 1 0 0 0"), "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block() + "Parameters: 1 2\n", "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block() + "Evil: 1\n", "MMREG_E_TRANSFORM_FILE"),
        (HEADING + block("BSplineTransform_double_3_3"), "MMREG_E_TRANSFORM_KIND"),
        (HEADING + block("AffineTransform_double_4_4"), "MMREG_E_TRANSFORM_KIND"),
        (HEADING + block("AffineTransform_double_3_2"), "MMREG_E_TRANSFORM_KIND"),
        (HEADING + block(parameters="0 0 0 0 0 0 0 0 0 0 0 0"), "MMREG_E_TRANSFORM_SINGULAR"),
    ],
)
@case(
    74,
    "unknown or damaged transform",
    "MMREG_E_TRANSFORM_FILE",
    "MMREG_E_TRANSFORM_KIND",
    "MMREG_E_TRANSFORM_SINGULAR",
    "MMREG_E_FILE_EMPTY",
)
def test_74_text_that_is_no_transform(text, code, tmp_path):
    (tmp_path / "t.tfm").write_text(text)
    with refused(code if text else "MMREG_E_FILE_EMPTY", "t.tfm"):
        read_transform(tmp_path / "t.tfm")


def mat(name=b"AffineTransform_double_3_3\0", kind=0, rows=12, columns=1, imaginary=0, values=b"", order="<"):
    head = struct.pack(order + "5i", kind, rows, columns, imaginary, len(name))
    return head + name + (values or struct.pack(f"{order}{rows}d", *np.arange(1, rows + 1)))


FIXED = mat(b"fixed\0", rows=3)


@pytest.mark.parametrize(
    "raw",
    [b"", b"MATLAB 5.0 MAT-file", mat(), mat() + FIXED[:-1], mat() + FIXED + b"x", mat() + mat(), FIXED,
     mat(kind=1) + FIXED, mat(rows=2**31 - 1, values=b"x") + FIXED, mat(rows=-12, values=b"x") + FIXED,
     mat(columns=2) + FIXED, mat(imaginary=1) + FIXED, mat(b"\xff\xfe\0") + FIXED, mat(b"x" * 200) + FIXED,
     mat(values=struct.pack("<12d", *[np.nan] * 12)) + FIXED, mat(order=">") + FIXED,
     mat(values=struct.pack("<12d", *[1e300] * 12)) + FIXED,
     (mat() + FIXED) * 2000],
    ids=["empty", "level 5", "no centre", "cut", "garbage", "no fixed", "centre", "sparse", "huge",
         "negative", "columns", "complex", "bad name", "long name", "NaN", "wrong byte order", "too large",
         "too long"],
)  # fmt: skip
@case(
    74,
    ".mat: byte order, garbage",
    "MMREG_E_TRANSFORM_FILE",
    "MMREG_E_FILE_EMPTY",
    handled="Either byte order is read.",
)
def test_74_mat_files_that_are_none(raw, tmp_path):
    (tmp_path / "t.mat").write_bytes(raw)
    with refused("MMREG_E_TRANSFORM_FILE" if raw else "MMREG_E_FILE_EMPTY", "t.mat"):
        read_transform(tmp_path / "t.mat")


@pytest.mark.parametrize("name", ["t.h5", "t.x5", "t.lta", "t.xfm"])
@case(74, ".h5 that is damaged", "MMREG_E_HDF5")
def test_74_hdf5_that_is_damaged(name, tmp_path):
    pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    with refused("MMREG_E_HDF5", name, "Write it again"):
        read_transform(tmp_path / name)


@case(74, ".h5 with data elsewhere, links, lies about sizes", "MMREG_E_HDF5", "MMREG_E_TRANSFORM_FILE")
def test_74_hdf5_with_data_elsewhere(tmp_path):
    h5py = pytest.importorskip("h5py")

    def file(name, fill):
        with h5py.File(tmp_path / name, "w") as made:
            entry = made.create_group("TransformGroup").create_group("0")
            entry.create_dataset("TransformType", data="AffineTransform_double_3_3")
            fill(entry)
        return tmp_path / name

    (tmp_path / "secret.bin").write_bytes(bytes(96))
    numbers = "TransformParameters"
    hostile = {
        "link.h5": lambda e: e.__setitem__(numbers, h5py.ExternalLink("secret.bin", "/x")),
        "soft.h5": lambda e: e.__setitem__(numbers, h5py.SoftLink("/TransformGroup/0/TransformParameters")),
        "outside.h5": lambda e: e.create_dataset(
            numbers, (12,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 96)]
        ),
        "empty.h5": lambda e: e.create_dataset(numbers, (1 << 40,), "f8"),
        "bomb.h5": lambda e: e.create_dataset(
            numbers, (1 << 30,), "f8", chunks=(1 << 20,), compression="gzip"
        ),
        "text.h5": lambda e: e.create_dataset(numbers, data="1 2 3"),
        "complex.h5": lambda e: e.create_dataset(numbers, data=np.zeros(12, complex)),
        "group.h5": lambda e: e.create_group(numbers),
    }
    for name, fill in hostile.items():
        with refused("MMREG_E_HDF5", name):
            read_transform(file(name, fill))
    for name, values in {"nan.h5": [np.nan] * 12, "few.h5": [1.0], "flat.h5": np.zeros((3, 4))}.items():
        with refused("MMREG_E_TRANSFORM_FILE", name):
            read_transform(file(name, lambda e, v=values: e.create_dataset(numbers, data=v)))


@case(
    75,
    "inverse not available",
    "MMREG_E_TRANSFORM_SINGULAR",
    "MMREG_E_TRANSFORM_NOT_INVERTIBLE",
    handled="A singular matrix is refused on construction.",
)
def test_75_no_inverse(tmp_path):
    with refused("MMREG_E_TRANSFORM_SINGULAR"):
        Affine(np.diag([1.0, 1e-9, 1, 1]))
    collapsed = -GRID.points_mm().T.reshape(3, *GRID.shape).astype(np.float32)  # every point to the origin
    with refused("MMREG_E_TRANSFORM_NOT_INVERTIBLE"):
        DisplacementField(collapsed, GRID).inverse()
    with refused("MMREG_E_TRANSFORM_NOT_INVERTIBLE"):
        write_transform(Composite((DisplacementField(collapsed, GRID),)).inverse(), tmp_path / "t.nii.gz")
    assert not list(tmp_path.iterdir())
