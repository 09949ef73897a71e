"""A bundle, loaded: the network of a registration, ready for the native pipeline.

``Network`` opens and verifies the bundle, chooses a backend once, loads the model and proves it on the
bundle's golden pair. For each pair of scans ``engine`` says what the pipeline needs: the grid that the
network sees, both scans in its intensities, and the call that runs it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BackendUnavailable, InputError, RegistrationError
from .preprocess import network_grid, normalise

if TYPE_CHECKING:
    from .geometry import Float32, Volume

BUNDLES = Path(__file__).parent / "bundles"  # those that come with the package, NAME.mmreg each
SUFFIX = ".mmreg"
FIELDS = ("displacement", "velocity")
Run = Callable[[Any, Any, Any], None]


def built_in() -> list[str]:
    """Names of the bundles that come with the package."""
    return sorted(path.stem for path in BUNDLES.glob(f"*{SUFFIX}"))


def find_bundle(model: str | os.PathLike[str]) -> Path:
    """The bundle at a path, or the built-in one of that name.

    Raises:
        InputError: There is neither.
    """
    path = Path(model)
    if path.exists():
        return path
    if str(model) in built_in():
        return BUNDLES / f"{model}{SUFFIX}"
    names = ", ".join(built_in()) or "none in this version"
    raise InputError(
        "MMREG_E_MODEL",
        f"There is no bundle at {os.fspath(model)!r}, and no built-in one of that name (there are: {names}). "
        "Give the path of a .mmreg bundle, or leave the model out for the native solver.",
    )


class Network:
    """The network of a bundle, on the backend that runs it.

    Args:
        model: Path of a bundle, or the name of a built-in one.
        device: ``"cpu"``.
        backend: ``"openvino"``, ``"onnxruntime"``, or None for the faster one that is installed.
        precision: ``"fp32"``, ``"bf16"`` (OpenVINO), or a precision that the bundle has a file for.
        threads: 0 is as many as this process may use.

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
    ) -> None:
        from .backends import choose
        from .bundle import open_bundle, self_test

        bundle = open_bundle(find_bundle(model))
        self.manifest = bundle.manifest
        if self.manifest.output.kind not in (*FIELDS, "descriptor"):
            raise BackendUnavailable(
                "MMREG_E_MODEL",
                f"This version serves fields and descriptors; the bundle {self.manifest.name!r} gives "
                f"{self.manifest.output.kind!r}.",
            )
        chosen, _ = choose(device, backend, precision)
        self._session = chosen.load(
            bundle.model_bytes(precision), precision=precision, threads=threads, device=device
        )
        self._lock = threading.Lock()  # a session is for one call at a time
        self_test(bundle, self._session.infer, precision)

    @property
    def ran(self) -> Mapping[str, str]:
        """What really runs: backend, version, device, precision."""
        return self._session.ran

    def about(self) -> dict[str, Any]:
        """Name, version and method of the bundle, and what really runs its network."""
        m = self.manifest
        return {"bundle": f"{m.name} {m.version}", "method": m.method, **self.ran}

    def engine(self, fixed: Volume, moving: Volume) -> dict[str, Any]:
        """What ``_native.register`` is told about this network for a pair of scans.

        Raises:
            GeometryError: The scans make a grid that is too large.
            IntensityError: A voxel is not finite.
        """
        output, spec = self.manifest.output, self.manifest.preprocess
        grid = network_grid(fixed.grid, spec)
        return {
            "fixed": normalise(fixed.data, spec),
            "moving": normalise(moving.data, spec),
            "shape": grid.shape,
            "affine": np.ascontiguousarray(grid.affine),
            "output": output.kind,
            "dims": self.manifest.dims,
            "factor": output.factor,
            "integration_steps": output.integration_steps,
            "planes": output.channels,
            "run": self._predict if output.kind in FIELDS else self._describe,
        }

    def _predict(self, fixed: Float32, moving: Float32, field: Float32) -> None:
        self._run({"fixed": fixed, "moving": moving}, field)

    def _describe(self, _side: str, image: Float32, planes: Float32) -> None:
        self._run({"image": image}, planes)

    def _run(self, images: Mapping[str, Float32], into: Float32) -> None:
        """Images (D, H, W) through the session; ``into`` (C, d, h, w) is filled."""
        axes = (1, 1, *next(iter(images.values())).shape[3 - self.manifest.dims :])
        with self._lock:
            found = self._session.infer({name: image.reshape(axes) for name, image in images.items()})
            if found.size != into.size or not np.isfinite(found).all():
                raise RegistrationError(
                    "MMREG_E_MODEL_OUTPUT",
                    f"The network {self.manifest.name!r} must give {into.size} finite numbers here; it gave "
                    f"{found.size}, {np.count_nonzero(~np.isfinite(found))} of them not finite. Register "
                    "without a model, or export it again.",
                )
            into[...] = found.reshape(into.shape)

    def close(self) -> None:
        """Give the memory of the session back."""
        self._session.close()
