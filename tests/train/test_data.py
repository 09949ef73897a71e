"""From a description to samples: strict about what is written, divided by person, drawn by address."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from train.small import blob, write_pairs

from mmreg_rt import Volume, io
from mmreg_rt.errors import InputError, IntensityError
from mmreg_rt.geometry import Grid
from mmreg_rt.preprocess import PreprocessSpec
from mmreg_train.config.dataset import read_description
from mmreg_train.data.cases import Scan
from mmreg_train.data.layouts import find_cases
from mmreg_train.data.preparation import Preparation, default_cache
from mmreg_train.data.sources import RankShard, batches, open_data_set, window
from mmreg_train.data.splits import divide

HEAD = 'format = "mmreg-data/1"\nname = "balls"\nlicence = "CC0"\n'
PAIRS = (
    HEAD
    + """kind = "pairs"
[files]
fixed = "{case}_fixed.nii.gz"
moving = "{case}_moving.nii.gz"
fixed_label = "{case}_fixed_label.nii.gz"
moving_label = "{case}_moving_label.nii.gz"
"""
)
SPEC = PreprocessSpec(multiple=4, intensity="minmax")
CASES = [f"p{person}s{scan}" for person in range(6) for scan in range(2)]


@pytest.fixture
def folder(tmp_path):
    write_pairs(tmp_path, CASES)
    return tmp_path


def described(folder, text=PAIRS):
    (folder / "data.toml").write_text(text)
    return read_description(folder)


def opened(folder, text=PAIRS, size=(8, 8, 8), dims=3, crop=None, **preparation):
    description, where = described(folder, text)
    prepared = Preparation(SPEC, size, description.align, description.labels, default_cache(), **preparation)
    return open_data_set(description, where, prepared, dims, crop)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "pairs"', 'kind = "pears"', "kind: input should be 'pairs', 'scans' or 'labels'"),
        ('licence = "CC0"\n', "", "licence: missing"),
        ("[files]", "[files]\nfixd = 'x'", "files.fixd: unknown name"),
        ("[files]", "colour = 1\n[files]", "colour: unknown name"),
        ('fixed = "{case}_fixed.nii.gz"\n', "", "[files] needs fixed"),
        ("[files]", "[split]\ntrain = 0.9\n[files]", "add up to 1"),
        ("[files]", "[split]\nseed = '7'\n[files]", 'split.seed: input should be a valid integer; found'),
        ("[files]", "[person]\nregex = 'p[0-9]'\n[files]", "a regex needs a group"),
        ("[files]", "[person]\nregex = '('\n[files]", "not a regular expression"),
        ("[files]", "folder = 'elsewhere'\n[files]", "there is no folder"),
        (
            "[files]",
            "pairing = 'all'\n[files]\nfixed_structures = 'a{case}'\nmoving_structures = 'b{case}'",
            "fixed_structures, moving_structures need pairing = \"same\"",
        ),
        ('"CC0"', '"CC0', "is not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_description_is_named(tmp_path, old, new, said):
    assert old in PAIRS
    with pytest.raises(InputError) as caught:
        described(tmp_path, PAIRS.replace(old, new))
    assert said in str(caught.value)
    assert caught.value.code == "MMREG_E_TRAINING_DATA"
    assert "data.toml" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        described(tmp_path, PAIRS.replace('"balls"', "3").replace('"pairs"', '"pears"'))
    assert "name: " in str(caught.value)
    assert "kind: " in str(caught.value)


def test_a_missing_file_of_a_case_is_named(folder):
    (folder / "p3s1_moving_label.nii.gz").unlink()
    with pytest.raises(InputError, match="1 files of 12 cases are missing: .*p3s1_moving_label"):
        find_cases(*described(folder))


def test_no_case_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="No case found"):
        find_cases(*described(tmp_path))


def test_people_are_divided_and_never_their_scans(folder):
    description, where = described(folder, PAIRS + "[person]\nregex = '(p[0-9])'\n")
    splits = divide(find_cases(description, where), description.split, where)
    assert sum(map(len, splits.cases.values())) == 12
    people = {part: {name[:2] for name in names} for part, names in splits.cases.items()}
    assert [len(people[part]) for part in ("train", "val", "test")] == [4, 1, 1]
    assert not people["train"] & people["val"]
    assert not people["train"] & people["test"]
    again = divide(find_cases(description, where), description.split, where)
    assert again == splits
    other = divide(find_cases(description, where), type(description.split)(seed=1), where)
    assert other.people != splits.people


def test_people_from_a_list(folder):
    (folder / "people.txt").write_text("".join(f"p{i}s0 p{i}s1\n" for i in range(5)) + "p5s0\np5s1\n")
    cases = find_cases(*described(folder, PAIRS + "[person]\nlist = 'people.txt'\n"))
    assert len({case.people for case in cases}) == 7
    (folder / "people.txt").write_text("p0s0\n")
    with pytest.raises(InputError, match="'p0s1' is not in people.txt"):
        find_cases(*described(folder, PAIRS + "[person]\nlist = 'people.txt'\n"))


def test_splits_that_were_written_are_used_again(folder):
    splits = opened(folder).splits
    splits.write(folder / "splits.json")
    (folder / "p9s9_fixed.nii.gz").write_bytes((folder / "p0s0_fixed.nii.gz").read_bytes())
    for rest in ("moving", "fixed_label", "moving_label"):
        (folder / f"p9s9_{rest}.nii.gz").write_bytes((folder / f"p0s0_{rest}.nii.gz").read_bytes())
    again = opened(folder, PAIRS + "[split]\nfile = 'splits.json'\nseed = 5\n").splits
    assert again.cases == splits.cases  # somebody new is in no part
    table = json.loads((folder / "splits.json").read_text())
    table["people"]["val"] = table["people"]["train"][:1]
    (folder / "splits.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match="in two parts"):
        opened(folder, PAIRS + "[split]\nfile = 'splits.json'\n")


def test_all_fixed_with_all_moving_scans_keeps_people_apart(folder):
    text = PAIRS.replace("[files]", "pairing = 'all'\n[person]\nregex = '(p[0-9]s[0-9])'\n[files]")
    description, where = described(folder, text)
    cases = find_cases(description, where)
    assert len(cases) == 144
    splits = divide(cases, description.split, where)
    part_of = {person: part for part, people in splits.people.items() for person in people}
    for part, names in splits.cases.items():
        for name in names:
            fixed, moving = name.split("-")
            assert part_of[fixed[:4]] == part_of[moving[:4]] == part


def test_scans_come_onto_one_grid_in_0_to_1_with_their_labels(folder):
    batch = opened(folder).source().sample(0, 0, 0)
    for image in (batch.fixed, batch.moving):
        assert image.shape == (1, 1, 8, 8, 8)
        assert image.dtype == torch.float32
        assert 0 <= image.min() < 0.5 < image.max() <= 1
    for label, image in ((batch.fixed_label, batch.fixed), (batch.moving_label, batch.moving)):
        assert label.shape == (1, 8, 8, 8)
        assert label.dtype == torch.int64
        assert image[0][label == 1].min() > image[0][label == 0].max()  # the ball, where it is bright


def test_a_turned_and_shifted_moving_scan_lands_where_its_header_says(tmp_path):
    image, label = blob((6, 8, 7))
    flipped = image.grid.affine @ np.array([[1, 0, 0, 0], [0, -1, 0, 15], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    turned = [Volume.from_array(volume.data[:, ::-1], flipped) for volume in (image, label)]
    for name, volume in zip(("fixed", "fixed_label", "moving", "moving_label"), (image, label, *turned)):
        io.write_image(volume, tmp_path / f"a_{name}.nii.gz")
    batch = (
        opened(tmp_path, PAIRS + "[split]\ntrain = 1.0\nval = 0.0\ntest = 0.0\n", None)
        .source()
        .sample(0, 0, 0)
    )
    assert batch.fixed.shape == (1, 1, 12, 16, 16)
    assert torch.equal(batch.fixed_label, batch.moving_label)
    torch.testing.assert_close(batch.fixed, batch.moving)


def test_centres_are_put_on_each_other_when_asked(tmp_path):
    image, label = blob((6, 8, 7))
    far = image.grid.affine.copy()
    far[:3, 3] += 500
    moved = [Volume.from_array(volume.data, far) for volume in (image, label)]
    for name, volume in zip(("fixed", "fixed_label", "moving", "moving_label"), (image, label, *moved)):
        io.write_image(volume, tmp_path / f"a_{name}.nii.gz")
    everyone = "[split]\ntrain = 1.0\nval = 0.0\ntest = 0.0\n"
    apart = opened(tmp_path, PAIRS + everyone).source().sample(0, 0, 0)
    assert apart.moving.max() == 0
    text = PAIRS.replace("[files]", 'align = "centre"\n[files]') + everyone
    together = opened(tmp_path, text).source().sample(0, 0, 0)
    torch.testing.assert_close(together.fixed, together.moving)


def nested(grid, turn, centre_mm):
    """Three labels, one inside of the other: none is symmetric, so that there is one way to lay them."""
    points = grid.map_indices(np.stack(np.indices(grid.shape), -1).reshape(-1, 3)) - centre_mm
    points = points @ turn
    labels = np.zeros(len(points), np.int16)
    for label, (middle, half) in enumerate(
        [((0, 0, 0), (40, 30, 34)), ((8, 4, 0), (18, 14, 20)), ((-22, 8, 6), (9, 11, 8))], 1
    ):
        labels[(((points - middle) / half) ** 2).sum(1) < 1] = label
    return Volume(labels.reshape(grid.shape), grid)


def test_label_maps_can_be_laid_onto_the_first_one(tmp_path):
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grids = Grid((44, 48, 52), np.diag([3.0, 3, 3, 1])), Grid((40, 52, 50), np.diag([3.5, 3, 3, 1]))
    middles = np.array([66.0, 72, 78]), np.array([72.0, 66, 84])
    for name, grid, middle, rotation in zip("ab", grids, middles, (np.eye(3), turn), strict=True):
        io.write_image(nested(grid, rotation, middle), tmp_path / f"{name}.nii.gz")
    text = HEAD + 'kind = "labels"\nalign = "affine"\n[files]\nlabel = "{case}.nii.gz"\n'
    text += "[split]\ntrain = 1.0\nval = 0.0\ntest = 0.0\n"
    first, second = (opened(tmp_path, text, size=None).train.load(number)["label"] for number in (0, 1))
    assert first.shape == second.shape
    for label in (1, 2, 3):
        one, other = first == label, second == label
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.8  # the smallest has 126 voxels
    few = text.replace("[files]", "labels = [2, 3]\n[files]", 1)
    cut, other = (opened(tmp_path, few, size=None).train.load(number)["label"] for number in (0, 1))
    assert cut.shape == other.shape
    assert all(a < b for a, b in zip(cut.shape[1:], first.shape[1:], strict=True))
    assert ((cut == 2).sum(), (cut == 3).sum()) == ((first == 2).sum(), (first == 3).sum())
    assert (cut == 1).sum() == 0
    with pytest.raises(InputError, match="none of the labels"):
        opened(tmp_path, text.replace("[files]", "labels = [9]\n[files]", 1), size=None).train.load(0)
    apart = opened(tmp_path, text.replace('align = "affine"\n', ""), size=None).train
    assert apart.load(0)["label"].shape != apart.load(1)["label"].shape


def test_the_descriptions_that_come_with_it_can_be_read():
    folder = Path(__file__).parents[2] / "train" / "descriptions"
    found = {path.stem: read_description(path)[0] for path in sorted(folder.glob("*.toml"))}
    built_in = [
        found["synthseg_brains"],
        found["synthseg_heads"],
    ]  # of the networks that come with the package
    assert {(each.kind, each.licence) for each in built_in} == {("labels", "Apache-2.0")}
    assert found["synthseg_brains"].align == "affine"


def test_the_cache_is_keyed_by_content_and_spec(folder):
    first = opened(folder).source().sample(0, 0, 0)
    files = {path: path.stat().st_mtime_ns for path in default_cache().iterdir()}
    assert len(files) == 4
    again = opened(folder).source().sample(0, 0, 0)
    assert torch.equal(first.fixed, again.fixed)
    assert {path: path.stat().st_mtime_ns for path in default_cache().iterdir()} == files
    opened(folder, size=(8, 8, 4)).source().sample(0, 0, 0)
    assert len(list(default_cache().iterdir())) == 8


def test_labels_that_are_not_kept_become_0(folder):
    text = PAIRS.replace("[files]", "labels = [2]\n[files]")
    assert opened(folder, text).source().sample(0, 0, 0).fixed_label.max() == 0


SCANS = HEAD + 'kind = "scans"\n[files]\nscan = "{case}_fixed.nii.gz"\nlabel = "{case}_fixed_label.nii.gz"\n'


def test_a_window_lies_inside_and_what_is_too_small_is_padded():
    data = np.arange(5 * 8 * 3).reshape(5, 8, 3)
    first, last = (window(data, (2, 8, 3), np.full(3, end)) for end in (0.0, 1.0))
    assert np.array_equal(first, data[:2])
    assert np.array_equal(last, data[3:])
    padded = window(data, (5, 8, 6), np.full(3, 0.5))
    assert np.array_equal(padded[..., 1:4], data)
    assert padded.sum() == data.sum()


@pytest.mark.parametrize("text", [PAIRS, SCANS], ids=["pairs", "scans"])
def test_random_windows_are_those_of_their_address_and_labels_move_along(folder, text):
    source = opened(folder, text, size=None, crop=(8, 8, 8)).source()
    drawn = [source.sample(0, step, 0) for step in range(8)]
    assert {batch.fixed.shape for batch in drawn} == {(1, 1, 8, 8, 8)}
    assert torch.equal(source.sample(0, 3, 0).fixed, drawn[3].fixed)
    for batch in drawn:  # the ball is brightest where its label is
        assert batch.fixed[batch.fixed_label[:, None] > 0].min() > batch.fixed.median()
    middle = source.validation_sample(0)
    whole = opened(folder, text, size=(8, 8, 8)).source().validation_sample(0)
    assert torch.allclose(middle.fixed, whole.fixed, atol=1e-6)


def test_two_different_scans_are_drawn_or_one_twice(folder):
    drawn = [opened(folder, SCANS).source().sample(0, step, 0) for step in range(20)]
    assert all(not torch.equal(batch.fixed, batch.moving) for batch in drawn)
    assert len({batch.fixed.sum().item() for batch in drawn}) > 3
    same = opened(folder, SCANS.replace("[files]", 'draw = "same"\n[files]')).source().sample(0, 0, 0)
    assert torch.equal(same.fixed, same.moving)
    assert torch.equal(same.fixed_label, same.moving_label)


@pytest.mark.parametrize("text", [PAIRS, SCANS], ids=["pairs", "scans"])
def test_neither_the_number_of_processes_nor_of_workers_changes_a_sample(folder, text):
    source = opened(folder, text).source()

    def drawn(world, workers, steps=range(3)):
        parts = [list(batches(source, 7, steps, RankShard(rank, world, 4), workers)) for rank in range(world)]
        return [torch.cat([part[i].fixed for part in parts]) for i in range(len(steps))]

    alone = drawn(1, 0)
    assert all(batch.shape[0] == 4 for batch in alone)
    for world, workers in ((2, 0), (4, 0), (1, 2)):
        for one, other in zip(alone, drawn(world, workers), strict=True):
            assert torch.equal(one, other)
    resumed = drawn(1, 0, range(2, 3))  # nor does where a run begins
    assert torch.equal(resumed[0], alone[2])
    assert not torch.equal(alone[0], alone[1])


@pytest.mark.parametrize("planar", [True, False])
def test_stacked_arrays_are_cases(tmp_path, planar):
    shape = (12, 16) if planar else (3, 12, 16)
    images = np.random.default_rng(0).integers(0, 255, (5, *shape), np.uint8)
    spacing = np.full((5, len(shape)), 0.5, np.float32)
    names = np.array([f"patient{i}" for i in range(5)])
    labels = (images > 128).astype(np.uint8)
    np.savez(tmp_path / "camus_4ch.npz", ed_image=images, es_image=images[:, ..., ::-1], ed_label=labels,
             es_label=labels[..., ::-1], spacing_mm=spacing, patient=names)  # fmt: skip
    text = HEAD + 'kind = "pairs"\nlayout = "camus"\n'
    data = opened(tmp_path, text, size=None, dims=2 if planar else 3)
    assert sorted(name for part in data.splits.cases.values() for name in part) == [*names]
    batch = data.source().validation_sample(0)
    expected = (12, 16) if planar else (4, 12, 16)
    assert batch.fixed.shape == (1, 1, *expected)
    case = int(data.val.cases[0].name[-1])
    inner = batch.fixed[0, 0] if planar else batch.fixed[0, 0, 0 if batch.fixed[0, 0, 3].max() == 0 else 1]
    if planar:
        low, high = images[case].min(), images[case].max()
        np.testing.assert_allclose(inner, (images[case] - float(low)) / (high - float(low)), atol=1e-6)
        np.testing.assert_array_equal(batch.moving_label[0], labels[case, :, ::-1])


def test_arrays_with_other_names(tmp_path):
    for i in range(4):
        np.savez(tmp_path / f"c{i}.npz", one=np.eye(8) + i, other=np.eye(8))
    text = HEAD + 'kind = "pairs"\nlayout = "npz"\n[files]\nnpz = "{case}.npz"\n[arrays]\nfixed = "one"\n'
    batch = opened(tmp_path, text + 'moving = "other"\n', size=None, dims=2).source().sample(0, 0, 0)
    assert torch.equal(batch.moving[0, 0], torch.eye(8))
    with pytest.raises(InputError, match="no array 'another'; found one, other"):
        opened(tmp_path, text + 'moving = "another"\n', size=None, dims=2).source().sample(0, 0, 0)


def test_learn2reg_pairs_keep_the_published_validation(tmp_path):
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / name).mkdir()
    image, label = blob((6, 8, 7))
    for case in range(4):
        for modality in range(2):
            io.write_image(image, tmp_path / f"imagesTr/A_000{case}_000{modality}.nii.gz")
            io.write_image(label, tmp_path / f"labelsTr/A_000{case}_000{modality}.nii.gz")
    path = "./imagesTr/A_000{}_000{}.nii.gz".format
    pairs = [{"fixed": path(case, 0), "moving": path(case, 1)} for case in range(4)]
    table = {
        "training": [{"image": pair["fixed"]} for pair in pairs],
        "training_paired_images": [{"0": pair["fixed"], "1": pair["moving"]} for pair in pairs],
        "registration_val": pairs[3:],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(table))
    data = opened(tmp_path, HEAD + 'kind = "pairs"\nlayout = "learn2reg"\n')
    assert data.splits.cases["val"] == ("A_0003_0000-A_0003_0001",)
    assert len(data.splits.cases["train"]) == 3
    assert data.source().sample(0, 0, 0).moving_label.max() == 1
    single = opened(tmp_path, HEAD + 'kind = "scans"\nlayout = "learn2reg"\n')
    assert sum(map(len, single.splits.cases.values())) == 4


def test_acdc_volumes_are_end_diastole_and_end_systole(tmp_path):
    image, label = blob((6, 8, 7))
    for person in range(3):
        for phase in ("ED", "ES"):
            io.write_image(image, tmp_path / f"patient00{person}_{phase}_image.nii.gz")
            io.write_image(label, tmp_path / f"patient00{person}_{phase}_label.nii.gz")
    data = opened(tmp_path, HEAD + 'kind = "pairs"\nlayout = "acdc"\n')
    assert {case.name for case in data.train.cases} < {"patient000", "patient001", "patient002"}
    assert data.train.cases[0].scans["fixed"].path.name.endswith("_ED_image.nii.gz")


def test_volumes_are_refused_by_a_method_of_slices(folder):
    with pytest.raises(InputError, match="needs single slices; p[0-9]s[01]_fixed.nii.gz has the shape"):
        opened(folder, dims=2).source().sample(0, 0, 0)


def test_one_slice_among_volumes_is_named_before_training(folder):
    for role in ("fixed", "moving"):
        image, label = blob((0, 8, 7), (1, 16, 14))
        io.write_image(image, folder / f"p2s1_{role}.nii.gz")
        io.write_image(label, folder / f"p2s1_{role}_label.nii.gz")
    data = opened(folder)
    with pytest.raises(InputError, match="needs volumes; p2s1_fixed.nii.gz has the shape"):
        data.train.shapes(lambda: None) | data.val.shapes(lambda: None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scan_that_is_not_finite_is_named_before_training(folder, value):
    image, _ = blob((6, 8, 7))
    image.data[3, 4, 5] = value
    io.write_image(image, folder / "p1s0_moving.nii.gz")
    data = opened(folder)
    with pytest.raises(IntensityError, match="The p1s0_moving.nii.gz scan must be finite; 1 of"):
        data.train.shapes(lambda: None) | data.val.shapes(lambda: None)


def test_a_stacked_case_is_called_by_its_entry(tmp_path):
    assert Scan(tmp_path / "all.npz", "image", None, 7).title == "all.npz image entry 7"
