"""``mmreg train``: a whole run on a tiny network, resumed, on two processes, and what it refuses."""

import csv
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tomllib
import torch
from fixtures.shell import output_of as run
from train.small import write_pairs

from mmreg_train import cli, methods
from mmreg_train.config.dataset import read_description
from mmreg_train.config.training import configs_folder, read_config
from mmreg_train.data.preparation import Preparation, default_cache
from mmreg_train.data.sources import open_data_set
from mmreg_train.data.synthetic_pairs import SHAPES_FROM, SyntheticPairs
from mmreg_train.data.synthetic_pairs import settings as synthesis_settings
from mmreg_train.engine import trainer
from mmreg_train.engine.checkpoint import load_method, read_checkpoint

ROOT = Path(__file__).parents[2]
CONFIG = """method = "voxelmorph"
[settings]
encoder = [4, 8]
decoder = [8, 8, 8, 4]
image = "none"
dice = 1.0
[preprocess]
multiple = 4
[data]
size = [16, 16, 16]
[training]
steps = 20
batch = 2
learning_rate = 1e-3
validate_every = 10
validate_samples = 2
log_every = 5
[synthesis]
labels = 4
shape_scales_vox = [4, 8]
shape_warp_scales_vox = [8]
shape_warp_sd_vox = 2.0
"""
FILES = {"best.safetensors", "card.md", "config.toml", "curves.csv", "curves.png", "last.safetensors"}
DATA = """format = "mmreg-data/1"
name = "Balls"
kind = "pairs"
licence = "CC0 1.0"
credit = "the tests"
modalities = ["MR", "CT"]
anatomy = "ball"
[files]
fixed = "{case}_fixed.nii.gz"
moving = "{case}_moving.nii.gz"
fixed_label = "{case}_fixed_label.nii.gz"
moving_label = "{case}_moving_label.nii.gz"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path


def tensors(folder):
    return read_checkpoint(folder / "last.safetensors").tensors


def test_a_run_on_shapes_leaves_a_whole_folder(here):
    said = run("train voxelmorph --config tiny.toml --data shapes -o run --threads 1")
    assert {path.name for path in (here / "run").iterdir()} == FILES | {"tensorboard"}
    assert "step 20/20 (100 %)  loss 0." in said
    assert "steps/s" in said
    assert "left" in said
    assert (here / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = (here / "run" / "card.md").read_text()
    for fact in ("generated shapes", "10,087", "20 of 20", "label dice", "mmreg", "Limits", "Intended use"):
        assert fact in card
    kept = tomllib.loads((here / "run" / "config.toml").read_text())["run"]
    assert (kept["data"], kept["synth"], len(kept["commands"])) == ("shapes", True, 1)
    assert list((here / "run" / "tensorboard").glob("events.*"))


def test_a_stopped_run_goes_on_to_the_bit(here):
    run("train voxelmorph --config tiny.toml --data shapes -o whole --threads 1 --steps 6")
    run("train voxelmorph --config tiny.toml --data shapes -o parts --threads 1 --steps 3")
    run("train voxelmorph --resume parts --threads 1 --steps 6")
    whole, parts = tensors(here / "whole"), tensors(here / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_that_sigterm_stopped_is_no_success_and_goes_on(here, monkeypatch):
    after = trainer.Training._after_step

    def terminated(training, progress):
        after(training, progress)
        if training.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Training, "_after_step", terminated)
        said = run("train voxelmorph --config tiny.toml --data shapes -o run --threads 1 --steps 6", code=130)
    assert "--resume run" in said
    assert "3 of 6" in (here / "run" / "card.md").read_text()
    run("train voxelmorph --resume run --threads 1 --steps 6")
    assert "6 of 6" in (here / "run" / "card.md").read_text()


def test_a_run_on_scans_writes_its_splits(here):
    (here / "scans").mkdir()
    write_pairs(here / "scans", [f"p{i}" for i in range(6)])
    (here / "scans" / "data.toml").write_text(DATA)
    (here / "tiny.toml").write_text(CONFIG.replace('"none"', '"mse"'))
    run("train voxelmorph --config tiny.toml --data scans -o run --threads 1 --steps 4")
    card = (here / "run" / "card.md").read_text()
    for fact in (
        "Balls",
        "CC0 1.0",
        "the tests",
        "MR (fixed) with CT (moving)",
        "4 for train, 1 for val, 1 for test",
    ):
        assert fact in card
    assert {path.name for path in (here / "run").iterdir()} == FILES | {"tensorboard", "splits.json"}
    before = (here / "run" / "splits.json").read_text()
    write_pairs(here / "scans", ["p7", "p8"])
    run("train voxelmorph --resume run --threads 1 --steps 5")
    assert tomllib.loads((here / "run" / "config.toml").read_text())["training"]["steps"] == 5
    assert (here / "run" / "splits.json").read_text() == before
    assert (here / "run" / "card.md").read_text().count("`, then `") == 1  # both commands


def test_a_loss_of_labels_without_labels_is_refused_before_training(here):
    (here / "scans").mkdir()
    write_pairs(here / "scans", [f"p{i}" for i in range(4)])
    unlabelled = "\n".join(line for line in DATA.splitlines() if "_label" not in line)
    (here / "scans" / "data.toml").write_text(unlabelled)
    said = run("train voxelmorph --config tiny.toml --data scans -o run --threads 1", 3)
    assert "The loss of 'voxelmorph' needs fixed_label and moving_label" in said
    assert not (here / "run").exists()


def test_label_maps_are_a_source_of_pairs(here):
    (here / "maps").mkdir()
    write_pairs(here / "maps", [f"p{i}" for i in range(4)])
    text = (
        DATA.partition("[files]")[0].replace('"pairs"', '"labels"')
        + '[files]\nlabel = "{case}_fixed_label.nii.gz"\n'
    )
    (here / "maps" / "data.toml").write_text(text)
    config = CONFIG.partition("[synthesis]")[0]
    (here / "tiny.toml").write_text(config)
    run("train voxelmorph --config tiny.toml --data maps -o run --threads 1 --steps 3")
    assert "images are synthesised" in (here / "run" / "card.md").read_text()


def test_label_maps_and_shapes_take_turns(here):
    (here / "maps").mkdir()
    write_pairs(here / "maps", [f"p{i}" for i in range(4)])
    description = DATA.partition("[files]")[0].replace('"pairs"', '"labels"')
    (here / "maps" / "data.toml").write_text(description + '[files]\nlabel = "{case}_fixed_label.nii.gz"\n')
    text = CONFIG.replace("[data]", '[data]\ncrop = "random"') + "shapes_share = 0.5\n"
    (here / "tiny.toml").write_text(text)
    config = replace(read_config(here / "tiny.toml"), run={"synth": True})
    description, folder = read_description(here / "maps")
    preparation = Preparation(config.spec, None, "none", None, default_cache())
    data = open_data_set(description, folder, preparation, 3, config.data.size)
    source = SyntheticPairs(config, 3, data, torch.device("cpu"))
    labels = [source.sample(0, step, 0).fixed_label for step in range(30)]
    assert {tuple(label.shape) for label in labels} == {(1, 16, 16, 16)}
    shapes = sum(bool(label.max() > SHAPES_FROM) for label in labels)
    assert 6 <= shapes <= 24  # 15 expected, sd 2.7


def test_the_trained_method_comes_back_from_its_folder(here):
    run("train voxelmorph --config tiny.toml --data shapes -o run --threads 1 --steps 2")
    method = load_method(here / "run")
    assert method.name == "voxelmorph"
    assert torch.equal(
        method.state_dict()["flow.head.weight"], tensors(here / "run")["model/flow.head.weight"]
    )
    assert not method.training


@pytest.mark.parametrize("table", ["[rigid]\nerror = 8.0", "[synthesis]\nlabel = 4"])
def test_a_misspelt_name_is_refused_in_a_table_that_the_run_does_not_read(here, table):
    write_pairs(here, [f"p{i}" for i in range(6)])
    (here / "data.toml").write_text(DATA)
    made = CONFIG[: CONFIG.index("[synthesis]")].replace('"none"', '"mse"') + table
    (here / "tiny.toml").write_text(made)
    assert table.split()[1] in run("train voxelmorph --config tiny.toml --data data.toml -o run", code=3)
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("train voxelmorph --config tiny.toml", 3, "MMREG_E_TRAINING_CONFIG"),
        ("train transmorph --config tiny.toml --data shapes", 3, "'transmorph' was requested"),
        ("train nonesuch --data shapes", 3, "No configuration is shipped for 'nonesuch'"),
        ("train voxelmorph --config absent.toml --data shapes", 3, "MMREG_E_FILE_MISSING"),
        ("train voxelmorph --config tiny.toml --data absent.toml", 3, "MMREG_E_FILE_MISSING"),
        ("train voxelmorph --config tiny.toml --data shapes --device cuda", 5, "MMREG_E_DEVICE"),
        ("train voxelmorph --config tiny.toml --data shapes --precision fp16", 3, "needs a GPU"),
        ("train voxelmorph --config tiny.toml --data shapes --precision 16-mixed", 3, "needs a GPU"),
        ("train voxelmorph --resume nowhere", 3, "MMREG_E_FILE_MISSING"),
        ("train voxelmorph --resume run --config tiny.toml", 2, "Remove --config"),
        ("train voxelmorph --config tiny.toml --data shapes -o full", 3, "is not empty"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(here, line, code, said):
    if "cuda" in line and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (here / "full").mkdir()
    (here / "full" / "thesis.txt").touch()
    output = run(line, code)
    assert said in output
    assert "Traceback" not in output
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("learning_rate = 1e-3", "learning_rat = 1e-3", "training.learning_rat: unknown name"),
        ("learning_rate = 1e-3", "learning_rate = 0.0", "learning_rate must be above 0"),
        ("steps = 20", "steps = 0", "too small: steps"),
        ("steps = 20", "steps = 1.5", "training.steps: input should be a valid integer"),
        ("multiple = 4", "multipel = 4", "MMREG_E_PREPROCESS_SPEC"),
        ("multiple = 4", "multiple = 2", "preprocess.multiple is 2"),
        ("size = [16, 16, 16]", "size = [16, 16, 15]", "multiples of 4"),
        ("size = [16, 16, 16]", "", "Synthesis needs a size"),
        ("labels = 4", "lables = 4", "[synthesis] has no lables"),
        ("labels = 4", "labels = 1", "needs 2 labels or more"),
        ("dice = 1.0", "dyce = 1.0", "cannot use [settings]"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(here, old, new, said):
    assert old in CONFIG
    (here / "tiny.toml").write_text(CONFIG.replace(old, new))
    assert said in run("train voxelmorph --config tiny.toml --data shapes -o run", 3)


def test_without_its_libraries_the_command_names_the_extra(monkeypatch):
    monkeypatch.setattr(cli, "NEEDED", ("torch", "no_such_library", "nor_this_one"))
    output = run("train voxelmorph --data shapes", 5)
    assert "no_such_library, nor_this_one" in output
    assert "mmreg-rt[train]" in output
    assert "MMREG_E_EXTRA_MISSING" in output


def test_help_costs_no_torch():
    code = (
        "import sys; from click.testing import CliRunner; from mmreg_rt.cli import main\n"
        "assert 'Train METHOD' in CliRunner().invoke(main, ['train', '--help']).output\n"
        "print('torch' in sys.modules, 'pydantic' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


CONFIGS = sorted(configs_folder().glob("*.toml"))
WEIGHTS = {
    "attention_reg": 1_248_777,
    "innreg": 356_258 + 6_434_936,
    "voxelmorph": 327_331,
    "voxelmorph_synth": 443_107,
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_that_come_with_it_can_be_used(path):
    config = read_config(path)
    pytest.importorskip(f"mmreg_train.methods.{config.method}")
    if config.method == "llm_morph":
        for package in ("transformers", "peft"):
            pytest.importorskip(package, reason="layers of language models need the extra llm")
    method = methods.create(config.method, **config.method_settings)
    assert config.spec.multiple % method.multiple == 0
    if path.stem.endswith("_synth"):
        synthesis_settings(config, method.dims, anatomical=True)
        synthesis_settings(config, method.dims, anatomical=False)
    if path.stem in WEIGHTS:
        assert sum(parameter.numel() for parameter in method.parameters()) == WEIGHTS[path.stem]


def test_every_method_has_a_configuration_and_synthesis_too():
    stems = {path.stem for path in CONFIGS}
    assert stems >= {"masr_synth", "voxelmorph_synth", *methods.names()}
    assert all(stem.startswith(tuple(methods.names())) for stem in stems)


# A batch's loss is the mean of its pairs' with the labels named, of "all that a batch has" it is not; and not
# with INNReg's barrier, a logarithm of the batch's mean.
OF_PAIRS = CONFIG.replace("dice = 1.0", "dice = 1.0\ndice_labels = [1, 2, 3]")
SETTINGS = OF_PAIRS[OF_PAIRS.index("[settings]") : OF_PAIRS.index("[preprocess]")]
TURNS = """[settings]
width = 2
kernel = 3
encoder = [4, 8]
decoder = [8, 8, 8]
blocks = 1
dims = 3
translator_first = 3
alternate_after = 5
turns = [1, 2]
barrier = 0.0
"""


@pytest.mark.parametrize(
    ("method", "settings"), [("voxelmorph", SETTINGS), ("innreg", TURNS)], ids=["voxelmorph", "turns"]
)
def test_two_processes_train_as_one(here, method, settings):
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    except OSError as reason:
        pytest.skip(f"no local sockets for two processes: {reason}")
    if not torch.distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    losses = []
    made = OF_PAIRS.replace(SETTINGS, settings).replace('"voxelmorph"', f'"{method}"')
    (here / "tiny.toml").write_text(made)
    for folder, devices in (("one", 1), ("two", 2)):
        line = f"train {method} --config tiny.toml --data shapes -o {folder} --threads 1 --devices {devices}"
        environment = {**os.environ, "MASTER_PORT": str(port), "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(
            [sys.executable, "-m", "mmreg_rt", *line.split()], env=environment, check=True, timeout=900,
            capture_output=True,
        )  # fmt: skip
        rows = csv.DictReader((here / folder / "curves.csv").open())
        losses.append([float(row["value"]) for row in rows if row["term"] == "total"])
    assert len(losses[0]) == 6
    # means over other parts of the batch, in another order: float32, amplified by 20 steps of Adam
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
