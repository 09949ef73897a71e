"""Loaded bundles: a network on the backend that runs it, ready for the native pipeline.

``Network`` opens and verifies the bundle, chooses a backend once, loads the model and tests it on the
bundle's golden pair; a bundle that is neither built in nor signed by a key of the caller's is first tested
in a separate process (``trust``). For each pair of scans ``engine_spec`` gives the pipeline the grid on which
the network runs, the intensities that it expects, and the function that runs it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.watched import POLL_S, Stopped, ask_first
from ..bundle.manifest import FIELDS, RIGID
from ..bundle.network_output import what_is_wrong
from ..bundle.network_size import at_size, check_grid
from ..errors import BackendUnavailableError, RegistrationError
from ..onnx_model.footprint import Bounds
from ..preprocess import network_grid
from ..preprocess.window import window_grid
from .timing import NetworkTime

if TYPE_CHECKING:
    from .._native import DeviceQueue, EngineSpec
    from ..backends import Session
    from ..backends.watched import Stop
    from ..geometry import Array, Float32, Float64, Grid
    from .timing import Extents


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
        BackendUnavailableError: No backend can run it here.
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
        from ..backends import choose
        from ..bundle.golden import self_test
        from .trust import Runner, open_model

        opened = open_model(model, public_key)
        bundle = opened.bundle
        self.manifest = bundle.manifest
        self.sha256 = hashlib.sha256(bundle.manifest_bytes).hexdigest()
        if self.manifest.output.kind not in (*FIELDS, RIGID, "descriptor"):
            raise BackendUnavailableError(
                "MMREG_E_MODEL_KIND",
                "This version serves fields, descriptors and rigid motions; the bundle "
                f"{self.manifest.name!r} gives {self.manifest.output.kind!r}.",
            )
        chosen, _ = choose(device, backend, precision)
        runner = Runner(chosen.name, device, precision, threads)
        if self.manifest.output.kind == RIGID:
            queue = None  # its windows are made on the host
        self._sessions: list[Session] = []
        self._facts = [bundle.model(precision, n).facts for n in range(len(self.manifest.stages))]
        self._times = [NetworkTime() for _ in self._facts]
        self._work: dict[tuple[int, Extents], int] = {}
        self._queue = queue
        self._grids: set[tuple[int, ...]] = set()  # shapes on which the network is known to fit
        for stage in range(len(self.manifest.stages)):
            data = opened.proven(runner, stage)
            self._sessions.append(
                chosen.load(data, precision=precision, threads=threads, device=device, queue=queue)
            )
            self_test(bundle, functools.partial(self._infer, stage), precision, stage)
        self._session = self._sessions[0]
        self._lock = threading.Lock()  # a session takes one call at a time

    @property
    def runtime_info(self) -> Mapping[str, str]:
        """Backend, version, device and precision that the network runs with."""
        return self._session.runtime_info

    def about(self) -> dict[str, Any]:
        """Return name, version and method of the bundle, and what its network runs with."""
        m = self.manifest
        return {"bundle": f"{m.name} {m.version}", "method": m.method, **self.runtime_info}

    @property
    def graph_capturable(self) -> bool:
        """True if it can be part of a CUDA graph."""
        return self._session.graph_capturable

    def engine_spec(self, fixed: Grid, centre_mm: Float64 | None = None) -> EngineSpec:
        """Return the network as the native pipeline runs it, for scans on one fixed grid.

        Args:
            fixed: Grid of the fixed scan.
            centre_mm: ``(3,)``, RAS+ mm: centre of the window of a rigid network; None is that of the grid.

        Raises:
            GeometryError: The network's grid would be too large.
        """
        import mmreg_rt._native as _native

        output, spec = self.manifest.output, self.manifest.preprocess
        grid = self._grid_for(fixed, centre_mm)
        self._refuse_too_large(grid)
        stages = range(len(self.manifest.stages) if output.kind == RIGID else 1)
        run = {"descriptor": self._describe, RIGID: self._predict_motion}.get(output.kind, self.predict)
        return _native.EngineSpec(
            output=output.kind,
            shape=grid.shape,
            affine=np.ascontiguousarray(grid.affine),
            intensities=(spec.intensity, spec.low, spec.high),
            run=run,
            dims=self.manifest.dims,
            factor=output.factor,
            integration_steps=output.integration_steps,
            planes=output.channels,
            expected_s=[self.expected_s(grid.shape, stage) for stage in stages],
            on_device=self._session.on_device,
        )

    def _grid_for(self, fixed: Grid, centre_mm: Float64 | None) -> Grid:
        rigid, spec = self.manifest.rigid, self.manifest.preprocess
        if rigid is None:
            return network_grid(fixed, spec)
        centre = fixed.centre_mm if centre_mm is None else centre_mm
        return window_grid(fixed, spec, centre, rigid.size, rigid.spacing_mm)

    def _refuse_too_large(self, grid: Grid) -> None:
        if grid.shape not in self._grids:
            check_grid(self.manifest, self._facts[0], grid.shape, on_host=not self._session.on_device)
            self._grids.add(grid.shape)

    def expected_s(self, shape: Extents, stage: int = 0) -> float:
        """Return how long the network will take for one pair on a grid of this shape, in s."""
        prepared = self._sessions[stage].buffers_for(self._axes(shape)) is not None
        images = 2 if self.manifest.output.kind == "descriptor" else 1  # one after the other
        return images * self._times[stage].expected_s(shape, self._work_on(stage, shape), prepared)

    def _work_on(self, stage: int, shape: Extents) -> int:
        """Return the multiply-adds for images of this shape."""
        key = stage, shape
        if key not in self._work:
            any_size = Bounds(1 << 60, 1 << 60)
            self._work[key] = at_size(self.manifest, self._facts[stage], shape, any_size).work
        return self._work[key]

    def predict(self, fixed: Any, moving: Any, field: Any, stop: Stop | None = None) -> bool:
        """Run the network on two images and fill a field.

        Each is an array or, on a device, an address with a shape.

        Args:
            fixed: ``(D, H, W)`` float32.
            moving: ``(D, H, W)`` float32.
            field: ``(C, d, h, w)`` float32, filled.
            stop: Called during the run. If it returns True, the run ends as soon as the library can, and the
                content of ``field`` is undefined.

        Returns:
            True if ``stop`` ended the run.
        """
        return self._run({"fixed": fixed, "moving": moving}, field, stop)

    def predict_motion(
        self, stage: int, fixed: Float32, moving: Float32, stop: Stop | None = None
    ) -> Float64 | None:
        """Return the six numbers that a rigid stage outputs for two images of its window.

        Args:
            stage: Index of the network.
            fixed: ``(D, H, W)`` float32 in [0, 1].
            moving: ``(D, H, W)`` float32 in [0, 1].
            stop: As in ``predict``.

        Returns:
            ``(6,)`` float64, mm and degrees, as ``geometry.rigid_motion`` defines them; None if ``stop``
            ended the run.

        Raises:
            RegistrationError: The numbers are not finite.
        """
        inputs = {"fixed": fixed[None, None], "moving": moving[None, None]}
        try:
            with self._exclusive(stop):
                output = self._infer(stage, inputs, stop)
                numbers: Float64 = np.array(output, np.float64).reshape(-1)
        except Stopped as stopped:
            _raise_what_stopped(stopped)
            return None
        self._refuse_unusable(numbers, 6)
        return numbers

    def _predict_motion(
        self, stage: int, fixed: Float32, moving: Float32, numbers: Float64, stop: Stop | None = None
    ) -> bool:
        """Fill ``numbers`` with the output of ``predict_motion``; return True if the run was stopped."""
        motion = self.predict_motion(stage, fixed, moving, stop)
        if motion is None:
            return True
        numbers[:] = motion
        return False

    def buffers_for(self, shape: tuple[int, ...]) -> object:
        """Return the buffers that the session keeps for images ``(D, H, W)`` of this shape."""
        return self._session.buffers_for(self._axes(shape))

    def _describe(self, _side: str, image: Any, planes: Any, stop: Stop | None = None) -> bool:
        return self._run({"image": image}, planes, stop)

    def _run(self, images: Mapping[str, Any], into: Any, stop: Stop | None) -> bool:
        """Run the network on images and fill ``into``; return True if ``stop`` ended the run."""
        try:
            with self._exclusive(stop):
                if self._session.on_device:
                    self._run_on_device(images, into, stop is not None)
                else:
                    self._run_on_host(images, into, stop)
        except Stopped as stopped:
            _raise_what_stopped(stopped)
            return True
        return False

    @contextlib.contextmanager
    def _exclusive(self, stop: Stop | None) -> Iterator[None]:
        """Wait until no other thread runs the network, or until ``stop`` returns True."""
        while not self._lock.acquire(timeout=-1 if stop is None else POLL_S):
            if stop is not None:
                ask_first(stop)
        try:
            yield
        finally:
            self._lock.release()

    def _infer(self, stage: int, inputs: Mapping[str, Float32], stop: Stop | None = None) -> Float32:
        """Run the session and record its run time."""
        start = time.perf_counter()
        output = self._sessions[stage].infer(inputs, stop)
        self._note(stage, next(iter(inputs.values())).shape, start)
        return output

    def _note(self, stage: int, axes: tuple[int, ...], start: float) -> None:
        """Record the run time for inputs of this shape, since ``start``."""
        run_s = time.perf_counter() - start
        prepare_s = self._sessions[stage].prepare_s
        shape = (1,) * (3 - self.manifest.dims) + tuple(axes[2:])
        self._times[stage].note(shape, self._work_on(stage, shape), run_s - prepare_s, prepare_s)

    def _run_on_device(self, images: Mapping[str, Any], into: Any, timed: bool) -> None:
        """Run the network on a device, where it cannot be stopped. A run in a CUDA graph is not timed."""
        axes = self._axes(tuple(next(iter(images.values()))[1]))
        start = time.perf_counter()
        self._session.infer_on_device(
            {name: at[0] for name, at in images.items()}, axes, into[0], int(np.prod(into[1]))
        )
        if timed and self._queue is not None:
            self._queue.download(np.empty(4, np.uint8), into[0])
            self._note(0, axes, start)

    def _axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, 1, *shape[3 - self.manifest.dims :])

    def _run_on_host(self, images: Mapping[str, Float32], into: Float32, stop: Stop | None) -> None:
        """Run the network on images ``(D, H, W)`` and fill ``into``, ``(C, d, h, w)``."""
        axes = self._axes(next(iter(images.values())).shape)
        output = self._infer(0, {name: image.reshape(axes) for name, image in images.items()}, stop)
        self._refuse_unusable(output, into.size)
        into[...] = output.reshape(into.shape)

    def _refuse_unusable(self, output: Array, size: int) -> None:
        wrong = what_is_wrong(output, size, self.manifest.output.kind)
        if wrong is not None:
            raise RegistrationError(
                "MMREG_E_MODEL_OUTPUT",
                f"The network {self.manifest.name!r} is at fault: it {wrong}. Register without a model, or "
                "export it again.",
            )

    def close(self) -> None:
        """Release the memory of the sessions."""
        for session in self._sessions:
            session.close()


def _raise_what_stopped(stopped: Stopped) -> None:
    """Raise the error of the caller's own ``stop``, if that is what ended the run."""
    if stopped.by is not None:
        raise stopped.by
