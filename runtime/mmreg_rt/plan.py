"""Plans: the network path for pairs on known grids, prepared once and run as often as scans arrive.

For devices that register every few milliseconds: before the first scan all memory is allocated, the grids are
checked and the network is warm. A run is preprocessing, network, integration and warp. On a GPU the steps are
CUDA graphs on one stream.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from . import arguments
from .device.array import DeviceArray, address_of, is_on_device
from .errors import DeviceError, InputError, RegistrationError
from .input_validation import check_extremes
from .process.gc_pause import without_collection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._native import DeviceQueue
    from .device.array import ForeignArray
    from .device.device import Device
    from .geometry import Array, Float32, Float64, Grid
    from .network import Network

Work = Callable[[], object]
Returned = TypeVar("Returned")
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class PlanResult:
    """Result of one run. The arrays belong to the plan and are valid until its next run, in any thread.

    Copy what must outlive it, and give each thread a plan of its own.

    ``displacement_mm``: ``(3, D, H, W)`` float32 on the fixed grid, RAS+ mm: ``p + displacement(p)`` is the
    moving point. ``warped``: ``(D, H, W)`` float32, the moving scan on that grid; ``valid``: uint8, 1 where
    it was sampled. NumPy arrays, or ``DeviceArray`` for a plan on a device. ``folds_removed``: number of
    voxels of the network's field that would have folded, and were smoothed until none did.
    """

    displacement_mm: Float32 | DeviceArray
    warped: Float32 | DeviceArray
    valid: NDArray[np.uint8] | DeviceArray
    folds_removed: int


class Plan:
    """One network prepared for one pair of grids; created by ``Registrar.plan``.

    It runs one pair at a time; a second thread waits, and then overwrites the results.

    Args:
        network: A network that outputs a field.
        fixed: Grid of the fixed scans.
        moving: Grid of the moving scans.
        device: Where it runs, with the lock that guards its queue; None is the CPU.
        alignment: ``(4, 4)``, fixed to moving points, RAS+ mm, applied before the network; None trusts the
            headers.
        threads: CPU threads; 0 uses all usable processors.
        outside: The value of ``warped`` outside of the moving scan; None is the lowest value of each scan.
        warnings: Warnings about grids at the edge of what the network was made for.

    Example:
        >>> from mmreg_rt import Registrar
        >>> from mmreg_rt.phantom import phantom
        >>> pair = phantom(0)
        >>> plan = Registrar("synth").plan(pair.fixed.grid, pair.moving.grid)
        >>> plan(pair.fixed.as_float32(), pair.moving.as_float32()).warped.shape == pair.fixed.grid.shape
        True
    """

    def __init__(
        self,
        network: Network,
        fixed: Grid,
        moving: Grid,
        device: Device | None = None,
        alignment: Float64 | None = None,
        threads: int = 0,
        outside: float | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        import mmreg_rt._native as _native

        self.fixed_grid, self.moving_grid, self.warnings = fixed, moving, warnings
        self._network, self._queue = network, None if device is None else device.queue
        self._whole: Work | None = None  # all in one graph
        self._around: tuple[Work, Work] | None = None  # what comes before the network, and after it
        self._network_graph: Work | None = None
        self._readers: set[int] = set()
        # What another thread puts on the queue while a graph is captured would become part of it.
        self._lock = threading.Lock() if device is None else device.lock
        with self._lock:
            self._steps = _native.Plan(
                network.engine_spec(fixed),
                fixed.shape,
                np.ascontiguousarray(fixed.affine),
                moving.shape,
                np.ascontiguousarray(moving.affine),
                np.eye(4) if alignment is None else np.ascontiguousarray(alignment, np.float64),
                self._queue,
                threads,
                outside,
            )
            self._warm_up()

    def __reduce__(self) -> str:
        raise InputError(
            "MMREG_E_PICKLE",
            "A plan cannot be pickled: it is memory and a loaded model of this process. Pickle its "
            "Registrar, and make the plan in the other process.",
        )

    @property
    def graphs(self) -> int:
        """How many CUDA graphs a run launches: 1 with the network in it, or 2 around it; 0 on a CPU."""
        return 0 if self._queue is None else (1 if self._whole else 2)

    def about(self) -> dict[str, str | int]:
        """Return what really runs: bundle, method, backend, device, precision and number of graphs."""
        return {**self._network.about(), "graphs": str(self.graphs)}

    def __call__(self, fixed: Array | ForeignArray, moving: Array | ForeignArray) -> PlanResult:
        """Register ``moving`` to ``fixed``.

        Args:
            fixed: ``(D, H, W)`` float32 of the fixed grid, C-order, in the intensities of the scan: a NumPy
                array, or one of the plan's device (DLPack, ``__cuda_array_interface__``).
            moving: The same of the moving grid.

        Raises:
            InputError: An array has another shape or type.
            IntensityError: A scan is constant or not finite.
            DeviceError: An array lies on another device, or the device failed.
            RegistrationError: What the network gave cannot be used.
        """
        with self._lock:
            self._take_both(fixed, moving)
            self._run()
            return self._checked()

    def stage_seconds(self, fixed: Array | ForeignArray, moving: Array | ForeignArray) -> dict[str, float]:
        """One run that is waited for after each stage: the wall seconds of each.

        Stages: ``copy in`` to the plan's own memory, ``preprocess``, ``network``, ``integrate and warp`` with
        the checks and the removal of folds, and of a plan on a device ``copy out``: all results to the host,
        which a call leaves to the caller. Together they take longer than a call, which waits once.

        Args:
            fixed: As of a call.
            moving: As of a call.

        Raises:
            MmregError: As a call.
        """
        with self._lock:
            preprocess, infer, integrate = self._stage_work()

            def finish() -> PlanResult:
                integrate()
                return self._checked()

            clock = _Clock(self._steps.facts)
            clock("copy in", lambda: self._take_both(fixed, moving))
            clock("preprocess", preprocess)
            clock("network", infer)
            result = clock("integrate and warp", finish)
            if self._queue is not None:
                results = result.displacement_mm, result.warped, result.valid
                clock("copy out", lambda: [r.to_numpy() for r in results if isinstance(r, DeviceArray)])
            return clock.seconds

    def _stage_work(self) -> tuple[Work, Work, Work]:
        """Return the work of each stage; on a device as graphs, captured on first use."""
        if self._around is None:
            self._around = self._graphs_around()
        if not self._whole:
            return self._around[0], self._infer, self._around[1]
        if self._network_graph is None:
            self._network_graph = self._graph(self._infer)
        return self._around[0], self._network_graph, self._around[1]

    def _take_both(self, fixed: Array | ForeignArray, moving: Array | ForeignArray) -> None:
        if self._queue is not None:
            for stream in self._readers:  # who may still read the results of before
                self._queue.wait_for(stream)
            self._readers.clear()
        self._take("fixed", fixed, self.fixed_grid.shape)
        self._take("moving", moving, self.moving_grid.shape)

    def _take(self, name: str, scan: Array | ForeignArray, shape: tuple[int, ...]) -> None:
        own = getattr(self._steps, name)
        if is_on_device(scan):
            if self._queue is None:
                raise InputError(
                    "MMREG_E_PLAN_SCAN",
                    f"The {name} scan lies on a device, and this plan is one of the CPU. Copy it to the "
                    "host, or take Registrar(device='cuda').",
                )
            self._queue.copy(own[0], address_of(scan, shape, self._queue, name), 4 * int(np.prod(shape)))
            return
        array = arguments.array(scan, f"The {name} scan", "MMREG_E_PLAN_SCAN")
        if array.shape != shape or array.dtype != np.float32:
            raise InputError(
                "MMREG_E_PLAN_SCAN",
                f"The {name} scan must be float32 of shape {shape}, as this plan was made for; found "
                f"{array.dtype} of shape {array.shape}. Convert it, or make a plan for its grid.",
            )
        if self._queue is None:
            np.copyto(own, array)
        else:
            self._stage(name, own[0], array)

    def _stage(self, name: str, address: int, array: Array) -> None:
        """Through pinned memory, which the device copies from by itself."""
        assert self._queue is not None
        np.copyto(self._pinned[name], array)
        self._queue.upload(address, self._pinned[name])

    def _warm_up(self) -> None:
        """Run once on empty scans, so that every library has allocated its memory, then capture graphs."""
        queue, steps = self._queue, self._steps
        if queue is not None:
            self._pinned = {name: _pinned(queue, getattr(steps, name)[1]) for name in ("fixed", "moving")}
            for name, empty in self._pinned.items():
                queue.upload(getattr(steps, name)[0], empty)
        steps.preprocess()
        self._infer()
        steps.finish()
        steps.facts()  # waits: what was taken at first is there
        if queue is None:
            self._around = steps.preprocess, steps.finish
            return
        self._held = self._network.buffers_for(steps.seen_fixed[1])  # its memory is in the graph
        if self._network.graph_capturable:
            self._whole = self._graph_of_all()
        if not self._whole:
            self._around = self._graphs_around()

    def _graph_of_all(self) -> Work | None:
        """None where the network cannot be part of a graph after all."""

        def work() -> None:
            self._steps.preprocess()
            self._infer()
            self._steps.finish()

        try:
            return self._graph(work)
        except DeviceError:
            return None

    def _graphs_around(self) -> tuple[Work, Work]:
        return self._graph(self._steps.preprocess), self._graph(self._steps.finish)

    def _graph(self, work: Work) -> Work:
        queue = self._queue
        assert queue is not None
        with without_collection():  # what it finalises may wait for the device, which no graph can
            graph = queue.graph(work)
        return lambda: queue.launch(graph)

    def _run(self) -> None:
        if self._whole:
            self._whole()
            return
        assert self._around is not None
        self._around[0]()
        self._infer()
        self._around[1]()

    def _infer(self) -> None:
        steps = self._steps
        self._network.predict(steps.seen_fixed, steps.seen_moving, steps.field)

    def _checked(self) -> PlanResult:
        facts = self._steps.facts()
        for name, grid in (("fixed", self.fixed_grid), ("moving", self.moving_grid)):
            smallest, largest, not_finite = facts[name]
            check_extremes(smallest, largest, not_finite, grid.size, name)
        if facts["folds"] and self._steps.remove_folds():
            raise RegistrationError(
                "MMREG_E_MODEL_OUTPUT",
                f"The field of the network {self._network.manifest.name!r} folds in {facts['folds']} voxels, "
                "or is not finite there, and smoothing does not help. Register without a model, or export "
                "it again.",
            )
        return PlanResult(
            self._out("displacement_mm", np.float32),
            self._out("warped", np.float32),
            self._out("valid", np.uint8),
            facts["folds"],
        )

    def _out(self, name: str, dtype: type[Scalar]) -> NDArray[Scalar] | DeviceArray:
        own = getattr(self._steps, name)
        if self._queue is None:
            host: NDArray[Scalar] = own
            return host
        return DeviceArray(self._queue, own[0], tuple(own[1]), np.dtype(dtype), self._steps, self._readers)


def _pinned(queue: DeviceQueue, shape: tuple[int, ...]) -> Float32:
    """Return an empty scan in page-locked host memory, from which a device copies asynchronously."""
    made: Float32 = queue.pinned(4 * int(np.prod(shape))).view(np.float32).reshape(shape)
    made.fill(0)
    return made


class _Clock:
    """Times work, and what it leaves on a device to do."""

    def __init__(self, wait: Work) -> None:
        self.seconds: dict[str, float] = {}
        self._wait = wait

    def __call__(self, stage: str, work: Callable[[], Returned]) -> Returned:
        self._wait()
        start = time.perf_counter()
        found = work()
        self._wait()
        self.seconds[stage] = time.perf_counter() - start
        return found
