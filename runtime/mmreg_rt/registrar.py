"""Registrar: two scans in, one transform out. The main path of the package; read this first.

``register`` reads and checks, hands both scans to the native pipeline (``cpp_ext/pipeline``), and wraps its
result. The stages, the clock and the deadline live in the pipeline, networks included.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import arguments
from .deadline import Deadline, timed
from .decisions import Decisions
from .device.device import Device
from .errors import BackendUnavailableError, CancelledError, InputError
from .geometry import checked_outside
from .geometry.native_scan import native_scan
from .input_validation import CheckedPair, CheckedScan, check_pair
from .options import Call, RegistrarOptions
from .process import forks, libraries, memory, threads
from .results import Registration, cascade_settings, figures_of, summary_fields, to_registration

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._native import EngineSpec, Options, Result, Scan
    from ._native import Session as NativeSession
    from .device.result import DeviceRegistration
    from .geometry import Array, Float64, Grid
    from .network import Network
    from .options import OptionKeywords
    from .plan import Plan
    from .session import Session

KEPT_PLANS = 2  # each holds the memory of a pair
ScanLike = Any  # a path, a nibabel image, a Volume, or (array, affine)


class Registrar:
    """Registers moving scans to fixed ones; one object registers any number of pairs, from any thread.

    It can be pickled, and so sent to a pool of processes: the other process creates one with the same
    arguments and loads the model again. After a fork the copy does so by itself. A process that was forked
    by hand from one that has used ONNX Runtime must end with ``os._exit``, as those of multiprocessing do.

    Args:
        model: A bundle with a network: its path, or the name of a built-in one. None is the native solver,
            which needs no weights.
        options: How to register; see ``RegistrarOptions``.
        **changes: Options by keyword, in place of those of ``options``: ``Registrar(align="rigid")``.

    Raises:
        BackendUnavailableError: The device cannot be used, or no backend can run the model here.
        DeviceError: The device has no memory left, or was lost.
        BundleError: The model cannot be trusted, or does not pass its own test.
        DecisionLogError: The decision log cannot be written. A call raises it too, with the ``registration``.
        InputError: An option has an impossible value, or there is no such model.

    Example:
        >>> from mmreg_rt.phantom import phantom
        >>> pair = phantom(0)
        >>> with Registrar(deform=False) as registrar:
        ...     result = registrar.register(pair.fixed, pair.moving)
        >>> result.warped.grid == pair.fixed.grid
        True
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        options: RegistrarOptions | None = None,
        **changes: Unpack[OptionKeywords],
    ) -> None:
        options = (options or RegistrarOptions()).replace(**changes)
        self.model, self.options = model, options
        self._decisions = Decisions(options.decision_log)
        self._device: Device | None = None
        if options.device != "cpu":
            self._device = Device(options.device, options.memory_limit_bytes, options.stream)
        self._network = self._load()
        self._plans: OrderedDict[object, Plan] = OrderedDict()
        self._planning = threading.Lock()
        self._clock: Callable[[], float] | None = None  # for tests: what deadlines are measured by
        self._forked = self._closed = False
        forks.watch(self)

    def _load(self) -> Network | None:
        """Load and test the model."""
        if self.model is None:
            return None
        from .network import Network

        options = self.options
        return Network(
            arguments.path(self.model, "model", "MMREG_E_MODEL"),
            device=options.device,
            backend=arguments.or_none(arguments.text)(options.backend, "backend"),
            precision=arguments.text(options.precision, "precision"),
            threads=options.threads or 0,
            queue=None if self._device is None else self._device.queue,
            public_key=options.public_key,
        )

    def close(self) -> None:
        """Release the model, its sessions and all plans. Idempotent; any later use is an error."""
        if self._closed:
            return
        self._closed = True
        self._plans.clear()
        if self._network is not None and not self._forked:
            self._network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """Leave to the parent process what is its own; the model is loaded again on its next use."""
        self._forked = True
        self._planning = threading.Lock()
        forks.abandon((self._network, self._device, dict(self._plans)))
        self._plans = OrderedDict()

    def _make_ready(self) -> None:
        """Raise if this registrar was closed or memory is short; load the model again after a fork."""
        if self._closed:
            raise InputError("MMREG_E_CLOSED", "This registrar was closed. Create another one.")
        libraries.hold_scratch()
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
                self._network, self._forked = self._load(), False

    def __reduce__(self) -> tuple[Any, ...]:
        self.options.check_picklable()
        model = self.model
        if model is not None and os.path.exists(model):
            model = os.path.abspath(model)
        return type(self), (model, self.options)

    def __copy__(self) -> Self:
        return type(self)(self.model, self.options)

    def __deepcopy__(self, _: object) -> Self:
        return type(self)(self.model, self.options)

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
        """Find the transform that aligns ``moving`` with ``fixed``: ``warped(p) = moving(p + u(p))``.

        Args:
            fixed: The scan to match: a path, a nibabel image, a ``Volume``, or ``(array, affine)`` with an
                array ``(D, H, W)`` or ``(H, W)`` and the affine of its indices to RAS+ mm. Its grid is that
                of the result.
            moving: The scan to warp. Grid and modality are free; the fields of view must overlap.
            fixed_mask: Binary mask on the grid of ``fixed``; voxels that are zero are ignored. A model that
                outputs a rigid transform looks around its centre; without a mask, around that of the scan.
            moving_mask: The same for ``moving``. With both, such a model starts with their centres aligned.
            deadline_ms: Time for the whole call, ms, reading and checking included. The best finished stage
                is returned, marked ``degraded``; figures of quality that were not measured are None, and the
                inverse is then computed on first use. A network is not started if it would end too late, and
                is stopped if it does. Reading, checking and sampling the moving scan once are always done.
                None: no limit.
            outside: The value of ``warped`` outside of the moving scan; NaN is allowed. None is the lowest
                value of the moving scan, the air of a CT. The transform and the quality do not depend on it.

        Raises:
            InputError: A file, an array or a mask cannot be used; ``outside`` is infinite or no number.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are not finite.
            OutOfMemoryError: The memory of this process does not suffice.
            DeviceError: The device has too little memory, or failed.
            RegistrationError: The output of the network cannot be used.
            CancelledError: ``progress`` returned True.
        """
        with self._decisions.entry("headers", self._network) as entry, memory.translate_shortage():
            call = Call(Deadline(deadline_ms, self._clock), checked_outside(outside))
            self._make_ready()
            seconds: dict[str, float] = {}
            pair = self._read_pair((fixed, moving), (fixed_mask, moving_mask), seconds)
            entry.grids = pair.fixed.grid, pair.moving.grid
            return entry.returns(self._register(pair, call, seconds))

    def session(
        self, fixed: ScanLike, fixed_mask: ScanLike | None = None, *, moving_grid: Grid | None = None
    ) -> Session:
        """Return a session, which registers a stream of moving scans to one fixed scan.

        Args:
            fixed: As in ``register``.
            fixed_mask: As in ``register``.
            moving_grid: Grid of the scans to come: two registrations on it run now, so that later calls find
                their memory and a warm network. Other grids work, too.

        Raises:
            InputError: The scan or the mask cannot be used.
            GeometryError: The affine is singular or sheared.
            IntensityError: The scan is constant or has voxels that are not finite.
        """
        from .session import Session

        return Session(self, fixed, fixed_mask, moving_grid)

    def _read_pair(
        self, scans: tuple[ScanLike, ScanLike], masks: tuple[Any, Any], seconds: dict[str, float]
    ) -> CheckedPair:
        """Read both scans and masks, and check them."""
        from .io import as_volume

        with timed(seconds, "read"):
            fixed, moving = (as_volume(s, n) for s, n in zip(scans, ("fixed", "moving"), strict=True))
            fixed_mask, moving_mask = (
                None if mask is None else as_volume(mask, name)
                for mask, name in zip(masks, ("fixed_mask", "moving_mask"), strict=True)
            )
            if self._device is None:
                memory.check_room(fixed.grid.shape, moving.grid.shape, self.options.deform)
        with timed(seconds, "check"):
            return check_pair(fixed, moving, fixed_mask, moving_mask, same_space=self.options.same_space)

    def _register(self, pair: CheckedPair, call: Call, seconds: dict[str, float]) -> Registration:
        grids, engine, start = (pair.fixed.grid, pair.moving.grid), None, None
        warnings = pair.warnings + self._use_warnings(grids)
        if self._network is not None:
            from .network.pair_engine import pair_engine

            engine, start = pair_engine(self._network, pair, self.options.same_space)
        fixed = call.session or native_scan(pair.fixed, pair.fixed_mask)
        moving = native_scan(pair.moving, pair.moving_mask)
        options = self._options(call, engine, start)
        result = self._run_pipeline(fixed, moving, grids, engine, options, call.track)
        warnings += threads.shortage(result.threads, self.options.threads)
        figures = figures_of(call.quality, call.inverse)
        return to_registration(result, pair, summary_fields(result, seconds, warnings, self._linear, figures))

    def _open_session(self, fixed: CheckedScan) -> NativeSession:
        import mmreg_rt._native as _native

        device = self._device
        with contextlib.nullcontext() if device is None else device.lock:
            return _native.Session(
                native_scan(fixed.scan, fixed.mask),
                threads=self.options.threads or 0,
                device=None if device is None else device.queue,
            )

    def _use_warnings(self, grids: tuple[Grid, Grid]) -> tuple[str, ...]:
        """Return warnings about scans at the edge of the intended use of the network."""
        if self._network is None:
            return ()
        from .bundle.intended_use import intended_use_warnings

        return intended_use_warnings(self._network.manifest, *grids, self.options.modalities)

    @property
    def _linear(self) -> str:
        """The linear part of a result; networks that output rigid transforms replace the alignment."""
        return "rigid" if self._is_rigid else self.options.align

    @property
    def _is_rigid(self) -> bool:
        return self._network is not None and self._network.manifest.rigid is not None

    @property
    def _refines(self) -> bool:
        if self.options.refine is not None:
            return self.options.refine
        return self._network is None or self._network.manifest.output.refined

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
        """Register scans in the memory of this registrar's device; the results stay there.

        Args:
            fixed: ``(D, H, W)`` float32, C-contiguous, on the device: of torch, CuPy or JAX (DLPack), or of
                PyCUDA or Numba (``__cuda_array_interface__``). It is read in place, after the work on its
                stream.
            fixed_affine: ``(4, 4)``, array indices to RAS+ mm.
            moving: The same of the moving scan.
            moving_affine: The same of the moving scan.
            deadline_ms: As in ``register``.
            outside: As in ``register``.

        Raises:
            InputError: An array is not as above; this registrar has no device.
            GeometryError: An affine is singular, or the fields of view do not overlap.
            IntensityError: A scan is constant or has voxels that are not finite.
            DeviceError: An array lies on another device, or there is not enough memory.
            CancelledError: ``progress`` returned True.
        """
        from .device.result import DeviceScan, check_device_pair, device_registration

        device = self._own_device()
        with self._decisions.entry("headers", self._network) as entry:
            call = Call(Deadline(deadline_ms, self._clock), checked_outside(outside))
            self._make_ready()
            seconds: dict[str, float] = {}
            with device.lock, timed(seconds, "check"):
                pair = (
                    DeviceScan.of(fixed, fixed_affine, device.queue, "fixed"),
                    DeviceScan.of(moving, moving_affine, device.queue, "moving"),
                )
                warnings = check_device_pair(*pair, same_space=self.options.same_space)
            entry.grids = grids = pair[0].grid, pair[1].grid
            warnings += self._use_warnings(grids)
            engine = None if self._network is None else self._network.engine_spec(grids[0])
            options = self._options(call, engine, keep_on_device=True)
            result = self._run_pipeline(pair[0].native(), pair[1].native(), grids, engine, options)
            summary = summary_fields(result, seconds, warnings, self._linear)
            return entry.returns(device_registration(result, grids, device.queue, summary))

    def _own_device(self) -> Device:
        if self._device is None:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                "Scans on a device need a registrar of that device: Registrar(device='cuda').",
            )
        if self._is_rigid:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                "A model that outputs a rigid transform takes scans of the host. Use register.",
            )
        return self._device

    def plan(
        self,
        fixed: Grid,
        moving: Grid,
        alignment: Float64 | None = None,
        outside: float | None = None,
    ) -> Plan:
        """Prepare the network path for scans on two grids, to register every few milliseconds.

        A plan neither aligns nor refines, whatever the options say, and leaves out the figures of quality.
        The last plans are kept: the same grids again return the same plan.

        Args:
            fixed: Grid of the fixed scans.
            moving: Grid of the moving scans.
            alignment: ``(4, 4)``, fixed to moving points, RAS+ mm, applied before the network; None trusts
                the headers.
            outside: As in ``register``; None is the lowest value of each moving scan.

        Raises:
            InputError: There is no model, it outputs no field, or the grids are not what it was made for; or
                there is a decision log, which plans do not write.
            TransformError: The alignment is not affine, not finite or not invertible.
            GeometryError: The grids cannot be registered.
            DeviceError: There is not enough memory on the device.
        """
        from .transform import Affine

        self._decisions.check_plan()
        arguments.a("Grid")(fixed, "fixed")
        arguments.a("Grid")(moving, "moving")
        outside = checked_outside(outside)
        self._make_ready()
        network = self._field_network(fixed, moving)
        matrix = None if alignment is None else Affine(alignment).matrix
        key = fixed, moving, None if matrix is None else matrix.tobytes(), repr(outside)  # NaN is not NaN
        with self._planning:
            if key not in self._plans:
                self._plans[key] = self._new_plan(network, (fixed, moving), matrix, outside)
            self._plans.move_to_end(key)
            return self._plans[key]

    def _new_plan(
        self, network: Network, grids: tuple[Grid, Grid], alignment: Float64 | None, outside: float | None
    ) -> Plan:
        from .plan import Plan

        while len(self._plans) >= KEPT_PLANS:
            self._plans.popitem(last=False)
        if self._device is not None:
            self._device.check_room(grids[0].shape, grids[1].shape, network.engine_spec(grids[0]).shape)
        threads = self.options.threads or 0
        return Plan(network, *grids, self._device, alignment, threads, outside, self._use_warnings(grids))

    def _field_network(self, fixed: Grid, moving: Grid) -> Network:
        """Return the network, which must output a field, for grids that can be registered."""
        from .bundle.manifest import FIELDS
        from .input_validation import check_grids

        network = self._network
        if network is None or network.manifest.output.kind not in FIELDS:
            found = "no model"
            if network is not None:
                found = f"{network.manifest.name!r}, which outputs {network.manifest.output.kind!r}"
            raise InputError(
                "MMREG_E_PLAN_MODEL",
                f"A plan needs a model that outputs a displacement; this registrar has {found}. Use another, "
                "such as Registrar('synth').",
            )
        check_grids(fixed, moving)
        return network

    def _options(
        self,
        call: Call,
        engine: EngineSpec | None,
        start: Float64 | None = None,
        keep_on_device: bool = False,
    ) -> Options:
        """Return the options of one run of the native pipeline."""
        import mmreg_rt._native as _native

        progress = self.options.progress
        return _native.Options(
            align=self.options.align,
            deform=bool(self.options.deform),
            refine=self._refines,
            engine=engine,
            start=start,
            deadline_s=call.deadline.native_s(),
            now=call.deadline.clock,
            cancelled=None if progress is None else lambda stage, share: bool(progress(stage, share)),
            outside=call.outside,
            inverse=call.inverse,
            quality=call.quality,
            threads=self.options.threads or 0,
            device=None if self._device is None else self._device.queue,
            keep_on_device=keep_on_device,
        )

    def _run_pipeline(
        self,
        fixed: Scan | NativeSession,
        moving: Scan,
        grids: tuple[Grid, Grid],
        engine: EngineSpec | None,
        options: Options,
        track: bool = False,
    ) -> Result:
        """Run the native pipeline on two scans, or on the fixed scan of a session and a moving one."""
        import mmreg_rt._native as _native

        device = self._device
        if device is not None:
            device.check_room(grids[0].shape, grids[1].shape, None if engine is None else engine.shape)
        with contextlib.nullcontext() if device is None else device.lock, self._name_memory_shortage(grids):
            if isinstance(fixed, _native.Session):
                result = fixed.register(moving, options, track)
            else:
                result = _native.register(fixed, moving, options)
        if result.cancelled:
            raise CancelledError("MMREG_E_CANCELLED", "The progress callback cancelled the registration.")
        if self._network is not None:
            result.settings["network"] = self._network.about()
        if self._is_rigid:
            result.settings["rigid"] = cascade_settings(result)
        return result

    @contextlib.contextmanager
    def _name_memory_shortage(self, grids: tuple[Grid, Grid]) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            raise memory.shortage(grids[0].shape, grids[1].shape, self.options.deform) from error
