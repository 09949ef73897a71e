"""Trust in networks: the trial that an untrusted one must pass before this process loads it.

A bundle that comes with the package, or is signed with a key of the caller, is trusted. Any other network is
first loaded and run in a separate process (``network.trial``). Every path from a file to a library goes
through this module.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle import MANIFEST, open_bundle
from ..bundle.network_size import bounds
from ..errors import InputError
from ..onnx_model.validation import check_model
from .trial import Limits, Trial, memory_bytes, prove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bundle import Bundle, BundleModel
    from ..onnx_model.validation import ModelFacts

BUNDLES = Path(__file__).parents[1] / "bundles"  # built-in bundles, NAME.mmreg each
SUFFIX = ".mmreg"


@dataclass(frozen=True)
class Runner:
    """The backend that runs a network, with its settings as in ``Registrar``."""

    backend: str
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0


@dataclass(frozen=True)
class Model:
    """An opened and checked bundle; a trusted one may be loaded without a trial."""

    bundle: Bundle
    trusted: bool

    def proven(self, runner: Runner, stage: int = 0, builds: bool = False) -> bytes:
        """Return the bytes of an ONNX file that may be loaded, after a trial unless it is trusted.

        Args:
            runner: The backend that will run it.
            stage: Index of the network in the bundle.
            builds: TensorRT will only compile it, not run it.

        Raises:
            BundleError: It does not match the manifest, or fails its trial.
        """
        model = self.bundle.model(runner.precision, stage)
        if not self.trusted:
            self._try(model, runner, stage, builds)
        return model.onnx

    def _try(self, model: BundleModel, runner: Runner, stage: int, builds: bool) -> None:
        manifest = self.bundle.manifest
        golden = self.bundle.file(manifest.golden.file)
        trial = Trial(
            name=manifest.name,
            model=model.onnx,
            task="build" if builds else "golden",
            manifest=self.bundle.manifest_bytes,
            golden=golden,
            stage=stage,
            extents=self.bundle.golden().fixed.shape[3 - manifest.dims :],
            **_runner_facts(runner),
        )
        prove(trial, Limits.of(model.golden, len(model.onnx), runner.device, trial.threads))


def open_model(model: str | os.PathLike[str], public_key: bytes | None = None) -> Model:
    """Open a bundle by its path, or a built-in bundle by its name.

    Args:
        model: Path or name.
        public_key: Ed25519 key, 32 raw bytes or PEM; the bundle must be signed with its private key.

    Raises:
        InputError: There is no such bundle.
        BundleError: It is not a bundle, does not match its manifest, or is not signed with the key.
    """
    path = find_bundle(model)
    bundle = open_bundle(path, public_key=public_key)
    return Model(bundle, bundle.signed or path.resolve().parent == BUNDLES.resolve())


def prove_file(name: str, data: bytes, runner: Runner, extents: tuple[int, ...]) -> ModelFacts:
    """Check an ONNX file without a bundle and try it on empty images.

    Args:
        name: Name of the file, for messages.
        data: Its bytes.
        runner: The backend that will run it.
        extents: Extents of the images.

    Returns:
        Facts about the network.

    Raises:
        BundleError: The file is not accepted, takes too much at this size, or fails its trial.
    """
    facts = check_model(data)
    footprint = facts.footprint((1, 1, *extents), bounds(extents))
    trial = Trial(name=name, model=data, task="run", extents=extents, **_runner_facts(runner))
    prove(trial, Limits.of(footprint, len(data), runner.device, trial.threads))
    return facts


def prove_deployed(name: str, files: Mapping[str, bytes], runner: Runner, extents: tuple[int, ...]) -> None:
    """Try a network of fixed shape, as a deployment has it, on empty images.

    Args:
        name: Name of the network, for messages.
        files: Its files in the order in which its engine lists them.
        runner: The engine that will run it.
        extents: Extents of the images.

    Raises:
        BundleError: A file is not accepted, or the network fails its trial.
    """
    for file, data in files.items():
        if file.endswith(".onnx"):
            check_model(data)
    trial = _deployed(name, "deployed", files, runner, extents)
    prove(trial, _limits(trial))


def memory_of_deployed(
    name: str, files: Mapping[str, bytes], runner: Runner, extents: tuple[int, ...]
) -> int:
    """Return the memory in bytes that a network of fixed shape takes, loaded and run in a separate process.

    Args:
        name: Name of the network, for messages.
        files: Its files in the order in which its engine lists them.
        runner: The engine that will run it.
        extents: Extents of the images.
    """
    trial = _deployed(name, "memory", files, runner, extents)
    return memory_bytes(trial, _limits(trial))


def _deployed(
    name: str, task: str, files: Mapping[str, bytes], runner: Runner, extents: tuple[int, ...]
) -> Trial:
    model, parts = b"".join(files.values()), tuple((file, len(data)) for file, data in files.items())
    return Trial(name=name, model=model, task=task, parts=parts, extents=extents, **_runner_facts(runner))


def _limits(trial: Trial) -> Limits:
    return Limits.of_size(bounds(trial.extents).bytes, len(trial.model), trial.threads)


def built_in() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(path.stem for path in BUNDLES.glob(f"*{SUFFIX}"))


def find_bundle(model: str | os.PathLike[str]) -> Path:
    """Return the path of a bundle, given its path or the name of a built-in one.

    A string that names a built-in bundle means that one; for a bundle of that name in the working directory
    give ``./NAME`` or a ``pathlib.Path``.

    Raises:
        InputError: There is neither, or there is a bundle of that name in the working directory as well.
    """
    path = Path(model)
    if isinstance(model, str) and model in built_in():
        _refuse_namesake(path)
    elif path.exists():
        return path
    if os.fspath(model) in built_in():
        return BUNDLES / f"{path.name}{SUFFIX}"
    names = ", ".join(built_in()) or "none in this version"
    raise InputError(
        "MMREG_E_MODEL",
        f"There is no bundle at {os.fspath(model)!r}, and no built-in one of that name (there are: {names}). "
        "Give the path of a .mmreg bundle, or leave the model out for the native solver.",
    )


def _refuse_namesake(path: Path) -> None:
    """Raise if a bundle in the working directory has the name of a built-in one."""
    if path.is_file() or (path / MANIFEST).is_file():
        raise InputError(
            "MMREG_E_MODEL_AMBIGUOUS",
            f"{path.name!r} is a built-in bundle, and there is one of that name in the working directory. "
            f"Give {os.path.join(os.curdir, path.name)} for that one, {BUNDLES / f'{path.name}{SUFFIX}'} for "
            "the built-in.",
        )


def _runner_facts(runner: Runner) -> dict[str, Any]:
    """Return the fields of a trial that describe the runner."""
    from ..backends import version_of
    from ..backends.session import usable_threads

    return {
        "backend": runner.backend,
        "version": version_of(runner.backend),
        "precision": runner.precision,
        "threads": usable_threads(runner.threads),
        "device": runner.device,
    }
