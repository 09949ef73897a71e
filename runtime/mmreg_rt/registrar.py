"""Registrar: two scans in, one transform out. The main path of the package; read this first.

``register`` reads, checks, hands both scans to the native pipeline (``cpp_ext/pipeline``), and wraps
what comes back. The stages, the clock and the deadline live in the pipeline.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments
from .deadline import Deadline
from .device.device import Device
from .errors import BackendUnavailableError, CancelledError, InputError
from .geometry import Volume, checked_outside
from .input_validation import CheckedPair, check_pair
from .process import forks, libraries, memory, threads
from .results import Registration, inverse_of, told
from .transform import DisplacementField

if TYPE_CHECKING:
    from .device.result import DeviceRegistration
    from .geometry import Array, Float64, Grid
    from .network import Network
    from .plan import Plan

Progress = Callable[[str, float], bool | None]
KEPT_PLANS = 2  # each holds the memory of a pair
MOST_THREADS = threads.MAX_THREADS
ScanLike = Any  # a path, a nibabel image, a Volume, or (array, affine)


class Registrar:
    """Brings moving scans onto fixed ones; one object registers as many pairs as you like, from any thread.

    It can be pickled, and so sent to pools of processes: the other process makes one of the same
    arguments, and loads the model again. After a fork the copy does so by itself; a process that was forked
    by hand from one that has used ONNX Runtime must end by ``os._exit``, as those of multiprocessing do.

    Args:
        model: A bundle with a network: its path, or the name of a built-in one. None is the native solver,
            which needs no weights.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``: where the solver and the network run. Nothing runs
            elsewhere instead.
        align: The linear part to look for before the deformation. ``"none"`` trusts the headers. A model that
            gives a rigid transform takes its place.
        deform: Look for a deformation too. With a model that gives a rigid transform there is none.
        threads: Threads of the native code; None is as many as this process may keep busy: its processors,
            or fewer where its container grants less (``docker run --cpus``). The result is the same to the
            bit for any number. Where the system gives fewer, fewer are used, with a warning.
        same_space: The headers of both scans speak of one space, so fields of view that do not overlap
            are an error. False: their origins say nothing, and the alignment starts from the content.
        refine: Let the solver go on from what the network found, within the deadline. None: it does after a
            network that gives a field, if the bundle does not say otherwise, and leaves a rigid transform as
            it is. A network that gives descriptors always feeds the solver.
        backend: What runs the network: ``"openvino"``, ``"onnxruntime"``, or None for the faster one that is
            installed. It is chosen here, once.
        precision: Of the network: ``"fp32"``, ``"bf16"`` (OpenVINO on CPUs that have it), or one that the
            bundle has a file for.
        memory_limit_bytes: The most device memory that a registration may take; None is what is free. A pair
            that needs more is refused before anything runs.
        stream: Of the device, to work on: a handle, or a stream of torch, CuPy, PyCUDA or cuda-core; None
            makes one. With PyCUDA its context must be the current one of the calling thread.
        progress: Called with the stage and its share done; returning True cancels the registration.
        public_key: Of Ed25519, 32 raw bytes or PEM: the model must be signed with its private key. A model
            that is not built in and not signed so is first loaded and tested in a process of its own.

    Raises:
        BackendUnavailableError: The device cannot be used, or no backend can run the model here.
        DeviceError: The device has no memory left, or was lost.
        BundleError: The model cannot be trusted, or does not pass its own test.
        InputError: An argument is none of the values above, or there is no such model.

    Example:
        >>> result = Registrar().register("ct.nii.gz", "mr.nii.gz")
        >>> write(result.warped, "mr_on_ct.nii.gz")
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        device: str = "cpu",
        align: str = "affine",
        deform: bool = True,
        threads: int | None = None,
        same_space: bool = True,
        refine: bool | None = None,
        backend: str | None = None,
        precision: str = "fp32",
        memory_limit_bytes: int | None = None,
        stream: object = None,
        progress: Progress | None = None,
        public_key: bytes | None = None,
    ) -> None:
        _check_options(align, deform, same_space, refine, progress)
        threads = _threads(threads)
        arguments.text(device, "device")
        self._arguments: dict[str, Any] = {
            "model": model, "device": device, "align": align, "deform": deform, "threads": threads,
            "same_space": same_space, "refine": refine, "backend": backend, "precision": precision,
            "memory_limit_bytes": memory_limit_bytes, "stream": stream, "progress": progress,
            "public_key": public_key,
        }  # fmt: skip
        self._device = None if device == "cpu" else Device(device, memory_limit_bytes, stream)
        self._align = align
        self._deform = bool(deform)
        self._threads = threads or 0
        self._same_space = bool(same_space)
        self._network = self._loaded()
        self._rigid = self._network is not None and self._network.manifest.rigid is not None
        if refine is None:
            refine = self._network is None or self._network.manifest.output.refined
        self._refine = bool(refine)
        self._plans: OrderedDict[object, Plan] = OrderedDict()
        self._planning = threading.Lock()
        self._progress = progress
        self._clock: Callable[[], float] | None = None  # for tests: what deadlines are measured by
        self._forked = False
        forks.watch(self)

    def _loaded(self) -> Network | None:
        """The model of the arguments, loaded and tested."""
        given = self._arguments
        if given["model"] is None:
            return None
        from .network import Network

        return Network(
            arguments.path(given["model"], "model", "MMREG_E_MODEL"),
            device=given["device"],
            backend=arguments.or_none(arguments.text)(given["backend"], "backend"),
            precision=arguments.text(given["precision"], "precision"),
            threads=self._threads,
            queue=None if self._device is None else self._device.queue,
            public_key=given["public_key"],
        )

    def after_fork(self) -> None:
        """Leave to the other process what is its own; the model is loaded again when it is wanted."""
        self._forked = True
        self._planning = threading.Lock()
        forks.abandon((self._network, self._device, dict(self._plans)))
        self._plans = OrderedDict()

    def _set_up_after_fork(self) -> None:
        if not self._forked:
            return
        if self._device is not None:
            raise BackendUnavailableError(
                "MMREG_E_DEVICE",
                f"{self._device.name} cannot be used by a process that was forked from one that used it. "
                "Start processes by multiprocessing.get_context('spawn').",
            )
        with self._planning:
            if self._forked:
                self._network, self._forked = self._loaded(), False

    def __reduce__(self) -> tuple[Any, ...]:
        given = dict(self._arguments)
        if given["stream"] is not None:
            raise _not_picklable("a stream, which belongs to this process")
        try:
            pickle.dumps(given["progress"])
        except Exception as reason:
            raise _not_picklable(f"a progress callback that cannot be ({reason})") from reason
        if given["model"] is not None and os.path.exists(given["model"]):
            given["model"] = os.path.abspath(given["model"])
        return _of_arguments, (type(self), given)

    def __copy__(self) -> Registrar:
        return type(self)(**self._arguments)

    def __deepcopy__(self, _: object) -> Registrar:
        return type(self)(**self._arguments)

    def register(
        self,
        fixed: ScanLike,
        moving: ScanLike,
        *,
        fixed_mask: ScanLike | None = None,
        moving_mask: ScanLike | None = None,
        deadline_ms: float | None = None,
        outside: float | None = None,
    ) -> Registration:
        """Find the transform that brings ``moving`` onto ``fixed``: ``warped(p) = moving(p + u(p))``.

        Args:
            fixed: The scan to match: a path, a nibabel image, a ``Volume``, or ``(array, affine)`` with
                an array ``(D, H, W)`` or ``(H, W)`` and the affine of its indices to RAS+ mm. Its grid
                is that of the result.
            moving: The scan to bring over. Grid and modality are free; the fields of view must overlap.
            fixed_mask: Where the fixed scan counts: not 0. On the grid of the fixed scan. A model that gives
                a rigid transform looks around its centre; without a mask, around the centre of the scan.
            moving_mask: The same for the moving scan. With both, such a model starts with their centres on
                each other.
            deadline_ms: Time for the whole call, reading and checking included, in ms. The best that is
                finished by then is returned, marked ``degraded``; figures of quality for which there was no
                time are None, and an inverse is then computed when it is first used. A network that would end
                too late, by how long it took before, is not begun, and one that still runs is ended. Reading,
                checking and sampling the moving scan once are always done, whatever they take. None: as long
                as it takes.
            outside: The value of ``warped`` where it would come from outside of the moving scan; NaN is one.
                None is the lowest value of the moving scan, the air of a CT. The transform and the figures of
                quality do not depend on it.

        Raises:
            InputError: A file, an array or a mask cannot be used; ``outside`` is infinite or no number.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are no numbers.
            OutOfMemoryError: The memory of this process does not suffice; the scans can be smaller.
            CancelledError: ``progress`` returned True.
        """
        deadline = Deadline(deadline_ms, self._clock)
        outside = checked_outside(outside)
        self._set_up_after_fork()
        libraries.hold_scratch()
        with memory.translate_shortage():
            return self._register(fixed, moving, fixed_mask, moving_mask, deadline, outside)

    def _register(
        self,
        fixed: ScanLike,
        moving: ScanLike,
        fixed_mask: ScanLike | None,
        moving_mask: ScanLike | None,
        deadline: Deadline,
        outside: float | None,
    ) -> Registration:
        from .io import as_volume

        seconds: dict[str, float] = {}
        with _Lap(seconds, "read"):
            scans = [as_volume(scan, name) for scan, name in ((fixed, "fixed"), (moving, "moving"))]
            masks = [
                None if mask is None else as_volume(mask, name)
                for mask, name in ((fixed_mask, "fixed_mask"), (moving_mask, "moving_mask"))
            ]
            if self._device is None:
                memory.check_room(scans[0].grid.shape, scans[1].grid.shape, self._deform)
        with _Lap(seconds, "check"):
            pair = check_pair(scans[0], scans[1], masks[0], masks[1], same_space=self._same_space)
        warnings, engine = pair.warnings, None
        if self._network is not None:
            warnings += _fitness(self._network, pair.fixed.grid, pair.moving.grid)
            if self._rigid:
                return self._register_rigidly(pair, deadline, outside, seconds, warnings)
            engine = self._network.described(pair.fixed.grid)
        found = self._native(
            (pair.fixed.grid, pair.moving.grid),
            (pair.fixed.as_float32(), pair.moving.as_float32()),
            (pair.fixed_mask, pair.moving_mask),
            deadline,
            engine,
            outside=outside,
        )
        return self._wrap(pair, found, seconds, warnings)

    def _register_rigidly(
        self,
        pair: CheckedPair,
        deadline: Deadline,
        outside: float | None,
        seconds: dict[str, float],
        warnings: tuple[str, ...],
    ) -> Registration:
        from .rigid_cascade import Request, register_rigidly

        assert self._network is not None
        request = Request(pair, self._same_space, self._refine, deadline, self._progress, outside)
        found = register_rigidly(self._network, request, self._native)
        return dataclasses.replace(
            found, seconds={**seconds, **found.seconds}, warnings=(*warnings, *found.warnings)
        )

    def register_on_device(
        self,
        fixed: Any,
        fixed_affine: Array,
        moving: Any,
        moving_affine: Array,
        *,
        deadline_ms: float | None = None,
        outside: float | None = None,
    ) -> DeviceRegistration:
        """The same for scans in the memory of this registrar's device; what is found stays there.

        Args:
            fixed: ``(D, H, W)`` float32, C-order, on the device: of torch, CuPy or JAX (DLPack), or of PyCUDA
                or Numba (``__cuda_array_interface__``). Read where it lies, after what its stream still does.
            fixed_affine: ``(4, 4)``, array indices to RAS+ mm.
            moving: The same of the moving scan.
            moving_affine: The same of the moving scan.
            deadline_ms: As in ``register``.
            outside: As in ``register``.

        Raises:
            InputError: An array is not as above; this registrar has no device.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are no numbers.
            DeviceError: An array lies on another device, or there is not enough memory.
        """
        from .device.result import DeviceScan, check_device_pair, device_registration

        device = self._device
        if device is None:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                "Scans on a device need a registrar of that device: Registrar(device='cuda').",
            )
        if self._rigid:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                "A model that gives a rigid transform takes scans of the host. Use register.",
            )
        deadline = Deadline(deadline_ms, self._clock)
        outside = checked_outside(outside)
        self._set_up_after_fork()
        seconds: dict[str, float] = {}
        with device.lock, _Lap(seconds, "check"):
            pair = (
                DeviceScan.of(fixed, fixed_affine, device.queue, "fixed"),
                DeviceScan.of(moving, moving_affine, device.queue, "moving"),
            )
            warnings = check_device_pair(*pair, same_space=self._same_space)
        grids = pair[0].grid, pair[1].grid
        engine = None
        if self._network is not None:
            warnings += _fitness(self._network, *grids)
            engine = self._network.described(grids[0])
        found = self._native(
            grids,
            (pair[0].image, pair[1].image),
            (None, None),
            deadline,
            engine,
            stay=True,
            outside=outside,
        )
        return device_registration(found, *grids, device.queue, seconds, warnings, self._align)

    def plan(
        self,
        fixed: Grid,
        moving: Grid,
        alignment: Float64 | None = None,
        outside: float | None = None,
    ) -> Plan:
        """The network's way alone, prepared for scans on two grids: for those who register every few ms.

        No alignment is looked for and nothing is refined, whatever this object was told; the figures of
        quality are left out. The last plans are kept: the same grids again give the same plan.

        Args:
            fixed: Grid of the fixed scans.
            moving: Grid of the moving scans.
            alignment: ``(4, 4)``, fixed mm to moving mm, that holds before the network; None trusts the
                headers.
            outside: As in ``register``; None is the lowest value of each moving scan.

        Raises:
            InputError: There is no model, it gives no field, or the grids are not what it was made for.
            TransformError: The alignment is not affine, not finite or not invertible.
            GeometryError: The grids cannot be registered.
            DeviceError: There is not enough memory on the device.
        """
        from .plan import Plan
        from .transform import Affine

        arguments.a("Grid")(fixed, "fixed"), arguments.a("Grid")(moving, "moving")
        outside = checked_outside(outside)
        self._set_up_after_fork()
        network, warnings = self._field_network(fixed, moving)
        matrix = None if alignment is None else Affine(alignment).matrix
        key = fixed, moving, None if matrix is None else matrix.tobytes(), repr(outside)  # NaN is not NaN
        with self._planning:
            if key not in self._plans:
                while len(self._plans) >= KEPT_PLANS:
                    self._plans.popitem(last=False)
                device = self._device
                if device is not None:
                    device.check_room(fixed.shape, moving.shape, network.described(fixed))
                queue, alone = (None, None) if device is None else (device.queue, device.lock)
                self._plans[key] = Plan(
                    network, fixed, moving, matrix, queue, alone, self._threads, warnings, outside
                )
            self._plans.move_to_end(key)
            return self._plans[key]

    def _field_network(self, fixed: Grid, moving: Grid) -> tuple[Network, tuple[str, ...]]:
        """That of this object, and warnings about what it was made for."""
        from .bundle.manifest import FIELDS
        from .input_validation import check_grids

        network = self._network
        if network is None or network.manifest.output.kind not in FIELDS:
            found = "no model"
            if network is not None:
                found = f"{network.manifest.name!r}, which gives {network.manifest.output.kind!r}"
            raise InputError(
                "MMREG_E_PLAN_MODEL",
                f"A plan needs a model that gives a displacement; this registrar has {found}. Take another, "
                "such as Registrar('synth').",
            )
        check_grids(fixed, moving)
        return network, _fitness(network, fixed, moving)

    def _native(
        self,
        grids: tuple[Grid, Grid],
        scans: tuple[Any, Any],
        masks: tuple[Array | None, Array | None],
        deadline: Deadline,
        engine: dict[str, Any] | None,
        stay: bool = False,
        align: str | None = None,
        deform: bool | None = None,
        start: Float64 | None = None,
        outside: float | None = None,
    ) -> dict[str, Any]:
        """The native pipeline; ``align`` and ``deform`` in place of what this object was told.

        ``start`` is a transform, fixed to moving points, that stands already; for ``align="none"``.
        """
        import mmreg_rt._native as _native

        progress, device = self._progress, self._device
        if device is not None:
            device.check_room(grids[0].shape, grids[1].shape, engine)
        with contextlib.nullcontext() if device is None else device.lock, self._told_of_memory(grids):
            found: dict[str, Any] = _native.register(
                scans[0],
                np.ascontiguousarray(grids[0].affine),
                scans[1],
                np.ascontiguousarray(grids[1].affine),
                _bytes(masks[0]),
                _bytes(masks[1]),
                self._align if align is None else align,
                self._deform if deform is None else deform,
                deadline.native_s(),
                None if progress is None else lambda stage, share: bool(progress(stage, share)),
                self._threads,
                network=engine,
                refine=self._refine,
                device=None if device is None else device.queue,
                stay=stay,
                start=start,
                now=deadline.clock,
                outside=outside,
            )
        if found["cancelled"]:
            raise CancelledError("MMREG_E_CANCELLED", "The progress callback cancelled the registration.")
        if self._network is not None:
            found["settings"]["network"] = self._network.about()
        return found

    @contextlib.contextmanager
    def _told_of_memory(self, grids: tuple[Grid, Grid]) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            raise memory.shortage(grids[0].shape, grids[1].shape, self._deform) from error

    def _wrap(
        self,
        pair: CheckedPair,
        found: dict[str, Any],
        seconds: dict[str, float],
        warnings: tuple[str, ...],
    ) -> Registration:
        grid, u = pair.fixed.grid, found["deformation_mm"]
        deformation = None if u is None else DisplacementField(u, grid)
        return Registration(
            warped=Volume(found["warped"], grid, pair.fixed.source),
            transform=DisplacementField(found["displacement_mm"], grid),
            inverse=inverse_of(found, deformation, pair.moving.grid),
            deformation=deformation,
            **told(found, seconds, (*warnings, *self._missing_threads(found)), self._align),
        )

    def _missing_threads(self, found: dict[str, Any]) -> tuple[str, ...]:
        wanted = self._threads or threads.usable()
        if found["threads"] is None or found["threads"] >= wanted:
            return ()
        return (
            f"{found['threads']} of {wanted} threads were used: the system gives no more (limits of "
            "processes, of address space or of the container)",
        )


