"""The loop: a resumed run is the uninterrupted one, it ends when told to, and keeps what is best."""

import math
import signal
import threading

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from train.small import Noise, Small, stop_after

from mmreg_rt.errors import InputError, TrainingError
from mmreg_train.config.training import Config, TrainingSettings
from mmreg_train.engine.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from mmreg_train.engine.curves import read_curves
from mmreg_train.engine.schedule import learning_rate
from mmreg_train.engine.trainer import Training
from mmreg_train.methods import Batch

SETTINGS = {"steps": 8, "batch": 2, "learning_rate": 1e-2, "validate_every": 4, "log_every": 2}


def training(folder, resume=False, source=None, method=None, minutes=None, dropout=0.2, **settings):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    config = Config("small", training=TrainingSettings(**{**SETTINGS, **settings}))
    precision = config.training.precision
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true" if precision == "32" else precision)
    return Training(
        config,
        method or Small(dropout=dropout),
        source or Noise(),
        fabric,
        folder,
        resume=resume,
        minutes=minutes,
    )


def weights(run):
    return torch.cat([parameter.flatten() for parameter in run.method.parameters()]).detach()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"precision": "bf16-mixed", "optimiser": "amsgrad"},
        {
            "optimiser": "adamw",
            "weight_decay": 0.1,
            "clip_norm": 0.1,
            "schedule": "cosine",
            "warmup_steps": 3,
        },
    ],
)
def test_k_steps_and_k_resumed_ones_are_2k_steps_to_the_bit(tmp_path, settings):
    whole = training(tmp_path / "whole", **settings)
    whole.run()
    first = training(tmp_path / "parts", **settings)
    stop_after(first, 4)
    assert first.run().step == 4
    second = training(tmp_path / "parts", resume=True, **settings)
    torch.manual_seed(123)  # state of torch's generator plays no part
    assert second.run().step == 8
    assert torch.equal(weights(whole), weights(second))
    assert not torch.equal(weights(first), weights(second))
    assert read_curves(tmp_path / "whole" / "curves.csv")[-1][0] == 8


def test_a_compiled_network_learns_the_same(tmp_path):
    plain = training(tmp_path / "plain", dropout=0.0)
    compiled = training(tmp_path / "compiled", dropout=0.0, compile=True)
    for run in (plain, compiled):
        run.run()
    # sums in another order, through 8 steps of 1e-2
    assert torch.allclose(weights(plain), weights(compiled), atol=1e-5)
    kept = read_checkpoint(tmp_path / "compiled" / LAST).tensors
    assert set(kept) == set(read_checkpoint(tmp_path / "plain" / LAST).tensors)


def test_it_learns_a_shift(tmp_path):
    class Shifted(Noise):
        def sample(self, *_):
            fixed = super().sample(0, 0, 0).fixed
            fixed = torch.nn.functional.avg_pool3d(fixed, 3, 1, 1)
            return Batch(fixed, fixed.roll(1, 4))

    training(tmp_path, source=Shifted(), method=Small(), steps=60, log_every=1, validate_every=60).run()
    rows = read_curves(tmp_path / "curves.csv")
    similarity = [value for _, part, term, value in rows if (part, term) == ("train", "similarity")]
    assert similarity[-1] < 0.5 * similarity[0]


def test_sigterm_ends_cleanly_with_a_checkpoint(tmp_path):
    run = training(tmp_path, steps=1000)
    stop_after(run, 3)
    before = signal.getsignal(signal.SIGTERM)
    outcome = run.run()
    assert (outcome.step, outcome.stopped) == (3, "signal")
    assert read_checkpoint(tmp_path / LAST).step == 3
    assert (tmp_path / "curves.png").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_minutes_end_it(tmp_path):
    outcome = training(tmp_path, steps=100_000, minutes=0.5 / 60).run()
    assert outcome.stopped == "minutes"
    assert 0 < outcome.step < 100_000
    assert read_checkpoint(tmp_path / LAST).step == outcome.step


def test_it_runs_outside_the_main_thread(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(training(tmp_path).run()))
    thread.start()
    thread.join()
    assert found[0].step == 8


