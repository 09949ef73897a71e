"""A bundle, loaded: the network of a registration, ready for the native pipeline.

``Network`` opens and verifies the bundle, chooses a backend once, loads the model and proves it on the
bundle's golden pair: one that does not come with the package, and is not signed by a key of the caller's, in
a process of its own first (``bundle_trial``). For each pair of scans ``described`` says what the pipeline
needs: the grid that the network sees, how it wants their intensities, and the call that runs it.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BackendUnavailable, GeometryError, InputError, RegistrationError
from .manifest import FIELDS, RIGID
from .network_output import what_is_wrong
from .network_size import check_asked
from .preprocess import network_grid

if TYPE_CHECKING:
    from ._native import DeviceQueue
    from .bundle import Bundle
    from .geometry import Array, Float32, Float64, Grid

BUNDLES = Path(__file__).parent / "bundles"  # those that come with the package, NAME.mmreg each
SUFFIX = ".mmreg"


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
    from .bundle import MANIFEST

    if path.is_file() or (path / MANIFEST).is_file():
        raise InputError(
            "MMREG_E_MODEL_AMBIGUOUS",
            f"{path.name!r} is a built-in bundle, and there is one of that name in the working directory. "
            "Give "
            f"{os.path.join(os.curdir, path.name)} for that one, {BUNDLES / f'{path.name}{SUFFIX}'} for "
            "the built-in.",
        )


def _comes_with_the_package(path: Path) -> bool:
    """Whether a bundle is a part of what was installed, like the code."""
    return path.resolve().parent == BUNDLES.resolve()


def _try(
    bundle: Bundle, model: bytes, stage: int, backend: str, precision: str, threads: int, device: str
) -> None:
    """Prove a network in a process of its own, before this one loads it."""
    from .backends import version_of
    from .backends.session import usable_threads
    from .bundle_trial import Limits, Trial, prove

    limits = Limits.of(bundle.golden_footprint(precision, stage), len(model), device, usable_threads(threads))
    trial = Trial(
        name=bundle.manifest.name,
        manifest=bundle.manifest_bytes,
        golden=bundle.file(bundle.manifest.golden.file),
        model=model,
        stage=stage,
        backend=backend,
        version=version_of(backend),
        precision=precision,
        threads=threads,
        device=device,
    )
    prove(trial, limits)


class Network:
    """The network of a bundle, on the backend that runs it.

    Args:
        model: Path of a bundle, or the name of a built-in one.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        backend: ``"openvino"``, ``"onnxruntime"``, or None for the faster one that is installed.
        precision: ``"fp32"``, ``"bf16"`` (OpenVINO), or a precision that the bundle has a file for.
        threads: 0 is as many as this process may use.
        queue: Of the device, on whose stream and memory the network runs.
        public_key: Of Ed25519, 32 raw bytes or PEM: the bundle must be signed with its private key, and is
            then trusted like one that comes with the package.

    Raises:
        BundleError: The bundle cannot be trusted or used, or its golden pair comes out wrong.
        BackendUnavailable: No backend can run it here.
        InputError: There is no such bundle.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        device: str = "cpu",
        backend: str | None = None,
        precision: str = "fp32",
        threads: int = 0,
        queue: DeviceQueue | None = None,
        public_key: bytes | None = None,
    ) -> None:
        from .backends import choose
        from .bundle import open_bundle, self_test

        path = find_bundle(model)
        bundle = open_bundle(path, public_key=public_key)
        trusted = bundle.signed or _comes_with_the_package(path)
        self.manifest = bundle.manifest
        if self.manifest.output.kind not in (*FIELDS, RIGID, "descriptor"):
            raise BackendUnavailable(
                "MMREG_E_MODEL",
                "This version serves fields, descriptors and rigid motions; the bundle "
                f"{self.manifest.name!r} gives {self.manifest.output.kind!r}.",
            )
        chosen, _ = choose(device, backend, precision)
        if self.manifest.output.kind == RIGID:
            queue = None  # its windows are made on the host
        self._sessions, self._facts = [], bundle.model(precision)[1]
        self._grids: set[tuple[int, ...]] = set()  # for which the network is known to be small enough
        for stage in range(len(self.manifest.stages)):
            data = bundle.model_bytes(precision, stage)
            if not trusted:
                _try(bundle, data, stage, chosen.name, precision, threads, device)
            self._sessions.append(
                chosen.load(data, precision=precision, threads=threads, device=device, queue=queue)
            )
            self_test(bundle, self._sessions[stage].infer, precision, stage)
        self._session = self._sessions[0]
        self._lock = threading.Lock()  # a session is for one call at a time

    @property
    def ran(self) -> Mapping[str, str]:
        """What really runs: backend, version, device, precision."""
        return self._session.ran

    def about(self) -> dict[str, Any]:
        """Name, version and method of the bundle, and what really runs its network."""
        m = self.manifest
        return {"bundle": f"{m.name} {m.version}", "method": m.method, **self.ran}

    @property
    def capturable(self) -> bool:
        """Whether it can be part of a CUDA graph."""
        return self._session.capturable

    def described(self, fixed: Grid) -> dict[str, Any]:
        """What the native pipeline is told about this network, for scans on this fixed grid.

        Raises:
            GeometryError: The grid of the network would be too large, or larger than it can be used on.
        """
        output, spec = self.manifest.output, self.manifest.preprocess
        grid = network_grid(fixed, spec)
        self._refuse_too_large(grid)
        return {
            "intensities": (spec.intensity, spec.low, spec.high),
            "shape": grid.shape,
            "affine": np.ascontiguousarray(grid.affine),
            "output": output.kind,
            "dims": self.manifest.dims,
            "factor": output.factor,
            "integration_steps": output.integration_steps,
            "planes": output.channels,
            "run": self.predict if output.kind in FIELDS else self._describe,
            "there": self._session.there,
        }

    def _refuse_too_large(self, grid: Grid) -> None:
        if grid.shape not in self._grids:
            check_asked(self.manifest, self._facts, grid.shape, here=not self._session.there)
            self._grids.add(grid.shape)
        most = self.manifest.most_voxels
        if most is not None and math.prod(grid.shape) > most:
            raise GeometryError(
                "MMREG_E_MODEL_GRID",
                f"The network {self.manifest.name!r} takes at most {most} voxels; this fixed scan makes its "
                f"grid {' x '.join(map(str, grid.shape))}, which is {math.prod(grid.shape)}. Crop the fixed "
                "scan, or use a network for larger ones.",
            )

    def predict(self, fixed: Any, moving: Any, field: Any) -> None:
        """From images ``(D, H, W)`` to a field ``(C, d, h, w)``, float32: arrays, or addresses and shapes."""
        self._run({"fixed": fixed, "moving": moving}, field)

    def motion(self, stage: int, fixed: Float32, moving: Float32) -> Float64:
        """The six numbers of ``pose`` that a rigid stage finds for the images of its window, ``(D, H, W)``.

        Raises:
            RegistrationError: They are not finite.
        """
        inputs = {"fixed": fixed[None, None], "moving": moving[None, None]}
        with self._lock:
            found = self._sessions[stage].infer(inputs)
            numbers: Float64 = np.array(found, np.float64).reshape(-1)
        self._refuse_unusable(numbers, 6)
        return numbers

    def held(self, shape: tuple[int, ...]) -> object:
        """What the session keeps for images ``(D, H, W)`` of this shape."""
        return self._session.held(self._axes(shape))

    def _describe(self, _side: str, image: Any, planes: Any) -> None:
        self._run({"image": image}, planes)

    def _run(self, images: Mapping[str, Any], into: Any) -> None:
        with self._lock:
            if self._session.there:
                shape = self._axes(tuple(next(iter(images.values()))[1]))
                values = int(np.prod(into[1]))
                self._session.infer_there(
                    {name: at[0] for name, at in images.items()}, shape, into[0], values
                )
            else:
                self._run_here(images, into)

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, 1, *shape[3 - self.manifest.dims :])

    def _run_here(self, images: Mapping[str, Float32], into: Float32) -> None:
        """Images (D, H, W) through the session; ``into`` (C, d, h, w) is filled."""
        axes = self._axes(next(iter(images.values())).shape)
        found = self._session.infer({name: image.reshape(axes) for name, image in images.items()})
        self._refuse_unusable(found, into.size)
        into[...] = found.reshape(into.shape)

    def _refuse_unusable(self, found: Array, wanted: int) -> None:
        wrong = what_is_wrong(found, wanted, self.manifest.output.kind)
        if wrong is not None:
            raise RegistrationError(
                "MMREG_E_MODEL_OUTPUT",
                f"The network {self.manifest.name!r} is at fault: it {wrong}. Register without a model, or "
                "export "
                "it again.",
            )

    def close(self) -> None:
        """Give the memory of the sessions back."""
        for session in self._sessions:
            session.close()