class _Lap:
    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds, self._stage = seconds, stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._stage] = time.perf_counter() - self._start


def _fitness(network: Network, fixed: Grid, moving: Grid) -> tuple[str, ...]:
    """Warnings about scans at the edge of what the network was made for; beyond it they are refused."""
    from .bundle import check_intended_use

    found = check_intended_use(network.manifest, fixed, moving)
    refused = [message for level, message in found if level == "refuse"]
    if refused:
        raise InputError("MMREG_E_INTENDED_USE", " ".join(refused))
    return tuple(message for level, message in found if level == "warn")


def _check_options(align: Any, deform: Any, same_space: Any, refine: Any, progress: Any) -> None:
    arguments.one_of("none", "rigid", "affine", code="MMREG_E_ALIGN")(align, "align")
    arguments.flag(deform, "deform")
    arguments.flag(same_space, "same_space")
    arguments.or_none(arguments.flag)(refine, "refine")
    if progress is not None and not callable(progress):
        raise arguments.refused("progress", "a function of a stage and its share", progress)


def _threads(threads: Any) -> int | None:
    if threads is None:
        return None
    return arguments.whole(threads, "threads", 1, MOST_THREADS, "MMREG_E_THREADS")


def _not_picklable(what: str) -> InputError:
    return InputError(
        "MMREG_E_PICKLE",
        f"A Registrar can be pickled by its arguments; this one was given {what}. Make one without it in the "
        "other process.",
    )


def _of_arguments(kind: type[Registrar], given: dict[str, Any]) -> Registrar:
    return kind(**given)


def _bytes(mask: Array | None) -> Array | None:
    return None if mask is None else np.ascontiguousarray(mask, np.uint8)
