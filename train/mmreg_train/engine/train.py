"""A complete training: configuration, data, method, loop and model card."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger

from mmreg_rt.errors import BackendUnavailableError, CancelledError, InputError
from mmreg_rt.io.files import atomic_write

from .. import methods
from ..config.dataset import Description, read_description
from ..config.training import CODE, Config, as_toml, named_config, read_config
from ..data import brain_samples, seeding
from ..data.known_warps import KnownWarps
from ..data.preparation import Preparation, check_size, default_cache
from ..data.rigid.pairs import RigidPairs, StartSampling
from ..data.sources import DataSet, Source, open_data_set, refuse_mixed_sizes
from ..data.synthetic_pairs import SyntheticPairs
from ..data.synthetic_pairs import settings as synthesis_settings
from .checkpoint import checkpoint_path, read_checkpoint
from .model_card import Facts, machine, model_card
from .phases import Phase, plan_phases
from .progress import Progress
from .trainer import Outcome, Training

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES = "shapes"


@dataclass(frozen=True)
class Request:
    """Options of a training; None takes the value of the configuration.

    Attributes:
        method: Its name.
        config: Configuration file; None takes the one shipped for the method.
        data: Data description, its folder, or ``"shapes"``.
        folder: Run folder.
        resume: Continue the run in ``folder``.
        synth: Synthesise the pairs.
        steps, seed, precision: Override the configuration.
        minutes: Time limit.
        device: ``"cpu"`` or ``"cuda"``.
        devices: Processes, one per device.
        threads: Threads per process.
        phases_from: Run or checkpoint that provides the phases the configuration omits.
        command: The command line; the model card lists those of the whole run.
    """

    method: str
    config: Path | None
    data: str | None
    folder: Path
    resume: bool
    synth: bool
    steps: int | None
    seed: int | None
    precision: str | None
    minutes: float | None
    device: str
    devices: int
    threads: int | None
    phases_from: Path | None
    command: tuple[str, ...]


def train(request: Request) -> Outcome:
    """Train a method and write a run folder: checkpoints, curves, model card, splits, settings.

    Args:
        request: What to train, on which data and device.

    Returns:
        The steps done, the time and the results of validation.

    Raises:
        InputError: The configuration, the data or the folder cannot be used.
        BackendUnavailableError: The device is missing.
        TrainingError: The loss is no longer finite.
        CancelledError: The run was interrupted or terminated; it can be resumed from its checkpoint.
    """
    config = _configuration(request)
    data = config.run["data"]
    fabric = _fabric(request, config)
    torch.manual_seed(seeding.torch_seed(config.training.seed, seeding.STEP, 0, seeding.WEIGHTS))
    method = _method(config)
    _check(config, method, fabric.world_size)
    _claim(request, fabric)
    if request.phases_from is not None:
        _load_phases(request.phases_from, config, method)
    described = None if data == SHAPES else read_description(Path(data))
    source, data_set = _source(config, method, described, request, fabric)
    _check_sample(config, method, source)
    _write_settings(request.folder, config, data_set, fabric)
    training = Training(
        config, method, source, fabric, request.folder, resume=request.resume, minutes=request.minutes
    )
    outcome = training.run()
    if fabric.is_global_zero:
        facts = _facts(config, method, described, data_set, request, outcome)
        _write(request.folder / "card.md", model_card(facts))
        end = f"stopped ({outcome.stopped})" if outcome.stopped else "done"
        click.echo(f"{end} after step {outcome.step}: {request.folder}", err=True)
    if outcome.stopped in ("interrupt", "signal"):  # a shell's && must not go on to an export
        raise CancelledError(
            "MMREG_E_CANCELLED",
            f"Stopped after step {outcome.step}. Continue with --resume {request.folder}.",
        )
    return outcome


def _configuration(request: Request) -> Config:
    """Read the configuration and apply the options of the request."""
    if request.resume:
        path = request.folder / "config.toml"
        config = read_config(path)
        if not {"data", "synth"} <= set(config.run):
            raise InputError(CODE, f"{path} has no [run] table of `mmreg train`. Give the folder of a run.")
    else:
        config = read_config(request.config or named_config(request.method, request.synth))
    if config.method != request.method:
        raise InputError(
            CODE,
            f"The configuration is for the method {config.method!r}; {request.method!r} was requested. Give "
            f"a configuration of {request.method!r}, or train {config.method!r}.",
        )
    options = {"steps": request.steps, "seed": request.seed, "precision": request.precision}
    changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    data = request.data or config.run.get("data") or (SHAPES if request.synth else None)
    if data is None:
        raise InputError(CODE, "No data to train on. Give --data FILE, or --synth for generated shapes.")
    data = data if data == SHAPES else str(Path(data).resolve())
    synth = request.synth or data == SHAPES or bool(config.run.get("synth"))
    phases = config.phases
    if request.steps is not None and phases:
        phases = (*phases[:-1], {**phases[-1], "steps": request.steps})
    training = replace(config.training, **changed)
    commands = [*config.run.get("commands", []), shlex.join(request.command)]
    run = {"data": data, "synth": synth, "commands": commands}
    return replace(config, training=training, phases=phases, run=run)


def _fabric(request: Request, config: Config) -> Fabric:
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    if request.device == "cuda" and torch.cuda.device_count() < request.devices:
        raise BackendUnavailableError(
            "MMREG_E_DEVICE",
            f"{request.devices} CUDA device(s) were requested; torch {torch.__version__} has "
            f"{torch.cuda.device_count()}. Use --device cpu, or install a CUDA driver and torch with CUDA.",
        )
    if request.device == "cpu" and config.training.precision == "16-mixed":
        raise InputError(CODE, "Precision fp16 needs a GPU. Use fp32 or bf16 on the CPU.")
    local, nodes = _processes(request)
    fabric = Fabric(
        accelerator=request.device,
        devices=local,
        num_nodes=nodes,
        strategy="ddp" if local * nodes > 1 else "auto",
        precision="32-true" if config.training.precision == "32" else config.training.precision,
        loggers=TensorBoardLogger(request.folder, name="tensorboard", version=""),
    )
    fabric.launch()
    return fabric


def _processes(request: Request) -> tuple[int, int]:
    """Return devices of this machine and number of machines; torchrun sets both in the environment."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return request.devices, 1
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local


