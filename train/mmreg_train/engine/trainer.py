"""The training loop: samples, steps, validation, checkpoints, and resuming.

``Training.run`` is the loop. Everything random or scheduled is a function of the step. Therefore a checkpoint
consists of weights, optimiser moments and a step, and a resumed run continues bit for bit.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from mmreg_rt.errors import TrainingError

from ..data import seeding
from ..data.sources import RankShard, Source, batches
from ..methods import LEARNING, Batch, Method, Output
from .checkpoint import BEST, LAST, Checkpoint, read_checkpoint, trained_parameters, write_checkpoint
from .curves import Curves
from .interrupt import Interrupt
from .phases import Phase, plan_phases
from .progress import Progress
from .schedule import learning_rate
from .validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.training import Config, TrainingSettings


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        step: Steps done, including earlier runs.
        seconds: Training time, including earlier runs.
        validation: Figures of the last validation.
        best: The best validation: ``step``, ``score`` and its figures.
        stopped: Why it ended before its last step: ``"minutes"``, ``"signal"``, ``"interrupt"``; or ``""``.
    """

    step: int
    seconds: float
    validation: Mapping[str, float]
    best: Mapping[str, Any]
    stopped: str


class TensorOutput(nn.Module):
    """A method that returns tensors, as wrappers for several devices and mixed precision require."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return ``Output.value``."""
        output: Output = self.method(fixed, moving)
        return output.value


