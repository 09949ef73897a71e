"""From a bundle to a deployment."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..backends.deployed import ENGINES, engine, version_of_engine
from ..bundle.manifest import FIELDS
from ..errors import BackendUnavailableError, InputError
from ..io.files import new_folder
from . import golden
from .check import Check, measured
from .cpu import cpu_word
from .folder import MANIFEST, SIGNATURE, Deployment, open_deployment
from .grids import indices_between
from .manifest import ANY, OUTPUTS, FileFacts, Manifest, manifest_bytes, network_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..bundle import Bundle
    from ..geometry import Float32, Grid
    from ..network.trust import Model

RUNS = 50  # of expected_ms
UNMEASURED_MS = 1.0


@dataclass(frozen=True)
class _Choice:
    """Choices of the caller."""

    engine: str
    precision: str
    threads: int
    cpu: str


def write_deployment(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    fixed: Grid,
    moving: Grid,
    *,
    engine: str = "openvino",
    precision: str = "fp32",
    threads: int = 0,
    cpu: str | None = None,
    public_key: bytes | None = None,
    private_key: bytes | None = None,
) -> Check:
    """Write the deployment of a bundle for one pair of grids, whole or not at all.

    The bundle is verified as ``Registrar`` verifies it, its golden pair first. The result is loaded and
    tested, and its times are measured on this machine.

    Args:
        model: Path of a bundle, or the name of a built-in one.
        folder: A folder that does not exist yet.
        fixed: Grid of the fixed images; their place may differ, their axes and spacing may not.
        moving: Largest grid of moving images.
        engine: ``"openvino"`` or ``"onnxruntime"``.
        precision: As in ``Registrar``.
        threads: CPU threads of the measured times; 0 uses all usable processors.
        cpu: ``"any"`` for a folder that goes to other machines; None is this CPU.
        public_key: Ed25519 key, 32 raw bytes or PEM: the bundle must be signed with its private key.
        private_key: Ed25519 key to sign the deployment with, 32 raw bytes or PEM without a password.

    Returns:
        The deployment as written, and what its test found.

    Raises:
        BundleError: The bundle cannot be trusted or used, or a self-test fails.
        BackendUnavailableError: The engine cannot run it here, or it outputs what deployments do not have.
        GeometryError: The network's grid would be too large.
        InputError: The grids are not what the bundle is for, or the folder cannot be written.

    Example:
        >>> write_deployment("synth", "device", fixed, moving, precision="bf16")  # doctest: +SKIP
    """
    from ..backends.session import usable_threads
    from ..bundle.signature import sign
    from ..network.trust import open_model

    arguments.a("Grid")(fixed, "fixed")
    arguments.a("Grid")(moving, "moving")
    path = Path(folder)
    with new_folder(path) as partial:
        choice = _Choice(engine, precision, usable_threads(threads), cpu_word() if cpu is None else cpu)
        _check_choice(choice)
        done = _tested(open_model(model, public_key), fixed, moving, choice)
        raw = manifest_bytes(done.deployment.manifest)
        content = {**done.deployment.files, MANIFEST: raw}
        if private_key is not None:
            content[SIGNATURE] = sign(raw, private_key)
        for name, data in content.items():
            (partial / name).write_bytes(data)
        open_deployment(partial)
    return replace(done, deployment=replace(done.deployment, path=path, signed=private_key is not None))


def _check_choice(choice: _Choice) -> None:
    from ..backends import choose

    if choice.engine not in ENGINES:
        raise BackendUnavailableError(
            "MMREG_E_DEPLOYMENT_ENGINE",
            f"Deployments are for {' or '.join(ENGINES)}, not for {choice.engine!r}. Choose one of these.",
        )
    if choice.cpu not in (ANY, cpu_word()):
        raise InputError(
            "MMREG_E_DEPLOYMENT_CPU_NAME",
            f"cpu must be {ANY!r}, or be left out for this CPU; got {choice.cpu!r}. Deploy on the machine "
            "itself for another CPU.",
        )
    choose("cpu", choice.engine, choice.precision)


def _tested(opened: Model, fixed: Grid, moving: Grid, choice: _Choice) -> Check:
    """Return the deployment, tested and timed."""
    bundle = opened.bundle
    _check_kind(bundle)
    warnings = _use_warnings(bundle, fixed, moving)
    draft = _draft(bundle, fixed, moving, choice)
    models, expected = _verified(opened, draft)
    shapes = {**dict.fromkeys(draft.inputs, draft.input_shape), "output": draft.output_shape}
    files = {}
    for stage, model in enumerate(models):
        for name, data in engine(choice.engine).converted(model, shapes).items():
            files[network_file(name, stage)] = data
    files |= {name: np.ascontiguousarray(array, "<f4").tobytes() for name, array in expected.items()}
    facts = {name: FileFacts(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    tested = measured(Deployment(Path(), draft, files, False), RUNS, choice.threads)
    timed = replace(
        draft,
        files=facts,
        expected_ms=tuple(round(ms, 3) for ms in tested.stage_ms),
        slack_ms=round(tested.slack_ms, 3),
        memory_mb=_memory_mb(tested.deployment),
    )
    return replace(tested, deployment=Deployment(Path(), timed, files, False), warnings=warnings)


def _check_kind(bundle: Bundle) -> None:
    kind = bundle.manifest.output.kind
    if kind not in OUTPUTS:
        raise BackendUnavailableError(
            "MMREG_E_DEPLOYMENT_KIND",
            f"This version deploys bundles that output {', '.join(OUTPUTS)}; {bundle.manifest.name!r} "
            f"outputs {kind}. Use it from Python or the shell.",
        )


def _use_warnings(bundle: Bundle, fixed: Grid, moving: Grid) -> tuple[str, ...]:
    """Return warnings about grids at the edge of the intended use; raise beyond it."""
    from ..bundle.intended_use import intended_use_warnings
    from ..input_validation import check_grids

    check_grids(fixed, moving)
    return intended_use_warnings(bundle.manifest, fixed, moving)


def _draft(bundle: Bundle, fixed: Grid, moving: Grid, choice: _Choice) -> Manifest:
    """Return the manifest without files and measured times."""
    from ..bundle.network_size import check_grid
    from ..report.input import versions

    source, output = bundle.manifest, bundle.manifest.output
    grid = _network_grid(bundle, fixed)
    check_grid(source, bundle.model(choice.precision).facts, grid.shape, on_host=True)
    return Manifest(
        name=source.name,
        version=source.version,
        bundle_sha256=hashlib.sha256(bundle.manifest_bytes).hexdigest(),
        mmreg_version=versions()["mmreg_rt"].replace(" ", "-"),
        engine=choice.engine,
        engine_version=version_of_engine(choice.engine),
        cpu=choice.cpu,
        precision=choice.precision,
        threads=choice.threads,
        output=output.kind,
        dims=source.dims,
        fixed_shape=fixed.shape,
        fixed_linear=_floats(fixed.affine[:3, :3].ravel()),
        largest_moving_shape=moving.shape,
        network_shape=grid.shape,
        network_to_fixed=_floats(indices_between(grid, fixed).ravel()),
        intensity=source.preprocess.intensity,
        intensity_low=float(source.preprocess.low),
        intensity_high=float(source.preprocess.high),
        factor=output.factor,
        integration_steps=output.integration_steps,
        planes=output.channels if output.kind == "descriptor" else 0,
        stages=len(source.stages),
        refine=int(output.refined),
        golden_limit_mm=_limit_mm(bundle, grid, choice.precision),
        expected_ms=(UNMEASURED_MS,) * len(source.stages),
        slack_ms=UNMEASURED_MS,
        memory_mb=1,
        files={},
    )


def _memory_mb(deployment: Deployment) -> int:
    """Return the memory that all networks take, in MB of 2^20 bytes, rounded up."""
    from ..network.trust import Runner, memory_of_deployed

    manifest = deployment.manifest
    runner = Runner(manifest.engine, "cpu", manifest.precision, manifest.threads)
    extents = manifest.network_shape[3 - manifest.dims :]
    taken = sum(
        memory_of_deployed(manifest.name, deployment.network(stage), runner, extents)
        for stage in range(manifest.stages)
    )
    return max(1, -(-taken >> 20))


def _network_grid(bundle: Bundle, fixed: Grid) -> Grid:
    """Return the grid of the networks; the window of rigid ones lies around the centre of the fixed image."""
    from ..preprocess import network_grid
    from ..preprocess.window import window_grid

    source = bundle.manifest
    if source.rigid is None:
        return network_grid(fixed, source.preprocess)
    return window_grid(fixed, source.preprocess, fixed.centre_mm, source.rigid.size, source.rigid.spacing_mm)


def _limit_mm(bundle: Bundle, grid: Grid, precision: str) -> float:
    """Return the limit of the bundle, which for a network without a spacing is that at 1 mm."""
    limit = bundle.manifest.golden.limit_mm[precision]
    free = bundle.manifest.preprocess.spacing_mm is None and bundle.manifest.output.kind in FIELDS
    return float(limit * max(grid.spacing_mm[3 - bundle.manifest.dims :]) if free else limit)


def _verified(opened: Model, draft: Manifest) -> tuple[list[bytes], dict[str, Float32]]:
    """Return the networks after their bundle's self-test, and the golden arrays on the deployed grid by file.

    The golden output is that of the fp32 network, whatever the deployed precision.
    """
    pair = opened.bundle.golden()
    arrays = {
        "golden_fixed.f32": golden.of_shape(pair.fixed, draft.network_shape),
        "golden_moving.f32": golden.of_shape(pair.moving, draft.network_shape),
    }
    if draft.output == "descriptor":
        del arrays["golden_moving.f32"]
    images = {
        name: array.reshape(draft.input_shape)
        for name, array in zip(draft.inputs, arrays.values(), strict=True)
    }
    outputs, models = [], []
    for stage in range(draft.stages):
        model, output = _verified_network(opened, draft, stage, images)
        models.append(model)
        outputs.append(output)
    arrays["golden_output.f32"] = np.concatenate(outputs)
    return models, arrays


def _verified_network(
    opened: Model, draft: Manifest, stage: int, images: Mapping[str, Float32]
) -> tuple[bytes, Float32]:
    """Return a network after its bundle's self-test, and the output of the fp32 network for these images."""
    from ..backends import by_name
    from ..bundle.golden import self_test
    from ..network.trust import Runner

    backend, models = by_name(draft.engine), {}
    for precision in dict.fromkeys((draft.precision, "fp32")):
        models[precision] = opened.proven(Runner(draft.engine, "cpu", precision, draft.threads), stage)
        session = backend.load(models[precision], precision=precision, threads=draft.threads, device="cpu")
        with contextlib.closing(session):
            self_test(opened.bundle, session.infer, precision, stage)
            if precision == "fp32":
                output = session.infer(images).copy()
    return models[draft.precision], output


def _floats(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)
