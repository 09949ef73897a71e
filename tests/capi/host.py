"""libmmreg through ctypes: the calls of a C host, for tests."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np


class ContextOptions(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("target", ctypes.c_char_p),
        ("memory_limit_bytes", ctypes.c_uint64),
        ("log", ctypes.c_void_p),
        ("log_user", ctypes.c_void_p),
        ("engine_path", ctypes.c_char_p),
        ("shares_cores", ctypes.c_int32),
    )


class SessionOptions(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("space", ctypes.c_int32),
        ("align", ctypes.c_int32),
        ("without_deformation", ctypes.c_int32),
        ("unrelated_headers", ctypes.c_int32),
        ("largest_fixed", ctypes.c_int64 * 3),
        ("largest_moving", ctypes.c_int64 * 3),
        ("deployment", ctypes.c_void_p),
        ("refine", ctypes.c_int32),
        ("hang_limit_ms", ctypes.c_double),
    )


class Image(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("dtype", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("shape", ctypes.c_int64 * 3),
        ("stride_bytes", ctypes.c_int64 * 3),
        ("affine", ctypes.c_double * 16),
        ("mask", ctypes.c_void_p),
        ("timestamp_ns", ctypes.c_uint64),
    )


class CallOptions(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("start", ctypes.c_int32),
        ("start_matrix", ctypes.c_double * 16),
        ("deadline_ms", ctypes.c_double),
        ("quality", ctypes.c_int32),
        ("has_outside", ctypes.c_int32),
        ("outside", ctypes.c_float),
        ("reserved", ctypes.c_int32),
    )


class Outputs(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("displacement_mm", ctypes.c_void_p),
        ("displacement_bytes", ctypes.c_size_t),
        ("inverse_mm", ctypes.c_void_p),
        ("inverse_bytes", ctypes.c_size_t),
        ("warped", ctypes.c_void_p),
        ("warped_bytes", ctypes.c_size_t),
        ("valid", ctypes.c_void_p),
        ("valid_bytes", ctypes.c_size_t),
    )


class HostError(Exception):
    """A call of libmmreg failed.

    Attributes:
        code: Stable code, such as ``MMREG_E_BUSY``.
        status: Value that the function returned.
    """

    def __init__(self, code: str, status: int, text: str) -> None:
        super().__init__(text)
        self.code, self.status = code, status


def sized(kind: type[Any], **values: Any) -> Any:
    """Return a structure with its size and these values."""
    out = kind(**values)
    out.struct_size = ctypes.sizeof(kind)
    return out


class Host:
    """A context of libmmreg, with the deployments and sessions that were made on it.

    Args:
        library: Path of libmmreg.so.1.
        engine_path: Folder of the engine's library.
        threads: Of each session.
    """

    def __init__(self, library: Path, engine_path: Path | None = None, threads: int = 0) -> None:
        self._library = ctypes.CDLL(str(library))
        for name in ("mmreg_last_code", "mmreg_last_error"):
            getattr(self._library, name).restype = ctypes.c_char_p
        path = None if engine_path is None else str(engine_path).encode()
        options = sized(ContextOptions, threads=threads, engine_path=path)
        self._context = ctypes.c_void_p()
        self._made: list[tuple[str, ctypes.c_void_p]] = []
        self.call("context_create", ctypes.byref(options), ctypes.byref(self._context))

    def call(self, name: str, *arguments: Any) -> int:
        """Call a function and return its status; raise ``HostError`` if it failed."""
        status: int = getattr(self._library, f"mmreg_{name}")(*arguments)
        if status < 0:
            code, text = self._library.mmreg_last_code(), self._library.mmreg_last_error()
            raise HostError(code.decode(), status, text.decode())
        return status

    def deployment(self, folder: Path, key: bytes | None = None) -> ctypes.c_void_p:
        """Load a deployment."""
        out = ctypes.c_void_p()
        self.call("deployment_load", self._context, str(folder).encode(), key, ctypes.byref(out))
        self._made.append(("deployment_destroy", out))
        return out

    def self_test(self, deployment: ctypes.c_void_p) -> tuple[float, float]:
        """Return the largest deviation in mm and the slowest time in ms."""
        worst, slowest = ctypes.c_double(), ctypes.c_double()
        self.call("deployment_self_test", deployment, ctypes.byref(worst), ctypes.byref(slowest))
        return worst.value, slowest.value

    def session(self, **options: Any) -> ctypes.c_void_p:
        """Create a session; see ``mmreg_session_options``."""
        out = ctypes.c_void_p()
        given = sized(SessionOptions, **options)
        self.call("session_create", self._context, ctypes.byref(given), ctypes.byref(out))
        self._made.append(("session_destroy", out))
        return out

    def register(
        self, session: ctypes.c_void_p, moving: Any, shape: tuple[int, ...], deadline_ms: float = 0
    ) -> tuple[int, Any]:
        """Register an image; return the status and the field, ``(3, *shape)`` float32 in mm."""
        field = np.full((3, *shape), np.nan, np.float32)
        outputs = sized(Outputs, displacement_mm=field.ctypes.data, displacement_bytes=field.nbytes)
        options = sized(CallOptions, start=1, deadline_ms=deadline_ms)
        given = (ctypes.byref(structure) for structure in (moving, options, outputs))
        status = self.call("session_register", session, *given, None)
        return status, field

    def close(self) -> None:
        """Destroy everything."""
        for name, handle in reversed(self._made):
            self.call(name, ctypes.byref(handle))
        self._made.clear()
        if self._context:
            self.call("context_destroy", ctypes.byref(self._context))


def image(data: Any, affine: Any) -> tuple[Image, Any]:
    """Return an image and the array whose memory it uses: ``data`` as float32."""
    values = np.ascontiguousarray(data, np.float32)
    out = sized(Image, data=values.ctypes.data)
    out.shape[:] = values.shape
    out.affine[:] = np.asarray(affine, np.float64).ravel().tolist()
    return out, values
