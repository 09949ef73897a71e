"""Painted brains, and the network that names their structures: left stays left, a resumed run is whole."""

import numpy as np
import pytest
import torch
from fixtures.shell import output_of as run

from mmreg_rt import Volume, io
from mmreg_rt.preprocess import PreprocessSpec, normalise
from mmreg_train.config.training import configs_folder, read_config
from mmreg_train.data import painted_brains as brains
from mmreg_train.data.painted_brains import Painting, paint_brain
from mmreg_train.engine.checkpoint import read_checkpoint, write_checkpoint
from mmreg_train.methods import Batch, Output, create
from mmreg_train.methods.brain import (
    blocks_to_channels,
    channels_to_blocks,
    soft_dice,
    structure_dice,
    structures,
)

SHAPE = (24, 28, 26)
LEFT, RIGHT, STEM = 12, 51, 16  # putamen of either side
STILL = {
    "size": SHAPE,
    "map_spacing_mm": 2.0,
    "turn_degrees": 0.0,
    "scale": 0.0,
    "shear": 0.0,
    "off_centre_mm": 0.0,
    "warp_sd_vox": 0.0,
}
CLEAN = {
    "sd": (0.0, 0.0),
    "tissue_share": 0.0,
    "flat_share": 0.0,
    "blank_share": 0.0,
    "blur_vox": (0.0, 0.0),
    "thick_share": 0.0,
    "thick": (0.0, 0.0),
    "bias_sd": 0.0,
    "noise_sd": 0.0,
    "gamma_sd": 0.0,
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def label_map(shape=SHAPE):
    """A head (507) around fluid (24), with a left and a larger right putamen, and a stem in the middle.

    The last axis runs towards the right. The brain is symmetric about the middle of the grid but for the
    putamen, which lies within the fluid: the middle of the brain is that of the grid.
    """
    ids = torch.full(shape, 507)
    d, h, w = shape
    ids[3 : d - 3, 3 : h - 3, 3 : w - 3] = 24
    ids[8:12, 8:16, 6:9] = LEFT
    ids[8:14, 8:18, 16:20] = RIGHT
    ids[4:10, 12:16, 12:14] = STEM
    return ids


def side_of(found, name):
    """Mean index along the last axis of a structure, less the middle of the grid."""
    where = (found == structures.STRUCTURES.index(name)).nonzero()
    return float(where[:, -1].float().mean()) - (found.shape[-1] - 1) / 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_seed_gives_the_same_bits_and_another_one_does_not(seed):
    settings = Painting(size=(16, 18, 20))
    first, again, other = (paint_brain(seeded(s), settings, label_map()) for s in (seed, seed, seed + 10))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(4))
def test_an_image_is_in_0_to_1_and_its_labels_are_structures(seed):
    image, found = paint_brain(seeded(seed), Painting(size=(16, 18, 20)), label_map())
    assert image.shape == (1, 1, 16, 18, 20) and image.dtype == torch.float32
    assert found.shape == (1, 16, 18, 20) and found.dtype == torch.int64
    assert image.isfinite().all() and image.min() >= 0 and image.max() <= 1
    assert found.min() >= 0 and found.max() < len(structures.STRUCTURES)


def test_a_view_that_nothing_moves_is_the_map():
    ids = label_map()
    assert torch.equal(brains.sample_view(seeded(0), Painting(**STILL), ids), ids)


def test_a_view_of_half_the_resolution_takes_every_second_voxel():
    """An even number of voxels: the middle of the coarse grid lies between fine voxels, as it does here."""
    ids = torch.zeros(24, 24, 24, dtype=torch.int64)
    ids[7:16, 7:16, 7:16] = STEM  # middle 11, 9 voxels long
    settings = Painting(**{**STILL, "size": (16, 16, 16), "map_spacing_mm": 1.0})
    found = brains.sample_view(seeded(0), settings, ids)
    # coarse voxel i lies at 11 + 2 (i - 7.5): from 7 to 15 for i = 6 to 9 (8, 10, 12, 14)
    expected = torch.zeros(16, 16, 16, dtype=torch.int64)
    expected[6:10, 6:10, 6:10] = STEM
    assert torch.equal(found, expected)


