"""Checks of a deployment on the machine that it is for, as libmmreg checks it, and its latency there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backends.deployed import ENGINES, engine, version_of_engine
from ..errors import BackendUnavailableError
from . import golden, latency
from .cpu import cpu_word
from .folder import open_deployment
from .manifest import ANY

if TYPE_CHECKING:
    from ..backends.session import CheckedSession
    from ..geometry import Float32
    from .folder import Deployment
    from .manifest import Manifest

RUNS = 100


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Attributes:
        deployment: The deployment.
        ran: Engine, version, precision and arithmetic that ran.
        worst_mm: Deviation on the golden pair: mm, for descriptors the difference of two numbers.
        latency_ms: ``p50``, ``p90``, ``p99`` and ``max`` of the time of all networks for a pair.
        stage_ms: ``p99`` of each network, in the order in which they run.
        slack_ms: How late a run that is cancelled may end: the longest layer, and 1 ms.
        runs: Number of runs.
        threads: CPU threads of the network.
        warnings: Warnings about grids at the edge of what the bundle is for; when it is written.
    """

    deployment: Deployment
    ran: Mapping[str, str]
    worst_mm: float
    latency_ms: Mapping[str, float]
    stage_ms: tuple[float, ...]
    slack_ms: float
    runs: int
    threads: int
    warnings: tuple[str, ...] = ()


def check_deployment(
    path: str | os.PathLike[str],
    public_key: bytes | None = None,
    runs: int = RUNS,
    threads: int | None = None,
) -> Check:
    """Check a deployment by the rules of libmmreg, run its self-test and measure its latency here.

    Without a key its network is first loaded and run in a separate process, like that of a bundle.

    Args:
        path: Its folder.
        public_key: Ed25519 key, 32 raw bytes or PEM; the manifest must be signed with its private key.
        runs: Number of runs of which percentiles are reported.
        threads: CPU threads; None takes those of the manifest.

    Raises:
        BundleError: A rule of the format is broken, or the self-test fails.
        BackendUnavailableError: The engine or this CPU is not the one that it was made for.
    """
    deployment = open_deployment(path, public_key)
    _check_machine(deployment.manifest)
    threads = threads or deployment.manifest.threads
    if not deployment.signed:
        _try(deployment, threads)
    return measured(deployment, runs, threads)


def measured(deployment: Deployment, runs: int, threads: int) -> Check:
    """Run the self-test of an opened deployment and measure its latency; see ``check_deployment``."""
    manifest, files = deployment.manifest, deployment.files
    chosen, pair = engine(manifest.engine), golden.inputs(manifest, files)
    networks = [deployment.network(stage) for stage in range(manifest.stages)]
    with contextlib.ExitStack() as opened:
        sessions = [
            opened.enter_context(chosen.load(network, precision=manifest.precision, threads=threads))
            for network in networks
        ]
        worst = golden.self_test(manifest, files, [session.infer for session in sessions])
        times = latency.times_ms([_step(session, pair, manifest) for session in sessions], runs)
        ran = dict(sessions[0].runtime_info)
    longest_s = max(
        chosen.longest_layer_s(network, manifest.precision, threads, pair, latency.PROFILED_RUNS)
        for network in networks
    )
    return Check(
        deployment=deployment,
        ran=ran,
        worst_mm=worst,
        latency_ms=latency.percentiles(times.sum(axis=1)),
        stage_ms=tuple(latency.percentiles(stage)["p99"] for stage in times.T),
        slack_ms=1e3 * longest_s + latency.POLL_MS,
        runs=runs,
        threads=threads,
    )


def _step(session: CheckedSession, pair: Mapping[str, Float32], manifest: Manifest) -> Callable[[], None]:
    """Return a function that runs a network for one pair."""
    passes = 2 if manifest.output == "descriptor" else 1  # a descriptor sees one image after the other

    def run() -> None:
        for _ in range(passes):
            session.infer(pair)

    return run


def _try(deployment: Deployment, threads: int) -> None:
    """Load and run each network in a separate process."""
    from ..network.trust import Runner, prove_deployed

    manifest = deployment.manifest
    for stage in range(manifest.stages):
        prove_deployed(
            manifest.name,
            deployment.network(stage),
            Runner(manifest.engine, "cpu", manifest.precision, threads),
            manifest.network_shape[3 - manifest.dims :],
        )


def _check_machine(manifest: Manifest) -> None:
    if manifest.engine not in ENGINES:
        raise BackendUnavailableError(
            "MMREG_E_DEPLOYMENT_ENGINE",
            f"A deployment for {manifest.engine} is run by libmmreg alone; this package runs those for "
            f"{' and '.join(ENGINES)}. Test it with mmreg_deployment_self_test.",
        )
    installed, cpu = version_of_engine(manifest.engine), cpu_word()
    if installed != manifest.engine_version:
        raise BackendUnavailableError(
            "MMREG_E_DEPLOYMENT_ENGINE_VERSION",
            f"The deployment is for {manifest.engine} {manifest.engine_version}; here is "
            f"{installed or 'none'}. Install that version, or deploy the bundle again with this one.",
        )
    if manifest.cpu not in (ANY, cpu):
        raise BackendUnavailableError(
            "MMREG_E_DEPLOYMENT_CPU",
            f"The deployment was tested on a CPU with {manifest.cpu}; this one has {cpu}. Deploy the bundle "
            "on this machine, or for any CPU (cpu='any').",
        )
