"""What must be shown of a network before this process loads it.

A bundle that comes with the package, or is signed by a key of the caller's, is trusted. Any other is loaded
and run in a process of its own first (``bundle_trial``), whatever it is wanted for: every way from a file to
a library goes through here.
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
from .trial import Limits, Trial, prove

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..onnx_model.validation import ModelFacts

BUNDLES = Path(__file__).parents[1] / "bundles"  # those that come with the package, NAME.mmreg each
SUFFIX = ".mmreg"


@dataclass(frozen=True)
class Runner:
    """Who runs a network: as of ``Registrar``, with the name of the backend that was chosen."""

    backend: str
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0


@dataclass(frozen=True)
class Model:
    """A bundle that was opened and checked, and whether what it holds may be loaded as it is."""

    bundle: Bundle
    trusted: bool

    def proven(self, runner: Runner, stage: int = 0, builds: bool = False) -> bytes:
        """Return the ONNX file of a precision that may be loaded here.

        Args:
            runner: Who will run it.
            stage: Which network of the bundle.
            builds: It is only compiled, by TensorRT, not run.

        Raises:
            BundleError: It is not what the manifest says, or does not stand its trial.
        """
        data = self.bundle.model_bytes(runner.precision, stage)
        if not self.trusted:
            self._try(data, runner, stage, builds)
        return data

    def _try(self, data: bytes, runner: Runner, stage: int, builds: bool) -> None:
        manifest = self.bundle.manifest
        footprint = self.bundle.golden_footprint(runner.precision, stage)
        golden = self.bundle.file(manifest.golden.file)
        trial = Trial(
            name=manifest.name,
            model=data,
            task="build" if builds else "golden",
            manifest=self.bundle.manifest_bytes,
            golden=golden,
            stage=stage,
            extents=self.bundle.golden().fixed.shape[3 - manifest.dims :],
            **_of(runner),
        )
        prove(trial, Limits.of(footprint, len(data), runner.device, trial.threads))


def open_model(model: str | os.PathLike[str], public_key: bytes | None = None) -> Model:
    """The bundle at a path, or the built-in one of that name.

    Args:
        model: Which.
        public_key: Of Ed25519, 32 raw bytes or PEM: the bundle must be signed with its private key.

    Raises:
        InputError: There is no such bundle.
        BundleError: It is no bundle, is not as its manifest says, or is not signed as asked.
    """
    path = find_bundle(model)
    bundle = open_bundle(path, public_key=public_key)
    return Model(bundle, bundle.signed or path.resolve().parent == BUNDLES.resolve())


def prove_file(name: str, data: bytes, runner: Runner, extents: tuple[int, ...]) -> ModelFacts:
    """Return the facts about an ONNX file without a bundle, once it was run elsewhere on empty images.

    Args:
        name: Of the file, for messages.
        data: Its bytes.
        runner: Who will run it.
        extents: Of the images.

    Raises:
        BundleError: It has something that is not accepted, takes too much there, or does not stand its trial.
    """
    facts = check_model(data)
    footprint = facts.footprint((1, 1, *extents), bounds(extents))
    trial = Trial(name=name, model=data, task="run", extents=extents, **_of(runner))
    prove(trial, Limits.of(footprint, len(data), runner.device, trial.threads))
    return facts


def built_in() -> list[str]:
    """Names of the bundles that come with the package."""
    return sorted(path.stem for path in BUNDLES.glob(f"*{SUFFIX}"))


def find_bundle(model: str | os.PathLike[str]) -> Path:
    """The bundle at a path, or the built-in one of that name.

    Text that is the name of a built-in bundle means that bundle, whatever lies in the working directory; what
    lies there is ``./NAME``, or a ``pathlib.Path``.

    Raises:
        InputError: There is neither, or a bundle of that name lies here as well.
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
    """Refuse to choose between a built-in bundle and one in the working directory."""
    if path.is_file() or (path / MANIFEST).is_file():
        raise InputError(
            "MMREG_E_MODEL_AMBIGUOUS",
            f"{path.name!r} is a built-in bundle, and there is one of that name in the working directory. "
            f"Give {os.path.join(os.curdir, path.name)} for that one, {BUNDLES / f'{path.name}{SUFFIX}'} for "
            "the built-in.",
        )


def _of(runner: Runner) -> dict[str, Any]:
    """What a trial says of who runs it."""
    from ..backends import version_of
    from ..backends.session import usable_threads

    return {
        "backend": runner.backend,
        "version": version_of(runner.backend),
        "precision": runner.precision,
        "threads": usable_threads(runner.threads),
        "device": runner.device,
    }