class Training:
    """One run of a method on a source of samples, written to a folder.

    Args:
        config: All settings; the number of steps is that of ``[training]`` or of its phases.
        method: With any weights: a resumed run replaces them.
        source: Source of samples.
        fabric: Launched; defines devices and precision.
        folder: Run folder; must exist.
        resume: Continue from its last checkpoint.
        minutes: Time limit.
    """

    def __init__(
        self,
        config: Config,
        method: Method,
        source: Source,
        fabric: Fabric,
        folder: Path,
        *,
        resume: bool = False,
        minutes: float | None = None,
    ) -> None:
        self.config, self.method, self.source = config, method, source
        self.fabric, self.folder = fabric, folder
        self.phases = plan_phases(config, method.phases)
        self.steps = self.phases[-1].end
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, Any] = {}
        checkpoint = read_checkpoint(folder / LAST) if resume else None
        if checkpoint is not None:
            checkpoint.load_weights(method)
            self.step, self.seconds = checkpoint.step, float(checkpoint.facts["seconds"])
        self._begin_phase(
            next((phase for phase in self.phases if self.step < phase.end), self.phases[-1]), checkpoint
        )
        self._minutes = minutes
        self._main = fabric.is_global_zero
        self._window: dict[str, Tensor] = {}
        self._window_steps, self._window_since = 0, time.perf_counter()
        self._latest: Mapping[str, float] = {}

    def run(self) -> Outcome:
        """Train until the last step, a signal or the time limit; a checkpoint is written in any case.

        Raises:
            TrainingError: The loss is not finite; the last checkpoint is from before.
        """
        self._started, self._earlier = time.perf_counter(), self.seconds
        self.curves = Curves(self.folder / "curves.csv", self.step) if self._main else None
        progress = Progress(self.steps, self.step, self._minutes, self._main)
        stopped = ""
        with Interrupt(self._minutes, self.fabric) as interrupt:
            for phase in self.phases[self.phases.index(self.phase) :]:
                if phase is not self.phase:
                    self._checkpoint(LAST)
                    self._begin_phase(phase, None)
                if stopped := self._run_phase(progress, interrupt):
                    break
        if self.step == self.steps:
            stopped = ""  # the interrupt came after the last step
        self._finish(progress)
        figures = self.curves.last("val") if self.curves is not None else {}
        return Outcome(self.step, self.seconds, figures, self.best, stopped)

    def _begin_phase(self, phase: Phase, checkpoint: Checkpoint | None) -> None:
        """Begin a phase, or continue the one of a checkpoint."""
        self.phase, self.settings = phase, phase.settings
        method = self.method
        if phase.name:
            method.set_phase(phase.name)
        if self.settings.compile and (module := method.compilable_module(phase.name)) is not None:
            module.compile(dynamic=False)  # in place: names of weights do not change
        elif self.settings.precision != "32":
            _channels_last(method)
        self.model, self.optimiser = self.fabric.setup(
            TensorOutput(method), _optimiser(method, self.settings)
        )
        self.best = {}
        if checkpoint is not None and checkpoint.facts.get("phase", "") == phase.name:
            self._resume(checkpoint)

    def _run_phase(self, progress: Progress, interrupt: Interrupt) -> str:
        """Run the steps of the phase; return why they ended early, or ""."""
        shard = RankShard(self.fabric.global_rank, self.fabric.world_size, self.settings.batch)
        steps = range(self.step, self.phase.end)
        for batch in batches(self.source, self.settings.seed, steps, shard, self.config.data.workers):
            self._train_step(batch.to(self.fabric.device))
            self.seconds = self._earlier + time.perf_counter() - self._started
            self._after_step(progress)
            if interrupt.requested():
                return interrupt.reason()
        return ""

    def _train_step(self, batch: Batch) -> None:
        """Run one optimiser step."""
        torch.manual_seed(
            seeding.torch_seed(self.settings.seed, seeding.STEP, self.step, self.fabric.global_rank)
        )
        self.method.on_step_begin(self.step - self.phase.first)
        paused = self._paused_parameters()
        rate = learning_rate(self.step - self.phase.first, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        value = self.model(batch.fixed, batch.moving)
        kind = self.method.output_kind if self.phase.registers else LEARNING
        terms = self.method.loss(batch, Output(kind, value))
        self.optimiser.zero_grad()
        self.fabric.backward(terms["total"])
        for parameter in paused:
            parameter.grad = None
        if self.settings.clip_norm > 0:
            terms["gradient_norm"] = self._clip_gradients()
        self.optimiser.step()
        self.step += 1
        for name, term in terms.items():
            self._window[name] = self._window.get(name, 0) + term.detach()
        self._window_steps += 1

    def _paused_parameters(self) -> list[Tensor]:
        """Enable gradients of parameters that pause in this step, and return them; none with one process.

        Several processes wait for the gradient of every parameter, so it is computed and then discarded.
        """
        if self.fabric.world_size == 1:
            return []
        paused = [p for _, p in trained_parameters(self.method, self.optimiser) if not p.requires_grad]
        for parameter in paused:
            parameter.requires_grad = True
        return paused

    def _clip_gradients(self) -> Tensor:
        norm = self.fabric.clip_gradients(
            self.model, self.optimiser, max_norm=self.settings.clip_norm, error_if_nonfinite=False
        )
        assert norm is not None
        return norm

    def _after_step(self, progress: Progress) -> None:
        settings, step = self.settings, self.step - self.phase.first
        ends = step == settings.steps
        if step % settings.log_every == 0 or ends:
            self._log()
        if step % settings.validate_every == 0 or ends:
            self._validate(progress)
        if step % settings.checkpoint_every == 0:
            self._checkpoint(LAST)
        if self._main:
            progress.update(self.step, self._latest)

    def _log(self) -> None:
        """Record the means since the last point of the training curve, over all processes."""
        if self._window_steps == 0:
            return
        means = {name: term / self._window_steps for name, term in self._window.items()}
        if self.fabric.world_size > 1:
            means = {name: torch.as_tensor(self.fabric.all_reduce(term)) for name, term in means.items()}
        values = {name: float(term) for name, term in means.items()}
        self._check_finite(values)
        values["learning_rate"] = learning_rate(self.step - 1 - self.phase.first, self.settings)
        rate = self._window_steps / (time.perf_counter() - self._window_since)
        self._window, self._window_steps, self._window_since = {}, 0, time.perf_counter()
        self._latest = values
        self._record("train", {**values, "steps_per_s": rate})

    def _validate(self, progress: Progress) -> None:
        """Validate on the first process and keep the best weights."""
        self._log()
        if self._main:
            numbers = self.source.validation(self.settings.validate_samples)
            samples = (self.source.validation_sample(n).to(self.fabric.device) for n in numbers)
            self.method.eval()
            figures = validate(self.method, samples, self.fabric.autocast)
            self.method.train()
            if figures:
                self._record("val", figures)
                progress.say(f"validation after step {self.step}: {format_figures(figures)}")
                self._keep_best(figures)
        self.fabric.barrier()
        self._window_since = time.perf_counter()

    def _keep_best(self, figures: Mapping[str, float]) -> None:
        if not self.phase.registers:
            return
        error = figures.get("surface_error_mm", figures["total"])
        score = figures.get("label_dice", -error)
        if math.isfinite(score) and score > self.best.get("score", -math.inf):
            self.best = {"step": self.step, "score": score, "figures": dict(figures)}
            self._checkpoint(BEST)

    def _checkpoint(self, name: str) -> None:
        self._log()  # raises if the loss is not finite
        self._check_weights()
        if not self._main:
            return
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "phase": self.phase.name,
            "method": self.config.method,
            "settings": self.method.settings,
            "seed": self.settings.seed,
            "training": asdict(self.settings),
            "preprocess": self.config.spec.as_dict(),
            "best": self.best,
            "scaler": None if scaler is None else scaler.state_dict(),
            "torch": torch.__version__,
        }
        write_checkpoint(self.folder / name, self.method, self.optimiser, facts)

    def _resume(self, checkpoint: Checkpoint) -> None:
        checkpoint.load_optimiser(self.optimiser, self.method)
        self.best = dict(checkpoint.facts["best"])
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        if scaler is not None and checkpoint.facts["scaler"]:
            scaler.load_state_dict(checkpoint.facts["scaler"])

    def _finish(self, progress: Progress) -> None:
        self._log()
        self._checkpoint(LAST)
        progress.close()
        if self.curves is not None:
            self.curves.draw(self.folder / "curves.png", f"{self.config.method}: {self.step} steps")
        for logger in self.fabric.loggers:
            logger.finalize("success")
        self.fabric.barrier()

    def _record(self, part: str, values: Mapping[str, float]) -> None:
        if not self.phase.registers:  # separate panels
            values = {f"{self.phase.name}_{name}": value for name, value in values.items()}
        if self.curves is not None:
            self.curves.add(self.step, part, values)
        self.fabric.log_dict({f"{part}/{name}": value for name, value in values.items()}, self.step)

    def _check_finite(self, values: Mapping[str, float]) -> None:
        not_finite = [
            name for name, value in values.items() if not math.isfinite(value) and name != "gradient_norm"
        ]
        if not_finite:
            raise TrainingError(
                "MMREG_E_TRAINING_DIVERGED",
                f"The loss is no longer finite: {', '.join(not_finite)} before step {self.step}. Checkpoints "
                "are from before. Lower the learning rate, clip the gradient, or use precision 32.",
            )

    def _check_weights(self) -> None:
        """Raise unless all weights are finite: the gradient of a finite loss may not be."""
        for name, parameter in trained_parameters(self.method, self.optimiser):
            if not bool(parameter.isfinite().all()):
                raise TrainingError(
                    "MMREG_E_TRAINING_DIVERGED",
                    f"Weights are no longer finite: {name} after step {self.step}. Checkpoints are from "
                    "before. Lower the learning rate, or use precision 32.",
                )


def _optimiser(method: Method, settings: TrainingSettings) -> torch.optim.Optimizer:
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.Adam(trained, settings.learning_rate, amsgrad=settings.optimiser == "amsgrad")


def _channels_last(method: Method) -> None:
    """Store kernels with the channels innermost: the fast layout of 16-bit convolutions."""
    layout = torch.channels_last_3d if method.dims == 3 else torch.channels_last
    for parameter in method.parameters():
        if parameter.dim() == method.dims + 2:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def format_figures(values: Mapping[str, float]) -> str:
    """Format figures in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