@pytest.mark.parametrize("seed", range(4))
def test_labels_and_image_agree_under_one_deformation(seed):
    """Without noise and blur a structure has one intensity, the one of the other side: voxel for voxel."""
    settings = Painting(size=(16, 20, 18), off_centre_mm=4.0, strip_share=0.0, **CLEAN)
    image, found = paint_brain(seeded(seed), settings, label_map())
    sides = "left putamen", "right putamen"
    values = {
        name: image[0, 0][found[0] == structures.STRUCTURES.index(name)] for name in structures.STRUCTURES[1:]
    }
    shown = {name: of for name, of in values.items() if len(of)}
    assert len(shown) >= 3
    assert all(of.min() == of.max() for of in shown.values())
    both = [float(shown[name][0]) for name in sides if name in shown]
    assert len(set(both)) == 1


@pytest.mark.parametrize("seed", range(6))
def test_left_is_left_whether_mirrored_or_not(seed):
    _, found = paint_brain(seeded(seed), Painting(**STILL), label_map())
    assert side_of(found[0], "left putamen") < -3
    assert side_of(found[0], "right putamen") > 3


def test_half_of_the_maps_are_mirrored_and_their_sides_swapped():
    ids, swap = label_map(), {LEFT: RIGHT, RIGHT: LEFT}
    mirror = np.vectorize(lambda v: swap.get(v, v))(ids.numpy())[..., ::-1]
    made = [brains.mirror_at_random(seeded(seed), ids).numpy() for seed in range(40)]
    same = [np.array_equal(one, ids) for one in made]
    assert all(kept or np.array_equal(one, mirror) for one, kept in zip(made, same))
    assert 8 <= sum(same) <= 32  # binomial(40, 1/2) is outside of this once in 10,000


def test_every_id_has_a_mirror_that_leads_back():
    mirror, names = structures.mirrored_id(), structures.structure_of_id()
    assert torch.equal(mirror[mirror], torch.arange(structures.LARGEST_ID + 1))
    for one, other in ((2, 41), (3, 42), (17, 53), (26, 58), (136, 163)):
        assert mirror[one] == other
        left, right = (structures.STRUCTURES[names[i]] for i in (one, other))
        assert left == right.replace("right ", "left ") and left != right
    for middle in (14, 16, 24, 507):
        assert mirror[middle] == middle
    assert torch.equal(structures.class_of_id(), structures.class_of_id()[mirror])


def test_a_stripped_brain_has_nothing_around_it():
    ids = label_map()
    found = [brains.strip_head(seeded(seed), ids) for seed in range(20)]
    assert all(not (one == 507).any() and (one == STEM).sum() == (ids == STEM).sum() for one in found)
    assert {bool((one == 24).any()) for one in found} == {True, False}


@pytest.mark.parametrize("seed", range(6))
def test_what_is_cut_off_is_blank_and_is_background(seed):
    settings = Painting(size=SHAPE, blank_share=1.0)
    ids, seen = brains.blank_one_side(seeded(seed), settings, label_map())
    assert (ids[~seen] == 0).all() and torch.equal(ids[seen], label_map()[seen])
    assert (~seen).float().mean() <= 1 / 3