def _method(config: Config) -> methods.Method:
    try:
        return methods.create(config.method, **config.method_settings)
    except (TypeError, ValueError) as reason:
        raise InputError(
            CODE,
            f"The method {config.method!r} cannot use [settings]: {reason} Correct the configuration.",
        ) from reason


def _load_phases(path: Path, config: Config, method: methods.Method) -> None:
    """Load the phases that this run omits from another run."""
    trained = [phase.name for phase in plan_phases(config, method.phases)]
    omitted = method.phases[: method.phases.index(trained[0])] if method.phases else ()
    if not omitted:
        raise InputError(
            CODE,
            f"--phases-from {path} needs a run that omits earlier phases of {config.method!r}; this run "
            "trains all of them. Remove phases from [[phases]], or remove --phases-from.",
        )
    read_checkpoint(checkpoint_path(path)).load_phases(method, omitted)


def _check(config: Config, method: methods.Method, world: int) -> None:
    check_size(config.data.size, method.dims, method.multiple)
    StartSampling.from_table(config.rigid)  # unknown names are an error even where the table is not used
    if method.painted:
        brain_samples.settings(config)
    elif config.data.size is not None:
        synthesis_settings(config, method.dims, anatomical=False)
    if config.spec.multiple % method.multiple:
        raise InputError(
            CODE,
            f"{config.method} needs sizes in multiples of {method.multiple}; preprocess.multiple is "
            f"{config.spec.multiple}. Set it to a multiple of {method.multiple}.",
        )
    for phase in plan_phases(config, method.phases):
        if phase.settings.batch % world:
            raise InputError(
                CODE,
                f"A batch of {phase.settings.batch} cannot be divided between {world} processes. Set it to "
                f"a multiple of {world}.",
            )


def _check_sample(config: Config, method: methods.Method, source: Source) -> None:
    """Raise unless the data have the targets that the loss needs."""
    needed = method.required_targets()
    if not needed:
        return
    sample = source.sample(config.training.seed, 0, 0)
    missing = sorted(name for name in needed if getattr(sample, name) is None)
    if missing:
        raise InputError(
            CODE,
            f"The loss of {config.method!r} needs {' and '.join(missing)}, which the data do not have. Add "
            "them to the data description, or choose another loss in [settings].",
        )


