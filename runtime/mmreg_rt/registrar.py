"""Registrar: two scans in, one transform out. The main path of the package; read this first.

``register`` reads, checks, hands both scans to the native pipeline (``cpp_ext/pipeline``), and wraps
what comes back. The stages, the clock and the deadline live in the pipeline.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import CheckedPair, check_pair
from .device import Device
from .errors import Cancelled, InputError
from .geometry import Volume
from .registration import Registration, told
from .transform import DisplacementField

if TYPE_CHECKING:
    from .device_registration import DeviceRegistration
    from .geometry import Array, Float64, Grid
    from .network import Network
    from .plan import Plan

Progress = Callable[[str, float], bool | None]
KEPT_PLANS = 2  # each holds the memory of a pair
ScanLike = Any  # a path, a nibabel image, a Volume, or (array, affine)


class Registrar:
    """Brings moving scans onto fixed ones; one object registers as many pairs as you like, from any thread.

    Args:
        model: A bundle with a network: its path, or the name of a built-in one. None is the native solver,
            which needs no weights.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``: where the solver and the network run. Nothing runs
            elsewhere instead.
        align: The linear part to look for before the deformation. ``"none"`` trusts the headers. A model that
            gives a rigid transform takes its place.
        deform: Look for a deformation too. With a model that gives a rigid transform there is none.
        threads: Threads of the native code; None is as many as this process may use. The result is the
            same to the bit for any number.
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
        BackendUnavailable: The device cannot be used, or no backend can run the model here.
        DeviceError: The device has no memory left, or was lost.
        BundleError: The model cannot be trusted, or does not pass its own test.
        InputError: ``align`` or ``threads`` is none of the values above, or there is no such model.

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
        _check_choice(align, threads)
        self._device = None if device == "cpu" else Device(device, memory_limit_bytes, stream)
        self._align = align
        self._deform = deform
        self._threads = threads or 0
        self._same_space = same_space
        queue = None if self._device is None else self._device.queue
        self._network = (
            None
            if model is None
            else _load(model, device, backend, precision, self._threads, queue, public_key)
        )
        self._rigid = self._network is not None and self._network.manifest.rigid is not None
        if refine is None:
            refine = self._network is None or self._network.manifest.output.refined
        self._refine = bool(refine)
        self._plans: OrderedDict[object, Plan] = OrderedDict()
        self._planning = threading.Lock()
        self._progress = progress

    def register(
        self,
        fixed: ScanLike,
        moving: ScanLike,
        *,
        fixed_mask: ScanLike | None = None,
        moving_mask: ScanLike | None = None,
        deadline_ms: float | None = None,
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
            deadline_ms: Time for the native stages, from their start, in ms. When it has passed the
                best that is finished is returned, marked ``degraded``. None: as long as it takes.

        Raises:
            InputError: A file, an array or a mask cannot be used.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are no numbers.
            Cancelled: ``progress`` returned True.
        """
        _check_deadline(deadline_ms)
        from .io import as_volume

        seconds: dict[str, float] = {}
        with _Lap(seconds, "read"):
            scans = [as_volume(scan) for scan in (fixed, moving)]
            masks = [None if mask is None else as_volume(mask) for mask in (fixed_mask, moving_mask)]
        with _Lap(seconds, "check"):
            pair = check_pair(scans[0], scans[1], masks[0], masks[1], same_space=self._same_space)
        warnings, engine = pair.warnings, None
        if self._network is not None:
            warnings += _fitness(self._network, pair.fixed.grid, pair.moving.grid)
            if self._rigid:
                return self._register_rigidly(pair, deadline_ms, seconds, warnings)
            engine = self._network.described(pair.fixed.grid)
        found = self._native(
            (pair.fixed.grid, pair.moving.grid),
            (pair.fixed.as_float32(), pair.moving.as_float32()),
            (pair.fixed_mask, pair.moving_mask),
            deadline_ms,
            engine,
        )
        return self._wrap(pair, found, seconds, warnings)

    def _register_rigidly(
        self,
        pair: CheckedPair,
        deadline_ms: float | None,
        seconds: dict[str, float],
        warnings: tuple[str, ...],
    ) -> Registration:
        from .rigid_registration import Request, register_rigidly

        assert self._network is not None
        request = Request(pair, self._same_space, self._refine, deadline_ms, self._progress)
        found = register_rigidly(self._network, request, self._native)
        return dataclasses.replace(found, seconds={**seconds, **found.seconds}, warnings=warnings)

    def register_on_device(
        self,
        fixed: Any,
        fixed_affine: Array,
        moving: Any,
        moving_affine: Array,
        *,
        deadline_ms: float | None = None,
    ) -> DeviceRegistration:
        """The same for scans in the memory of this registrar's device; what is found stays there.

        Args:
            fixed: ``(D, H, W)`` float32, C-order, on the device: of torch, CuPy or JAX (DLPack), or of PyCUDA
                or Numba (``__cuda_array_interface__``). Read where it lies, after what its stream still does.
            fixed_affine: ``(4, 4)``, array indices to RAS+ mm.
            moving: The same of the moving scan.
            moving_affine: The same of the moving scan.
            deadline_ms: As in ``register``.

        Raises:
            InputError: An array is not as above; this registrar has no device.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are no numbers.
            DeviceError: An array lies on another device, or there is not enough memory.
        """
        from .device_registration import DeviceScan, check_device_pair, finished

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
        _check_deadline(deadline_ms)
        seconds: dict[str, float] = {}
        with device.alone, _Lap(seconds, "check"):
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
            grids, (pair[0].image, pair[1].image), (None, None), deadline_ms, engine, stay=True
        )
        return finished(found, *grids, device.queue, seconds, warnings, self._align)

    def plan(self, fixed: Grid, moving: Grid, alignment: Float64 | None = None) -> Plan:
        """The network's way alone, prepared for scans on two grids: for those who register every few ms.

        No alignment is looked for and nothing is refined, whatever this object was told; the figures of
        quality are left out. The last plans are kept: the same grids again give the same plan.

        Args:
            fixed: Grid of the fixed scans.
            moving: Grid of the moving scans.
            alignment: ``(4, 4)``, fixed mm to moving mm, that holds before the network; None trusts the
                headers.

        Raises:
            InputError: There is no model, it gives no field, or the grids are not what it was made for.
            TransformError: The alignment is not affine, not finite or not invertible.
            GeometryError: The grids cannot be registered.
            DeviceError: There is not enough memory on the device.
        """
        from .plan import Plan
        from .transform import Affine

        network, warnings = self._field_network(fixed, moving)
        matrix = None if alignment is None else Affine(np.asarray(alignment, np.float64)).matrix
        key = fixed, moving, None if matrix is None else matrix.tobytes()
        with self._planning:
            if key not in self._plans:
                while len(self._plans) >= KEPT_PLANS:
                    self._plans.popitem(last=False)
                device = self._device
                if device is not None:
                    device.check_room(fixed.shape, moving.shape, network.described(fixed))
                queue, alone = (None, None) if device is None else (device.queue, device.alone)
                self._plans[key] = Plan(network, fixed, moving, matrix, queue, alone, self._threads, warnings)
            self._plans.move_to_end(key)
            return self._plans[key]

    def _field_network(self, fixed: Grid, moving: Grid) -> tuple[Network, tuple[str, ...]]:
        """That of this object, and warnings about what it was made for."""
        from .checks import check_grids
        from .manifest import FIELDS

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
        deadline_ms: float | None,
        engine: dict[str, Any] | None,
        stay: bool = False,
        align: str | None = None,
        deform: bool | None = None,
        start: Float64 | None = None,
    ) -> dict[str, Any]:
        """The native pipeline; ``align`` and ``deform`` in place of what this object was told.

        ``start`` is a transform, fixed to moving points, that stands already; for ``align="none"``.
        """
        import mmreg_rt._native as _native

        progress, device = self._progress, self._device
        if device is not None:
            device.check_room(grids[0].shape, grids[1].shape, engine)
        with contextlib.nullcontext() if device is None else device.alone:
            found: dict[str, Any] = _native.register(
                scans[0],
                np.ascontiguousarray(grids[0].affine),
                scans[1],
                np.ascontiguousarray(grids[1].affine),
                _bytes(masks[0]),
                _bytes(masks[1]),
                self._align if align is None else align,
                self._deform if deform is None else deform,
                0.0 if deadline_ms is None else deadline_ms / 1e3,
                None if progress is None else lambda stage, share: bool(progress(stage, share)),
                self._threads,
                network=engine,
                refine=self._refine,
                device=None if device is None else device.queue,
                stay=stay,
                start=start,
            )
        if found["cancelled"]:
            raise Cancelled("MMREG_E_CANCELLED", "The registration was cancelled by the progress callback.")
        if self._network is not None:
            found["settings"]["network"] = self._network.about()
        return found

    def _wrap(
        self,
        pair: CheckedPair,
        found: dict[str, Any],
        seconds: dict[str, float],
        warnings: tuple[str, ...],
    ) -> Registration:
        grid, deformation = pair.fixed.grid, found["deformation_mm"]
        return Registration(
            warped=Volume(found["warped"], grid, pair.fixed.source),
            transform=DisplacementField(found["displacement_mm"], grid),
            inverse=DisplacementField(found["inverse_mm"], pair.moving.grid),
            deformation=None if deformation is None else DisplacementField(deformation, grid),
            **told(found, seconds, warnings, self._align),
        )


class _Lap:
    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds, self._stage = seconds, stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._stage] = time.perf_counter() - self._start


def _load(
    model: str | os.PathLike[str],
    device: str,
    backend: str | None,
    precision: str,
    threads: int,
    queue: Any,
    public_key: bytes | None,
) -> Network:
    from .network import Network

    return Network(
        model,
        device=device,
        backend=backend,
        precision=precision,
        threads=threads,
        queue=queue,
        public_key=public_key,
    )


def _fitness(network: Network, fixed: Grid, moving: Grid) -> tuple[str, ...]:
    """Warnings about scans at the edge of what the network was made for; beyond it they are refused."""
    from .bundle import check_intended_use

    found = check_intended_use(network.manifest, fixed, moving)
    refused = [message for level, message in found if level == "refuse"]
    if refused:
        raise InputError("MMREG_E_INTENDED_USE", " ".join(refused))
    return tuple(message for level, message in found if level == "warn")


def _check_deadline(deadline_ms: float | None) -> None:
    if deadline_ms is not None and not deadline_ms > 0:
        raise InputError("MMREG_E_DEADLINE", f"deadline_ms must be positive or None; got {deadline_ms!r}.")


def _check_choice(align: str, threads: int | None) -> None:
    if align not in ("none", "rigid", "affine"):
        raise InputError("MMREG_E_ALIGN", f"align must be 'none', 'rigid' or 'affine'; got {align!r}.")
    if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= 1024):
        raise InputError("MMREG_E_THREADS", f"threads must be None or from 1 to 1024; got {threads!r}.")


def _bytes(mask: Array | None) -> Array | None:
    return None if mask is None else np.ascontiguousarray(mask, np.uint8)