def test_the_best_validation_is_kept(tmp_path):
    run = training(tmp_path, steps=8, validate_every=2)
    outcome = run.run()
    dice = {
        step: value
        for step, part, term, value in read_curves(tmp_path / "curves.csv")
        if (part, term) == ("val", "label_dice")
    }
    assert sorted(dice) == [2, 4, 6, 8]
    best = max(dice, key=lambda step: (dice[step], -step))
    assert outcome.best["step"] == best == read_checkpoint(tmp_path / BEST).step
    assert outcome.best["score"] == pytest.approx(dice[best])


def test_curves_of_a_resumed_run_have_every_step_once(tmp_path):
    run = training(tmp_path)
    stop_after(run, 4)
    run.run()
    (tmp_path / "curves.csv").open("a").write(
        "6,train,total,1.0\n7,tr"
    )  # done after the checkpoint, and lost
    training(tmp_path, resume=True).run()
    steps = [
        step
        for step, part, term, _ in read_curves(tmp_path / "curves.csv")
        if (part, term) == ("train", "total")
    ]
    assert steps == [2, 4, 6, 8]


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path):
    class Broken(Noise):
        def sample(self, seed, step, index):
            batch = super().sample(seed, step, index)
            if step == 5:
                batch.fixed[:] = math.nan
            return batch

    with pytest.raises(TrainingError, match="before step 6") as caught:
        training(tmp_path, source=Broken(), checkpoint_every=1).run()
    assert caught.value.code == "MMREG_E_TRAINING_DIVERGED"
    kept = read_checkpoint(tmp_path / LAST)
    assert kept.step == 5
    assert all(torch.isfinite(tensor).all() for tensor in kept.tensors.values())


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path, clip_norm):
    """The loss of that step is finite still."""
    run = training(tmp_path, checkpoint_every=4, clip_norm=clip_norm)
    weight = next(run.method.parameters())
    weight.register_hook(lambda gradient: gradient * (math.nan if run.step == 7 else 1))
    with pytest.raises(TrainingError, match="after step 8") as caught:
        run.run()
    assert caught.value.code == "MMREG_E_TRAINING_DIVERGED"
    kept = read_checkpoint(tmp_path / LAST)
    assert kept.step == 4
    assert all(torch.isfinite(tensor).all() for tensor in kept.tensors.values())


def test_a_stop_that_comes_with_the_last_step_stops_nothing(tmp_path):
    run = training(tmp_path, steps=3)
    stop_after(run, 3)
    outcome = run.run()
    assert (outcome.step, outcome.stopped) == (3, "")


@pytest.mark.parametrize("left", ["20,train,total,", "20,train,total,1.23e-", "20,train,total,1.2", "20,tr"])
def test_a_last_row_of_the_curves_that_was_cut_short_is_left_out(tmp_path, left):
    path = tmp_path / "curves.csv"
    path.write_text(f"step,part,term,value\r\n10,train,total,0.5\r\n{left}")
    assert read_curves(path) == [(10, "train", "total", 0.5)]


def test_mixed_precision_trains(tmp_path):
    run = training(tmp_path, precision="bf16-mixed")
    assert math.isfinite(run.run().validation["total"])
    assert next(run.method.parameters()).dtype == torch.float32


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    training(tmp_path).run()
    with pytest.raises(InputError, match="does not fit the method"):
        training(tmp_path, resume=True, method=Small(dims=2))


@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    from safetensors.torch import save_file

    path = tmp_path / LAST
    method = Small()
    write_checkpoint(path, method, torch.optim.Adam(method.parameters()), {"step": 0})
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "other":
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.unlink()
    with pytest.raises(InputError, match=str(path)):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [("constant", 1, 1), ("cosine", 0.55, 0.1), ("polynomial", 0.1 + 0.9 * 0.5**2, 0.1)],
)
def test_schedules_rise_linearly_and_fall_as_named(schedule, middle, last):
    settings = TrainingSettings(
        steps=110, warmup_steps=10, learning_rate=1.0, learning_rate_end=0.1, schedule=schedule, power=2.0
    )
    rates = np.array([learning_rate(step, settings) for step in range(111)])
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1
    assert rates[60] == pytest.approx(middle)
    assert rates[110] == pytest.approx(last)
    assert (np.diff(rates[10:]) <= 0).all()
