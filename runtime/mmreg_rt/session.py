"""Sessions: one fixed scan and a stream of moving scans, such as the frames of a cine.

What is measured of the fixed scan is kept from one call to the next, and a registration may start from the
transform of the one before, which takes a fraction of the time of a search.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from . import arguments
from .deadline import Deadline, timed
from .errors import InputError
from .geometry import Grid, Volume, checked_outside
from .input_validation import check_grids, check_moving, check_scan
from .options import Call
from .process import forks, memory

if TYPE_CHECKING:
    from ._native import Session as NativeSession
    from .input_validation import CheckedPair
    from .registrar import Registrar, ScanLike
    from .results import Registration

_START = arguments.one_of("last", "headers")
_QUALITY = arguments.one_of("full", "fast", "none")


class Session:
    """One fixed scan that a stream of moving scans is registered to; created by ``Registrar.session``.

    A session runs one registration at a time; a second thread waits. It works like its registrar, with the
    same options, and its results are the same: a session only saves time.

    Args:
        registrar: The registrar, which may be shared by any number of sessions.
        fixed: The fixed scan, as in ``Registrar.register``; the session keeps a copy.
        fixed_mask: As in ``Registrar.register``.
        moving_grid: As in ``Registrar.session``.

    Raises:
        InputError: The scan, the mask or the grid cannot be used.
        GeometryError: The affine is singular.
        IntensityError: The scan is constant or has voxels that are not finite.

    Example:
        >>> from mmreg_rt import Registrar
        >>> from mmreg_rt.phantom import phantom
        >>> pair = phantom(0)
        >>> session = Registrar(deform=False).session(pair.fixed)
        >>> first = session.register(pair.moving, start="headers")
        >>> session.register(pair.moving).tracked
        True
    """

    def __init__(
        self,
        registrar: Registrar,
        fixed: ScanLike,
        fixed_mask: ScanLike | None = None,
        moving_grid: Grid | None = None,
    ) -> None:
        from .io import as_volume

        registrar._make_ready()
        volume = as_volume(fixed, "fixed")
        check_grids(volume.grid, volume.grid)
        mask = None if fixed_mask is None else as_volume(fixed_mask, "fixed_mask")
        checked = check_scan(volume.with_data(np.array(volume.data)), mask, "fixed")
        self._registrar, self._fixed = registrar, checked
        self._lock = threading.Lock()
        self._native: NativeSession | None = None
        forks.watch(self)
        if moving_grid is not None:
            self._warm_up(moving_grid)

    def after_fork(self) -> None:
        """Leave the queue to the parent process; this one opens its own on the next call."""
        forks.abandon(self._native)
        self._native, self._lock = None, threading.Lock()

    def __reduce__(self) -> str:
        raise InputError(
            "MMREG_E_PICKLE",
            "A session cannot be pickled: it is memory of this process. Pickle its Registrar, and open a "
            "session in the other process.",
        )

    def register(
        self,
        moving: ScanLike,
        *,
        moving_mask: ScanLike | None = None,
        start: str = "last",
        quality: str = "fast",
        inverse: bool = False,
        deadline_ms: float | None = None,
        outside: float | None = None,
    ) -> Registration:
        """Find the transform that aligns ``moving`` with the fixed scan, as ``Registrar.register`` does.

        Args:
            moving: The scan to warp. Its grid may change from call to call.
            moving_mask: As in ``Registrar.register``.
            start: ``"last"`` starts from the transform of the last call, and searches only if there is none
                or the scans no longer match there. ``"headers"`` always searches.
            quality: Figures of quality to measure: ``"full"``, ``"none"``, or ``"fast"``, which leaves out
                MIND, the evidence of the verdict and the consistency of the inverse.
            inverse: Compute the inverse now. Otherwise it is computed on first use.
            deadline_ms: As in ``Registrar.register``.
            outside: As in ``Registrar.register``.

        Raises:
            InputError: An argument cannot be used.
            MmregError: As ``Registrar.register``.
        """
        registrar = self._registrar
        _START(start, "start")
        _QUALITY(quality, "quality")
        seconds: dict[str, float] = {}
        line = registrar._decisions.entry(start, registrar._network, quality == "full")
        with line as entry, memory.translate_shortage():
            deadline, outside = Deadline(deadline_ms, registrar._clock), checked_outside(outside)
            registrar._make_ready()
            with self._lock:
                call = Call(deadline, outside, quality, inverse, self._opened(), start == "last")
                pair = self._read(moving, moving_mask, seconds)
                entry.grids = pair.fixed.grid, pair.moving.grid
                return entry.returns(registrar._register(pair, call, seconds))

    def _warm_up(self, moving_grid: Grid) -> None:
        """Register scans of this grid from the headers and from the last transform, then forget them."""
        if not isinstance(moving_grid, Grid):
            raise InputError(
                "MMREG_E_ARGUMENT",
                f"moving_grid must be a Grid; found {type(moving_grid).__name__}. Pass the grid of a volume, "
                "such as read_image(path).grid.",
            )
        scan = Volume(np.resize(self._fixed.scan.as_float32(), moving_grid.shape), moving_grid)
        registrar = self._registrar
        native = self._opened()
        native.keep_memory()
        with memory.translate_shortage():
            for track in (False, True):
                call = Call(Deadline(None, registrar._clock), None, "full", True, native, track)
                registrar._register(self._read(scan, None, {}), call, {})
        native.forget()

    def _opened(self) -> NativeSession:
        if self._native is None:
            self._native = self._registrar._open_session(self._fixed)
        return self._native

    def _read(self, moving: ScanLike, mask: ScanLike | None, seconds: dict[str, float]) -> CheckedPair:
        from .io import as_volume

        with timed(seconds, "read"):
            volume = as_volume(moving, "moving")
            marked = None if mask is None else as_volume(mask, "moving_mask")
            if self._registrar._device is None:
                shapes = self._fixed.scan.grid.shape, volume.grid.shape
                memory.check_room(*shapes, self._registrar.options.deform)
        with timed(seconds, "check"):
            return check_moving(self._fixed, volume, marked, same_space=self._registrar.options.same_space)
