"""A training within a benchmark is begun, gone on with, or left alone."""

import pytest

for package in ("torch", "lightning", "pydantic"):
    pytest.importorskip(package)
trainings = pytest.importorskip("benchmarks.accuracy.trainings")


@pytest.fixture
def asked(monkeypatch):
    """The words of every command that would have run."""
    words = []
    monkeypatch.setattr(trainings, "mmreg", lambda *of: words.append(of))
    return words


def left_at(run, step):
    import torch

    from mmreg_train.engine.checkpoint import LAST, write_checkpoint

    run.mkdir()
    layer = torch.nn.Linear(1, 1)
    write_checkpoint(run / LAST, layer, torch.optim.SGD(layer.parameters()), {"step": step})


def train(run):
    trainings.train("small", run, 8, run / "data.toml", 2, ["--seed", 3])


def test_a_run_that_is_not_there_is_begun(asked, tmp_path):
    train(tmp_path / "run")
    data = ("--data", tmp_path / "run" / "data.toml", "--threads", 2)
    assert asked == [("train", "small", "--seed", 3, "-o", tmp_path / "run", *data)]


def test_a_run_that_was_stopped_goes_on(asked, tmp_path):
    left_at(tmp_path / "run", 7)
    (tmp_path / "run" / "card.md").write_text("a run that a signal stopped has a card too")
    train(tmp_path / "run")
    assert asked[0][2:4] == ("--resume", tmp_path / "run")
    assert "--seed" not in asked[0]


def test_a_run_at_its_last_step_is_left_alone(asked, tmp_path):
    left_at(tmp_path / "run", 8)
    train(tmp_path / "run")
    assert asked == []


def test_a_training_that_fails_fails_the_benchmark():
    with pytest.raises(trainings.subprocess.CalledProcessError):
        trainings.mmreg("train", "no-such-method")
