"""Series, forms that disagree, files that are refused or of other programs, met in the shell."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fixtures import pretend
from fixtures.shell import run

from mmreg_rt import io
from mmreg_rt.transform import Affine, Rigid

pytestmark = pytest.mark.usefixtures("registrar")

SHAPE = (10, 12, 8)  # X, Y, Z


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def smooth(n=0, shape=SHAPE):
    x, y, z = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1))
    return (100 * np.sin(3 * x + n) * np.cos(2 * y) + 20 * z).astype(np.float32)


def save(name, data, affine=None, forms=(1, 1), **fields):
    affine = np.diag([2.0, 2, 3, 1]) if affine is None else affine
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, forms[0])
    image.set_qform(affine, forms[1])
    for field, value in fields.items():
        image.header[field] = value
    image.to_filename(name)


def shift(name="t.tfm", by=(2.0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, 3] = by
    io.write_transform(Rigid(matrix), name)
    return name


def series(name="series.nii.gz", frames=3, dtype=np.float32, extra=()):
    data = np.stack([smooth(n) for n in range(frames * int(np.prod(extra, initial=1)))], -1)
    data = data.reshape(*SHAPE, frames, *extra)
    save(name, data.astype(dtype))
    return data


# Series


def test_warp_takes_every_image_of_a_series_as_it_takes_one():
    data = series(frames=4)
    run(f"warp series.nii.gz -t {shift()} -o all.nii.gz")
    found = nibabel.load("all.nii.gz")
    assert found.shape == (*SHAPE, 4)
    for n in range(4):
        save("one.nii.gz", data[..., n])
        run(f"warp one.nii.gz -t t.tfm -o one_{n}.nii.gz")
        run(f"warp series.nii.gz -t t.tfm --frame {n} -o frame_{n}.nii.gz")
        np.testing.assert_array_equal(found.dataobj[..., n], nibabel.load(f"one_{n}.nii.gz").dataobj)
        np.testing.assert_array_equal(found.dataobj[..., n], nibabel.load(f"frame_{n}.nii.gz").dataobj)
    inside = np.s_[:-1, :, :, :]  # one voxel along x is 2 mm
    np.testing.assert_allclose(np.asarray(found.dataobj)[inside], data[1:], atol=1e-4)


def test_a_warped_series_keeps_its_time_steps_and_takes_the_grid_of_like():
    data = series(frames=3)
    image = nibabel.load("series.nii.gz")
    image.header["pixdim"][4] = 2.5
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename("series.nii.gz")
    save("like.nii.gz", smooth(shape=(6, 7, 5)), np.diag([3.0, 3, 4, 1]))
    run("warp series.nii.gz -o out.nii.gz --like like.nii.gz")
    found = nibabel.load("out.nii.gz")
    assert found.shape == (6, 7, 5, 3)
    assert found.header["pixdim"][4] == 2.5
    assert found.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(found.affine, nibabel.load("like.nii.gz").affine)
    save("one.nii.gz", data[..., 2])
    run("warp one.nii.gz -o one_out.nii.gz --like like.nii.gz")
    np.testing.assert_array_equal(found.dataobj[..., 2], nibabel.load("one_out.nii.gz").dataobj)


@pytest.mark.parametrize("extra", [(), (2,), (1, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_labels_of_a_series_keep_their_type_and_axes(dtype, extra):
    data = (series(frames=3, extra=extra) > 20).astype(dtype) * 7
    save("labels.nii.gz", data)
    run(f"warp labels.nii.gz --labels -t {shift()} -o out.nii.gz")
    found = nibabel.load("out.nii.gz")
    assert found.get_data_dtype() == dtype
    assert found.shape == data.shape
    np.testing.assert_array_equal(np.asarray(found.dataobj)[:-1], data[1:])


def test_scaled_series_come_out_in_their_units():
    stored = np.round(series(frames=2)).astype(np.int16)
    image = nibabel.Nifti1Image(stored * 0.5 + 3, np.diag([2.0, 2, 3, 1]))
    image.header.set_data_dtype(np.int16)  # nibabel chooses a slope
    image.to_filename("scaled.nii.gz")
    run(f"warp scaled.nii.gz -t {shift(by=(0, 0, 0))} -o out.nii.gz")
    step = 100 / 2**15  # of 16 bits over the range
    np.testing.assert_allclose(nibabel.load("out.nii.gz").dataobj, stored * 0.5 + 3, atol=step)


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        ("--frame 1", (1, 1)),
        ("--fixed-frame 2 --moving-frame 0", (2, 0)),
        ("--frame 1 --moving-frame 2", (1, 2)),
    ],
)
def test_register_takes_the_frames_it_is_told(registrar, monkeypatch, words, frames):
    data, seen = series(frames=3), []
    monkeypatch.setattr(
        registrar(), "register", lambda _, f, m, **__: seen.extend((f, m)) or pretend.registration(f, m)
    )
    run(f"register series.nii.gz series.nii.gz -o out {words}")
    for volume, n in zip(seen, frames, strict=True):
        np.testing.assert_array_equal(volume.data.T, data[..., n])
    options = json.loads(Path("out/result.json").read_text())["options"]
    assert (options["fixed_frame"], options["moving_frame"]) == frames


def test_register_of_a_series_and_a_scan_leaves_the_scan_alone(registrar, monkeypatch):
    data, seen = series(), []
    save("scan.nii.gz", smooth(5))
    monkeypatch.setattr(
        registrar(), "register", lambda _, f, m, **__: seen.extend((f, m)) or pretend.registration(f, m)
    )
    run("register scan.nii.gz series.nii.gz -o out --frame 2")
    np.testing.assert_array_equal(seen[0].data.T, smooth(5))
    np.testing.assert_array_equal(seen[1].data.T, data[..., 2])


@pytest.mark.parametrize(
    "line",
    [
        "register series.nii.gz series.nii.gz -o out",
        "evaluate --fixed-labels series.nii.gz --moving-labels series.nii.gz",
    ],
)
def test_a_series_without_a_choice_is_refused_with_an_option_that_is_there(line):
    series()
    done = run(line, code=3)
    assert "--frame 0 to --frame 2" in done.stderr
    assert "frame=" not in done.stderr
    assert "--frame" in run(f"{line.split()[0]} --help").stdout


def test_a_frame_that_is_not_there_is_told():
    series()
    assert "frames 0 to 2" in run(f"warp series.nii.gz -t {shift()} -o o.nii.gz --frame 3", code=3).stderr
    assert not os.path.exists("o.nii.gz")


def test_evaluate_compares_one_frame_of_labels():
    data = (series(frames=3) > 20).astype(np.uint8)
    save("labels.nii.gz", data)
    save("one.nii.gz", data[..., 1])
    line = "evaluate --fixed-labels labels.nii.gz --moving-labels one.nii.gz --json"
    assert json.loads(run(f"{line} --frame 1").stdout)["labels"]["mean_dice"] == 1
    assert json.loads(run(f"{line} --frame 0").stdout)["labels"]["mean_dice"] < 1


# Forms that disagree


def disagreeing(name, data=None, field=False):
    """The sform of ``name`` says 2 mm steps, its qform 2 mm steps moved by 30."""
    save(name, smooth() if data is None else data)
    image = nibabel.load(name)
    moved = image.affine.copy()
    moved[0, 3] += 30
    image.set_qform(moved, 1)
    if field:
        image.header.set_intent(1007)
    image.to_filename(name)
    return name


def test_prefer_settles_which_form_is_right_everywhere(registrar, monkeypatch):
    seen = []
    monkeypatch.setattr(
        registrar(), "register", lambda _, f, m, **__: seen.extend((f, m)) or pretend.registration(f, m)
    )
    disagreeing("two.nii.gz")
    save("agree.nii.gz", smooth())
    done = run("register two.nii.gz agree.nii.gz -o out", code=3)
    assert "--prefer sform or --prefer qform" in done.stderr
    for form, x in (("sform", 0), ("qform", 30)):
        run(f"register two.nii.gz agree.nii.gz -o {form} --prefer {form}")
        assert seen[-2].grid.affine[0, 3] == x
        assert seen[-1].grid.affine[0, 3] == 0  # nothing to settle there
        run(f"warp two.nii.gz -t {shift(by=(0, 0, 0))} -o {form}.nii.gz --prefer {form}")
        assert nibabel.load(f"{form}.nii.gz").affine[0, 3] == x
        found = json.loads(run(f"inspect two.nii.gz --prefer {form} --json").stdout)
        assert found["affine"][0][3] == x


def test_prefer_holds_for_masks_labels_and_fields_too():
    save("scan.nii.gz", smooth())
    disagreeing("labels.nii.gz", (smooth() > 20).astype(np.uint8))
    disagreeing("field.nii.gz", np.zeros((*SHAPE, 1, 3), np.float32), field=True)
    for line in (
        "register scan.nii.gz scan.nii.gz -o out --fixed-mask labels.nii.gz --labels labels.nii.gz",
        "warp scan.nii.gz -t field.nii.gz -o w.nii.gz",
        "evaluate --transform field.nii.gz --fixed-labels labels.nii.gz --moving-labels labels.nii.gz",
        "inspect field.nii.gz",
    ):
        if "inspect" not in line:
            assert "--prefer" in run(line, code=3).stderr
        run(f"{line} --prefer sform")


# Inspect


def field_with(value, name="field.nii.gz"):
    u = np.zeros((*SHAPE, 1, 3), np.float32)
    u[3, 3, 3] = value
    save(name, u, intent_code=1007)


REFUSED = {
    "a series": (lambda: series("x.nii.gz"), "MMREG_E_NIFTI_FRAMES", ["10 x 12 x 8", "3 images"]),
    "no form": (
        lambda: save("x.nii.gz", smooth(), forms=(0, 0)),
        "MMREG_E_NIFTI_NO_ORIENTATION",
        ["10 x 12 x 8", "Sform", "code 0"],
    ),
    "two forms": (
        lambda: disagreeing("x.nii.gz"),
        "MMREG_E_NIFTI_FORMS_DISAGREE",
        ["30.0", "0.0", "R, A, S"],
    ),
    "NaN in a field": (
        lambda: field_with(np.nan, "x.nii.gz"),
        "MMREG_E_TRANSFORM_NOT_FINITE",
        ["displacement field", "3 not finite"],
    ),
    "a field too large": (
        lambda: field_with(1e9, "x.nii.gz"),
        "MMREG_E_TRANSFORM_TOO_LARGE",
        ["displacement field", "1e+09"],
    ),
    "a field of numbers that are whole": (
        lambda: save("x.nii.gz", np.zeros((*SHAPE, 1, 3), np.int16), intent_code=1007),
        "MMREG_E_FIELD_LAYOUT",
        ["displacement field", "int16"],
    ),
    "a field of two components in 3-D": (
        lambda: save("x.nii.gz", np.zeros((*SHAPE, 1, 2), np.float32), intent_code=1007),
        "MMREG_E_FIELD_LAYOUT",
        ["x 1 x 2"],
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_inspect_describes_what_register_refuses_and_says_why(kind):
    make, code, words = REFUSED[kind]
    make()
    done = run("inspect x.nii.gz")
    assert f"[{code}]" in done.stderr
    assert f"[{code}]" in done.stdout  # to a file it goes whole
    for word in words:
        assert word in done.stdout
    found = json.loads(run("inspect x.nii.gz --json").stdout)
    assert found["refused"]["code"] == code


def truncated():
    save("x.nii", smooth())
    raw = Path("x.nii").read_bytes()
    Path("x.nii").write_bytes(raw[: len(raw) // 2])
    return "x.nii"


def complex_numbers():
    save("x.nii", smooth().astype(np.complex64))
    return "x.nii"


def no_spacing():
    save("x.nii", smooth())
    raw = bytearray(Path("x.nii").read_bytes())
    raw[80:84] = bytes(4)
    Path("x.nii").write_bytes(raw)
    return "x.nii"


@pytest.mark.parametrize("make", [truncated, complex_numbers, no_spacing])
def test_inspect_describes_a_damaged_file_as_far_as_it_goes_and_exits_with_3(make):
    done = run(f"inspect {make()}", code=3)
    assert "10 x 12 x 8" in done.stdout
    assert "[MMREG_E_" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no image at all", bytes(400)])
def test_inspect_of_no_image_says_only_so(here, content):
    (here / "x.nii").write_bytes(content)
    done = run("inspect x.nii", code=3)
    assert "MMREG_E_" in done.stderr
    assert not done.stdout


# Files of other programs

FLIRT = "0.999847695  -0.017452406  0.000000000  1.5  \n0.017452406  0.999847695  0.0  -2.25  \n" \
        "0.0  0.0  1.0  3.125  \n0.0  0.0  0.0  1.0  \n"  # fmt: skip
ALADIN = "0.9998477 -0.01745241 0 1.5\n0.01745241 0.9998477 0 -2.25\n0 0 1 3.125\n0 0 0 1\n"
ELASTIX = '(Transform "EulerTransform")\n(NumberOfParameters 6)\n(TransformParameters 0.1 0 0 1 2 3)\n'
ELASTIX_TOML = 'NumberOfParameters = 6\nTransform = "BSplineTransform"\nTransformParameters = [0.1, 0, 0]\n'
AFNI = "# 3dvolreg matrices (DICOM-to-DICOM, row-by-row):\n0.99 0.01 0 1.5 -0.01 0.99 0 2 0 0 1 3\n"
LTA = "type      = 1\nnxforms   = 1\nmean      = 0.0 0.0 0.0\nsigma     = 1.0\n1 4 4\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("fixed2moving.mat", FLIRT, ("FLIRT", "reg_aladin", "--from fsl")),
        ("flirt.txt", FLIRT, ("FLIRT", "different meanings")),
        ("outputAffine.txt", ALADIN, ("reg_aladin", "FLIRT", "--from niftyreg")),
        ("aladin.tfm", ALADIN.replace("\n", "\r\n"), ("reg_aladin",)),
        ("TransformParameters.0.txt", ELASTIX, ("elastix", "CenterOfRotationPoint")),
        ("TransformParameters.1.txt", "// a comment\n" + ELASTIX, ("elastix",)),
        ("TransformParameters.2.txt", ELASTIX_TOML, ("elastix", "(Name values)")),
        ("anat.aff12.1D.txt", AFNI, ("AFNI",)),
        ("register.txt", LTA, ("FreeSurfer", "4 numbers")),
    ],
)
@pytest.mark.parametrize("command", ["warp", "inspect", "evaluate"])
def test_an_ambiguous_or_incomplete_matrix_is_refused_with_its_program(here, command, name, text, words):
    (here / name).write_text(text)
    save("scan.nii.gz", smooth())
    line = {"warp": f"warp scan.nii.gz -t {name} -o o.nii.gz", "inspect": f"inspect {name}",
            "evaluate": f"evaluate --transform {name}"}[command]  # fmt: skip
    done = run(line, code=3)
    assert "MMREG_E_TRANSFORM_F" in done.stderr  # FOREIGN, or FILE if the program is clear
    for word in words:
        assert word in done.stderr
    assert not (here / "o.nii.gz").exists()


@pytest.mark.parametrize("matrix", [np.eye(4), np.diag([1.1, 1, 1, 1])])
def test_our_own_matrices_are_not_taken_for_foreign_ones(matrix):
    io.write_transform(Affine(matrix), "a.tfm")
    io.write_transform(Affine(matrix), "a.txt")
    for name in ("a.tfm", "a.txt"):
        np.testing.assert_allclose(io.read_transform(name).matrix, matrix, atol=1e-12)


def dicom(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM" + bytes(64))


@pytest.mark.parametrize("inside", ["a.dcm", "IM000001", "series 1/deeper/00001", "DICOMDIR"])
@pytest.mark.parametrize("line", ["register study scan.nii.gz -o out", "register scan.nii.gz study -o out",
                                  "inspect study", "warp study -t t.tfm -o o.nii.gz"])  # fmt: skip
def test_a_dicom_folder_says_what_to_do(here, inside, line):
    dicom(here / "study" / inside)
    save("scan.nii.gz", smooth())
    shift()
    done = run(line, code=3)
    assert "MMREG_E_FILE_IS_DIRECTORY" in done.stderr or "MMREG_E_DICOM_DAMAGED" in done.stderr


@pytest.mark.parametrize("name", ["IM000001", "slice.dcm", "slice.ima"])
def test_a_dicom_file_says_what_to_do_whatever_its_name(here, name):
    dicom(here / name)
    assert "MMREG_E_DICOM_DAMAGED" in run(f"inspect {name}", code=3).stderr


def test_another_folder_is_told_as_a_folder(here):
    (here / "study").mkdir()
    (here / "study" / "notes.txt").write_text("x")
    assert "MMREG_E_FILE_IS_DIRECTORY" in run("inspect study", code=3).stderr


# One file that a command writes


def test_warp_replaces_what_it_wrote_and_nothing_else(here):
    save("scan.nii.gz", smooth())
    save("precious.nii.gz", smooth(1))
    os.symlink("precious.nii.gz", "link.nii.gz")
    os.mkdir("folder.nii.gz")
    before = (here / "precious.nii.gz").read_bytes()
    shift()
    if not has_attributes(here):
        pytest.skip("this disk keeps no extended attributes")
    for by in ((2.0, 0, 0), (4.0, 0, 0)):
        shift(by=by)
        run("warp scan.nii.gz -t t.tfm -o out.nii.gz")
    for name in ("precious.nii.gz", "link.nii.gz", "folder.nii.gz"):
        assert "MMREG_E_OUTPUT_FOREIGN" in run(f"warp scan.nii.gz -t t.tfm -o {name}", code=3).stderr
    assert (here / "precious.nii.gz").read_bytes() == before
    (here / "out.nii.gz").write_bytes(before)  # changed since
    run("warp scan.nii.gz -t t.tfm -o out.nii.gz", code=3)
    run("warp scan.nii.gz -t t.tfm -o out.nii.gz --overwrite")
    run("warp scan.nii.gz -t t.tfm -o link.nii.gz --overwrite")
    assert os.path.islink("link.nii.gz")
    assert (here / "precious.nii.gz").read_bytes() == (here / "out.nii.gz").read_bytes()


def has_attributes(here):
    (here / "probe").write_text("")
    try:
        os.setxattr(here / "probe", "user.mmreg.sha256", b"x")
    except (OSError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("role", ["scan.nii.gz", "like.nii.gz", "field.nii.gz"])
@pytest.mark.parametrize("way", ["itself", "link", "hard", "./round/../"])
def test_warp_does_not_write_over_what_it_reads(here, role, way):
    save("scan.nii.gz", smooth())
    save("like.nii.gz", smooth(1))
    field_with(0)
    (here / "round").mkdir()
    os.symlink(role, "link.nii.gz")
    os.link(role, "hard.nii.gz")
    out = {"itself": role, "link": "link.nii.gz", "hard": "hard.nii.gz"}.get(way, way + role)
    before = {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()}
    line = f"warp scan.nii.gz -t field.nii.gz --like like.nii.gz -o {out} --overwrite"
    assert "MMREG_E_OUTPUT_INPUT" in run(line, code=3).stderr
    assert {p.name: p.read_bytes() for p in here.iterdir() if p.is_file()} == before


def test_warp_writes_names_of_255_bytes_and_leaves_nothing_of_a_failure(here):
    save("scan.nii.gz", smooth())
    name = "x" * 248 + ".nii.gz"
    run(f"warp scan.nii.gz -t {shift()} -o {name}")
    assert (here / name).exists()
    before = {*os.listdir()}
    run("warp scan.nii.gz -t none.tfm -o new.nii.gz", code=3)
    run("warp scan.nii.gz -t t.tfm -o new.vtk", code=3)
    run("warp scan.nii.gz -t t.tfm -o none/new.nii.gz", code=3)
    assert {*os.listdir()} == before


def test_warp_without_a_transform_samples_a_mask_on_another_grid():
    save("mask.nii.gz", (smooth() > 20).astype(np.uint8))
    save("scan.nii.gz", smooth(shape=(20, 24, 16)), np.diag([1.0, 1, 1.5, 1]))
    run("warp mask.nii.gz --labels --like scan.nii.gz -o new.nii.gz")
    assert io.read_image("new.nii.gz").grid.same_as(io.read_image("scan.nii.gz").grid)
    run("warp mask.nii.gz --labels -o other.nii.gz", code=2)


def test_inspect_still_knows_a_sound_field():
    field_with(0.5)
    found = json.loads(run("inspect field.nii.gz --json").stdout)
    assert found["kind"] == "DisplacementField"
    assert "refused" not in found