def _claim(request: Request, fabric: Fabric) -> None:
    """Raise unless the run folder is new or a run is resumed."""
    folder = request.folder
    if fabric.is_global_zero and not request.resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            "MMREG_E_OUTPUT",
            f"{folder} is not empty. Choose another folder, or continue its run with --resume {folder}.",
        )


def _source(
    config: Config,
    method: methods.Method,
    described: tuple[Description, Path] | None,
    request: Request,
    fabric: Fabric,
) -> tuple[Source, DataSet | None]:
    if method.painted and (described is None or described[0].kind != "labels"):
        raise InputError(
            CODE, f"{config.method} is trained on label maps of brains. Give --data of kind labels."
        )
    if described is None:
        return SyntheticPairs(config, method.dims, None, fabric.device), None
    description, folder = described
    if config.run["synth"] and description.kind != "labels":
        raise InputError(
            CODE,
            f"--synth needs data of kind labels; {description.name} is of kind {description.kind}. Remove "
            "--synth, or give label maps.",
        )
    splits = request.folder / "splits.json"
    if request.resume and splits.is_file():
        description = replace(description, split=replace(description.split, file=str(splits.resolve())))
    size, window = config.data.size, None
    if config.data.crop == "random":
        size, window = None, size
    if method.output_kind == "rigid":
        return _rigid_source(config, method, description, folder)
    if method.painted:
        preparation, window = brain_samples.preparation(config), None
    else:
        preparation = Preparation(config.spec, size, description.align, description.labels, default_cache())
    data_set = open_data_set(description, folder, preparation, method.dims, window)
    _prepare(data_set, plan_phases(config, method.phases), fabric, method.painted)
    if method.painted:
        return brain_samples.PaintedBrains(config, data_set), data_set
    if description.kind == "labels":
        return SyntheticPairs(config, method.dims, data_set, fabric.device), data_set
    if config.warp.changes:
        return KnownWarps(data_set.source(), config.warp), data_set
    return data_set.source(), data_set


def _rigid_source(
    config: Config, method: methods.Method, description: Description, folder: Path
) -> tuple[Source, DataSet]:
    if description.files.fixed_structures is None:
        raise InputError(
            CODE,
            f"{config.method} needs structures marked in both scans; {description.name} names none. Set "
            "fixed_structures and moving_structures in [files].",
        )
    assert method.window is not None
    preparation = Preparation(config.spec, None, description.align, description.labels, default_cache())
    data_set = open_data_set(description, folder, preparation, method.dims)
    cases = data_set.train.cases, data_set.val.cases
    source = RigidPairs(*cases, config.spec, method.window, StartSampling.from_table(config.rigid))
    residuals = [truth.residual_mm for truth in source.truths().values()]
    click.echo(
        f"true transforms of {len(residuals)} pairs: residual {median(residuals):.1f} mm (median), "
        f"{max(residuals):.1f} mm (worst)",
        err=True,
    )
    return source, data_set


def _prepare(data_set: DataSet, phases: list[Phase], fabric: Fabric, painted: bool) -> None:
    """Prepare all scans once; the first process fills the cache for the others."""
    if fabric.is_global_zero:
        cases = len(data_set.train.cases) + len(data_set.val.cases)
        progress = Progress(cases, 0, None, True, "preparing scans", "case")
        shapes = data_set.train.shapes(progress.count) | data_set.val.shapes(progress.count)
        progress.close()
        if not painted:  # painted images have one size, independent of the maps
            refuse_mixed_sizes(shapes, max(phase.settings.batch for phase in phases))
    fabric.barrier()


def _write_settings(folder: Path, config: Config, data_set: DataSet | None, fabric: Fabric) -> None:
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "config.toml", as_toml(config))
        if data_set is not None:
            data_set.splits.write(folder / "splits.json")
    fabric.barrier()


def _facts(
    config: Config,
    method: methods.Method,
    described: tuple[Description, Path] | None,
    data_set: DataSet | None,
    request: Request,
    outcome: Outcome,
) -> Facts:
    people: Mapping[str, int] = {}
    if data_set is not None:
        people = {part: len(names) for part, names in data_set.splits.people.items()}
    return Facts(
        config=config,
        description=described[0] if described else None,
        people=people,
        parameters=sum(parameter.numel() for parameter in method.parameters()),
        dims=method.dims,
        commands=config.run["commands"],
        machine=machine(request.device, request.devices, torch.get_num_threads()),
        outcome=outcome,
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode())