@pytest.mark.parametrize("sd", [0.8, 1.5])
def test_a_blur_keeps_constants_and_widens_a_point_by_its_variance(sd):
    flat = torch.full((9, 11, 13), 0.7)
    torch.testing.assert_close(brains.blur(flat, (sd, 0.0, sd)), flat)
    point = torch.zeros(31, 5, 5)
    point[15, 2, 2] = 1
    line = brains.blur(point, (sd, 0.0, 0.0))[:, 2, 2]
    variance = float((line * (torch.arange(31) - 15.0) ** 2).sum())
    # cut at three sd a Gaussian has lost 2.7 % of its variance
    assert variance == pytest.approx(sd**2, rel=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_intensities_are_stretched_as_at_run_time(seed):
    image = torch.randn(8, 9, 10, generator=seeded(seed)).clamp(min=-0.5)
    expected = normalise(image.numpy(), PreprocessSpec())
    # a rank may be rounded to its neighbour: of 500 values within 0.5 % of the range at either end
    np.testing.assert_allclose(brains.stretch(image).numpy(), expected, atol=0.01)
    assert (brains.stretch(torch.ones(4, 4, 4)) == 0).all()


def test_blocks_become_channels_and_channels_blocks():
    image = torch.rand(2, 3, 4, 6, 8)
    folded = blocks_to_channels(image)
    assert torch.equal(channels_to_blocks(folded), image)
    # channel 8 c + 4 z + 2 y + x of a block is its voxel (z, y, x)
    assert torch.equal(folded[:, 8 * 1 + 4 * 1 + 2 * 0 + 1], image[:, 1, 1::2, 0::2, 1::2])


def test_dice_is_that_of_a_twin():
    truth = torch.randint(0, 4, (1, 5, 6, 7), generator=seeded(3))
    p = torch.rand(1, 5, 5, 6, 7, generator=seeded(4)).softmax(1)
    found = soft_dice(p, p.gather(1, truth[:, None])[:, 0], truth)
    y, q = truth[0].numpy(), p[0].numpy().astype(np.float64)
    twin = [
        (2 * q[c][y == c].sum() + 1) / (q[c].sum() + (y == c).sum() + 1) for c in (1, 2, 3)
    ]  # 4 is not there
    assert float(found) == pytest.approx(np.mean(twin), rel=1e-5)  # sums of 210 float32
    guess = p.argmax(1)
    g = guess[0].numpy()
    hard = [2 * ((g == c) & (y == c)).sum() / ((g == c).sum() + (y == c).sum()) for c in (1, 2, 3)]
    assert float(structure_dice(guess, truth, 5)) == pytest.approx(np.mean(hard), rel=1e-6)
    assert float(structure_dice(truth, truth, 5)) == 1


def test_the_average_follows_the_weights_and_is_what_is_evaluated():
    method = create("brain", width=4, average=0.9)
    learned, kept = next(method.learner.parameters()), next(method.averaged.parameters())
    expected = kept.detach().double().clone()
    for step in range(60):
        with torch.no_grad():
            learned += 0.1
        method.on_step_begin(step)
        share = min(0.9, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * learned.detach().double()
    torch.testing.assert_close(kept.double(), expected.detach(), rtol=1e-5, atol=1e-6)  # 60 steps of float32
    image = torch.rand(1, 1, 16, 16, 16)
    method.eval()
    described = method(image, image).value[0]
    assert torch.equal(described, method.network()(image))
    torch.testing.assert_close(described.sum(1), torch.ones(1, 16, 16, 16))
    assert not any(weight.requires_grad for weight in method.averaged.parameters())


def test_a_loss_falls_where_the_truth_is_more_likely_and_dice_is_reported_when_evaluated():
    method = create("brain", width=4)
    truth = torch.randint(0, 26, (1, 8, 8, 8), generator=seeded(0))
    hot = torch.nn.functional.one_hot(truth, 26).movedim(-1, 1).float()
    image = torch.zeros(1, 1, 8, 8, 8)
    losses = []
    for sure in (0.2, 0.5, 0.9):
        p = sure * hot + (1 - sure) / 26
        losses.append(
            float(method.loss(Batch(image, image, truth, truth), Output("descriptor", (p, p)))["total"])
        )
    assert losses == sorted(losses, reverse=True)
    method.eval()
    terms = method.loss(Batch(image, image, truth, truth), Output("descriptor", (hot, hot)))
    assert float(terms["label_dice"]) == 1 and float(terms["total"]) == pytest.approx(0, abs=1e-4)


def test_a_checkpoint_with_moments_and_average_is_within_2_megabytes(tmp_path):
    config = read_config(configs_folder() / "brain.toml")
    method = create("brain", **config.method_settings)
    optimiser = torch.optim.Adam([weight for weight in method.parameters() if weight.requires_grad])
    image = torch.rand(1, 1, 16, 16, 16)
    label = torch.zeros(1, 16, 16, 16, dtype=torch.int64)
    method.loss(Batch(image, image, label, label), method(image, image))["total"].backward()
    optimiser.step()
    write_checkpoint(tmp_path / "last.safetensors", method, optimiser, {"step": 1, "room": "x" * 2000})
    assert 1_900_000 < (tmp_path / "last.safetensors").stat().st_size <= 2_000_000


CONFIG = """method = "brain"
[settings]
width = 4
[preprocess]
spacing_mm = 2.0
[data]
size = [16, 16, 16]
[training]
learning_rate = 1e-2
validate_every = 3
validate_samples = 2
log_every = 1
"""
DATA = """format = "mmreg-data/1"
name = "Three heads"
kind = "labels"
licence = "CC0 1.0"
[files]
label = "{case}.nii.gz"
[split]
train = 0.7
val = 0.3
test = 0.0
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "data.toml").write_text(DATA)
    to_ras = np.diag([1.5, 1.5, 1.5, 1])[[2, 1, 0, 3]]  # axes 0, 1, 2 run towards S, A, R
    for number in range(3):
        ids = label_map((24 + number, 28, 26)).numpy().astype(np.int16)
        io.write_image(Volume.from_array(ids, to_ras), tmp_path / f"head{number}.nii.gz")
    return tmp_path


def test_3_steps_and_3_resumed_ones_are_6_steps_to_the_bit(here):
    run("train brain --config tiny.toml --data data.toml -o whole --threads 1 --steps 6")
    run("train brain --config tiny.toml --data data.toml -o parts --threads 1 --steps 3")
    before = read_checkpoint(here / "parts" / "last.safetensors").tensors
    run("train brain --resume parts --threads 1 --steps 6")
    whole, parts = (read_checkpoint(here / name / "last.safetensors").tensors for name in ("whole", "parts"))
    assert set(whole) == set(parts) == set(before)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not all(torch.equal(whole[name], before[name]) for name in whole)
    assert {name.split("/")[0] for name in whole} == {"model", "optimiser"}


def test_a_run_goes_on_from_another_place_with_the_data_elsewhere(here):
    """As from a fresh clone: the checkpoint, its settings and its splits are all that is needed."""
    run("train brain --config tiny.toml --data data.toml -o first --threads 1 --steps 2")
    (here / "clone").mkdir()
    for name in ("last.safetensors", "config.toml", "splits.json", "curves.csv"):
        (here / "clone" / name).write_bytes((here / "first" / name).read_bytes())
    (here / "moved").mkdir()
    for path in [*here.glob("head*.nii.gz"), here / "data.toml"]:
        path.rename(here / "moved" / path.name)
    run("train brain --resume clone --data moved/data.toml --threads 1 --steps 3")
    assert read_checkpoint(here / "clone" / "last.safetensors").step == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("size = [16, 16, 16]", ""), "need a size"),
        (("spacing_mm = 2.0", ""), "need a size, a spacing"),
        (("spacing_mm = 2.0", 'spacing_mm = 2.0\norientation = "LPS"'), "orientation RAS"),
        (("log_every = 1", "log_every = 1\n[synthesis]\nlabels = 4"), "has no labels"),
        (("log_every = 1", "log_every = 1\n[synthesis]\nmap_spacing_mm = 0.0"), "spacings above 0"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(here, change, said):
    (here / "tiny.toml").write_text(CONFIG.replace(*change))
    assert said in " ".join(run("train brain --config tiny.toml --data data.toml -o run", code=3).split())
    assert not (here / "run").exists()


def test_label_maps_of_another_kind_are_refused(here):
    assert "trained on label maps" in run("train brain --config tiny.toml --data shapes -o run", code=3)
    ids = label_map().numpy().astype(np.int16)
    ids[0, 0, 0] = 2035
    for number in range(3):
        io.write_image(Volume.from_array(ids, np.eye(4)), here / f"head{number}.nii.gz")
    assert "to 2035" in " ".join(
        run("train brain --config tiny.toml --data data.toml -o run", code=3).split()
    )
