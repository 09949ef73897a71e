"""Trainings in phases: each with its own loss, weights, optimiser and settings; resumed bit-identically."""

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn
from train.small import Noise, Small, stop_after

from mmreg_rt.errors import InputError
from mmreg_train.config.training import Config, TrainingSettings, as_toml, read_config
from mmreg_train.engine import checkpoint
from mmreg_train.engine.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from mmreg_train.engine.curves import read_curves
from mmreg_train.engine.model_card import Facts, model_card
from mmreg_train.engine.phases import plan_phases
from mmreg_train.engine.trainer import Training
from mmreg_train.methods import Output

PHASES = (
    {"name": "features", "steps": 4, "batch": 1, "learning_rate": 1e-3},
    {"name": "registration", "steps": 6},
)


class Phased(Small):
    """First a layer that learns to halve the image, then the network of ``Small`` with that layer frozen."""

    phases = ("features", "registration")

    def __init__(self):
        super().__init__()
        self.feature = nn.Conv3d(1, 1, 1)
        self.begun = []
        self.set_phase("registration")

    def set_phase(self, phase):
        super().set_phase(phase)
        self.phase = phase
        self.feature.requires_grad_(phase == "features")
        self.layers.requires_grad_(phase == "registration")

    def on_step_begin(self, step):
        self.begun.append((self.phase, step))

    def forward(self, fixed, moving):
        if self.phase == "features":
            return Output("learning", (self.feature(fixed), self.feature(moving)))
        return super().forward(self.feature(fixed), self.feature(moving))

    def loss(self, batch, output):
        assert (output.kind == "learning") == (self.phase == "features")
        if output.kind == "learning":
            value = (output.value[0] - batch.fixed / 2).square().mean()
            return {"total": value}
        return super().loss(batch, output)


def training(folder, resume=False, phases=PHASES, **settings):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    settings = {"batch": 2, "learning_rate": 1e-2, "log_every": 2, "validate_every": 3, **settings}
    config = Config("small", training=TrainingSettings(**settings), phases=phases)
    fabric = Fabric(accelerator="cpu", devices=1)
    return Training(config, Phased(), Noise(), fabric, folder, resume=resume)


def weights(run, part):
    return weights_of(run.method, part)


def weights_of(method, part):
    return torch.cat([p.flatten() for p in getattr(method, part).parameters()]).detach().clone()


def test_each_phase_trains_its_own_weights(tmp_path):
    run = training(tmp_path)
    start = {part: weights(run, part) for part in ("feature", "layers")}
    seen = {}
    enter = run._begin_phase

    def entering(phase, checkpoint):
        seen.update(feature=weights(run, "feature"), layers=weights(run, "layers"))
        enter(phase, checkpoint)

    run._begin_phase = entering
    outcome = run.run()
    assert outcome.step == 10
    assert not torch.equal(start["feature"], seen["feature"])
    assert torch.equal(start["layers"], seen["layers"])
    assert torch.equal(seen["feature"], weights(run, "feature"))
    assert not torch.equal(seen["layers"], weights(run, "layers"))
    expected = [("features", n) for n in range(4)] + [("registration", n) for n in range(6)]
    assert run.method.begun == expected


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_resumed_within_and_between_phases_it_is_the_whole_run_to_the_bit(tmp_path, stop):
    whole = training(tmp_path / "whole")
    whole.run()
    first = training(tmp_path / "parts")
    stop_after(first, stop)
    assert first.run().step == stop
    second = training(tmp_path / "parts", resume=True)
    assert second.run().step == 10
    for part in ("feature", "layers"):
        assert torch.equal(weights(whole, part), weights(second, part))


def test_curves_and_the_best_tell_the_phases_apart(tmp_path):
    outcome = training(tmp_path).run()
    rows = read_curves(tmp_path / "curves.csv")
    assert {step for step, part, term, _ in rows if (part, term) == ("train", "features_total")} == {2, 3, 4}
    assert {step for step, part, term, _ in rows if (part, term) == ("val", "total")} == {7, 10}
    rates = {step: value for step, _, term, value in rows if term.endswith("learning_rate")}
    assert rates[4] == 1e-3
    assert rates[10] == 1e-2
    assert outcome.best["step"] in (7, 10)
    assert read_checkpoint(tmp_path / BEST).facts["phase"] == "registration"
    assert read_checkpoint(tmp_path / LAST).step == 10


def test_earlier_phases_are_taken_from_another_run_and_nothing_else(tmp_path):
    first = training(tmp_path / "first")
    first.run()
    torch.manual_seed(7)
    method = Phased()
    fresh = weights_of(method, "layers")
    read_checkpoint(tmp_path / "first" / LAST).load_phases(method, ["features"])
    assert torch.equal(weights_of(method, "feature"), weights(first, "feature"))
    assert torch.equal(weights_of(method, "layers"), fresh)


def test_statistics_come_with_the_weights_that_they_belong_to(tmp_path):
    learned, method = Phased(), Phased()
    for each in (learned, method):
        each.feature = nn.Sequential(nn.Conv3d(1, 1, 1), nn.BatchNorm3d(1))
    learned.feature[1].running_mean.fill_(3)
    optimiser = torch.optim.SGD(learned.parameters())
    write_checkpoint(tmp_path / LAST, learned, optimiser, {"step": 5, "phase": "registration"})
    read_checkpoint(tmp_path / LAST).load_phases(method, ["features"])
    assert method.feature[1].running_mean.item() == 3


def test_a_run_that_has_not_come_to_its_last_phase_gives_neither_phases_nor_a_network(tmp_path, monkeypatch):
    run = training(tmp_path)
    stop_after(run, 2)
    assert run.run().step == 2
    stopped = read_checkpoint(tmp_path / LAST)
    with pytest.raises(InputError, match="in the phase 'features'.*--resume"):
        stopped.load_phases(Phased(), ["features"])
    monkeypatch.setattr(checkpoint, "create", lambda _, **__: Phased())
    with pytest.raises(InputError, match="'features' of small; registration is trained in 'registration'"):
        stopped.method()
    training(tmp_path, resume=True).run()
    assert isinstance(read_checkpoint(tmp_path / LAST).method(), Phased)


def test_a_checkpoint_of_a_method_that_cannot_be_made_here_says_so(tmp_path, monkeypatch):
    def create(_, **__):
        raise ValueError("it needs the package transformers")

    training(tmp_path).run()
    monkeypatch.setattr(checkpoint, "create", create)
    with pytest.raises(InputError, match="'small', which cannot be created: it needs .* Use the version"):
        read_checkpoint(tmp_path / LAST).method()


def test_without_phases_the_last_one_is_trained():
    config = Config("small", training=TrainingSettings(steps=7))
    (phase,) = plan_phases(config, ("features", "registration"))
    assert (phase.name, phase.first, phase.end, phase.registers) == ("registration", 0, 7, True)
    (phase,) = plan_phases(config, ())
    assert phase.name == ""


@pytest.mark.parametrize(
    ("phases", "found"),
    [
        ([{"name": "registration"}, {"name": "features"}], "found registration, features"),
        ([{"name": "features"}], "found features"),
        ([{"name": "tokens"}, {"name": "registration"}], "found tokens"),
        ([{"steps": 3}], "found ."),
        ([{"name": "registration"}, {"name": "registration"}], "found registration, registration"),
        ([{"name": "registration", "seed": 3}], "seed"),
        ([{"name": "registration", "steps": 0}], "too small: steps"),
        ([{"name": "registration", "pace": 2}], "pace: unknown name"),
        ([{"name": "registration", "steps": "many"}], "steps: input should be a valid integer"),
    ],
)
def test_phases_that_cannot_be_are_refused(phases, found):
    with pytest.raises(InputError, match=found):
        plan_phases(Config("small", phases=tuple(phases)), ("features", "registration"))


def test_a_method_without_phases_takes_none():
    with pytest.raises(InputError, match="none"):
        plan_phases(Config("small", phases=({"name": "registration"},)), ())


def test_a_configuration_keeps_its_phases(tmp_path):
    path = tmp_path / "config.toml"
    config = Config("small", phases=PHASES)
    path.write_text(as_toml(config))
    assert read_config(path).phases == PHASES


def test_the_card_says_what_each_phase_was(tmp_path):
    run = training(tmp_path)
    facts = Facts(run.config, None, {}, 1, 3, ["mmreg train"], "a machine", run.run())
    assert "10 of 10: features 4 of 1 pair(s), registration 6 of 2 pair(s)" in model_card(facts)
