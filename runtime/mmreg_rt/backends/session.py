"""Sessions shared by all backends: inputs are checked here, before a library sees them."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendUnavailableError, InputError, MmregError, RegistrationError
from ..process.threads import MAX_THREADS, startable, usable
from .watched import Stop, Stopped, ask_first

if TYPE_CHECKING:
    from ..geometry import Float32
    from . import Backend

# Messages of the libraries, and of the C library below them, when memory or threads run out.
NO_MEMORY = ("bad_alloc", "can't alloc", "Cannot allocate memory", "out of memory", "failed to map segment")
NO_THREADS = ("Resource temporarily unavailable", "pthread_create", "can't start new thread")
KEPT_SHAPES = 2  # the buffers of a full-size network take hundreds of megabytes
Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a network."""

    name: str
    shape: tuple[int | None, ...]  # None: any extent
    float32: bool = True


Ports = tuple[TensorSpec, ...]


class BoundBuffers(ABC):
    """Buffers of one input shape, bound to the library."""

    inputs: Mapping[str, Float32]
    output: Float32

    @abstractmethod
    def run(self) -> None:
        """Compute ``output`` from ``inputs``, in place after the first run."""

    def run_until_stopped(self, stop: Stop) -> None:
        """Run unless ``stop`` returns True before, or during the run where the library can be interrupted."""
        ask_first(stop)
        self.run()

    def finish(self) -> None:  # noqa: B027  # only a device runs asynchronously
        """Wait for runs that have not finished."""

    def output_values(self) -> int:
        """Return the number of output values, for a session that runs on a device."""
        raise NotImplementedError

    def run_on_device(self, inputs: Mapping[str, int], into: int) -> None:
        """Compute the output at device address ``into`` from inputs at device addresses."""
        raise NotImplementedError


class CheckedSession(ABC):
    """Base class of sessions: a subclass binds buffers (``_bind``) and lets the library go (``_release``)."""

    def __init__(self, inputs: Ports, outputs: Ports) -> None:
        _check_specs(inputs, outputs)
        self.inputs, self.output_spec = inputs, outputs[0]
        self.runtime_info: Mapping[str, str] = {}
        self.seconds: Mapping[str, float] = {}
        self.on_device = self.graph_capturable = False
        self._bound: OrderedDict[Shape, BoundBuffers] = OrderedDict()
        self.prepare_s = 0.0
        self._lock, self._closed = threading.Lock(), False

    @abstractmethod
    def _bind(self, shape: Shape) -> BoundBuffers:
        """Bind buffers for inputs of this shape."""

    @abstractmethod
    def _release(self) -> None:
        """Release the objects of the library."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Allocate, compile and run once for inputs of these shapes; see ``Session.prepare``."""
        with self._exclusive():
            shape = self._agreed({name: tuple(extents) for name, extents in shapes.items()})
            bound = self._for(shape)
            for buffer in bound.inputs.values():
                buffer.fill(0)
            with translate_backend_errors(f"run the network on inputs of shape {shape}"):
                bound.run()

    def infer(self, inputs: Mapping[str, Float32], stop: Stop | None = None) -> Float32:
        """Return the output for float32 inputs by name; see ``Session.infer``."""
        with self._exclusive():
            start = time.perf_counter()
            for name, array in inputs.items():
                _check_array(name, array)
            shape = self._agreed({name: array.shape for name, array in inputs.items()})
            bound = self._for(shape)
            for name, buffer in bound.inputs.items():
                np.copyto(buffer, inputs[name])
            set_ = time.perf_counter()
            with translate_backend_errors(f"run the network on inputs of shape {shape}"):
                if stop is None:
                    bound.run()
                else:
                    bound.run_until_stopped(stop)
            ran = time.perf_counter()
            output = bound.output
            read = time.perf_counter() - ran
            self.seconds = {"set input": set_ - start, "infer": ran - set_, "read output": read}
            return output

    def buffers_for(self, shape: Shape) -> object:
        """Return the buffers of a shape that has run, or None."""
        return self._bound.get(shape)

    def infer_on_device(self, inputs: Mapping[str, int], shape: Shape, into: int, values: int) -> None:
        """Queue the network on images in device memory; see ``Session.infer_on_device``."""
        if not self.on_device:
            raise InputError(
                "MMREG_E_SESSION_DEVICE",
                f"This session runs on {self.runtime_info.get('device', 'the host')} in its own memory. Load "
                "the network with a queue of the device.",
            )
        with self._exclusive():
            self._agreed(dict.fromkeys(inputs, shape))
            bound = self._for(shape)
            with translate_backend_errors(f"run the network on inputs of shape {shape}"):
                count = bound.output_values()
                if count != values:
                    raise RegistrationError(
                        "MMREG_E_MODEL_OUTPUT",
                        f"The network must give {values} numbers for inputs of shape {shape}; it gives "
                        f"{count}. Register without a model, or export it again.",
                    )
                bound.run_on_device(inputs, into)

    def close(self) -> None:
        """Release memory. Idempotent."""
        if not self._closed:
            with self._exclusive():
                self._closed = True
                self._bound.clear()
                self._release()

    def __enter__(self) -> CheckedSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _for(self, shape: Shape) -> BoundBuffers:
        """Return the buffers of this shape, evicting the least recently used ones."""
        start = time.perf_counter()
        if shape not in self._bound:
            while len(self._bound) >= KEPT_SHAPES:
                self._bound.popitem(last=False)[1].finish()
            with translate_backend_errors(f"prepare the network for inputs of shape {shape}"):
                self._bound[shape] = self._bind(shape)
            self.prepare_s = time.perf_counter() - start
        else:
            self.prepare_s = 0.0
        self._bound.move_to_end(shape)
        return self._bound[shape]

    def _agreed(self, shapes: Mapping[str, Shape]) -> Shape:
        """Return the one shape that all inputs have."""
        names = [spec.name for spec in self.inputs]
        if sorted(shapes) != sorted(names):
            raise InputError(
                "MMREG_E_SESSION_INPUT",
                f"The network takes the inputs {', '.join(names)}; got {', '.join(shapes) or 'none'}.",
            )
        for spec in self.inputs:
            _check_shape(spec, shapes[spec.name])
        if len(set(shapes.values())) > 1:
            raise InputError(
                "MMREG_E_SESSION_INPUT",
                f"All inputs of the network must have one shape; got {dict(shapes)}. Resample to one grid.",
            )
        return shapes[names[0]]

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise InputError(
                "MMREG_E_SESSION_BUSY",
                "This session is running in another thread. Load one session for each thread.",
            )
        try:
            if self._closed:
                raise InputError("MMREG_E_SESSION_CLOSED", "This session was closed. Load the network again.")
            yield
        finally:
            self._lock.release()


@contextmanager
def translate_backend_errors(action: str) -> Iterator[None]:
    """Raise the exceptions of a library as errors of this package that name the ``action``."""
    try:
        yield
    except (MmregError, KeyboardInterrupt, Stopped):
        raise
    except Exception as error:  # the exceptions of the libraries have no common base class
        raise shortage(error, action) or RegistrationError(
            "MMREG_E_MODEL_RUN",
            f"Could not {action}: {in_one_line(error)}. Check that the network takes such a grid (many need "
            "extents that are multiples of 16), and that memory suffices.",
        ) from error


def shortage(error: BaseException, action: str) -> RegistrationError | None:
    """Return the error to raise if a library ran out of memory or threads, else None."""
    words = str(error)
    if isinstance(error, MemoryError) or any(word in words for word in NO_MEMORY):
        return RegistrationError(
            "MMREG_E_MODEL_MEMORY",
            f"There is not enough memory to {action}. Use a smaller grid, or raise the limit (ulimit -v).",
        )
    if any(word in words for word in NO_THREADS):
        return RegistrationError(
            "MMREG_E_MODEL_THREADS",
            f"The system has no threads left to {action}: {in_one_line(error)}. Raise the limit of processes "
            "(ulimit -u, pids.max), or use threads=1 with backend='onnxruntime'.",
        )
    return None


def in_one_line(error: BaseException, limit: int = 300) -> str:
    """Return the message of an exception on one line, cut at ``limit`` characters."""
    words = " ".join(str(error).split()).rstrip(".")
    return words if len(words) <= limit else words[:limit] + " ..."


def unreadable(error: BaseException, name: str) -> MmregError:
    """Return the error to raise when the library ``name`` cannot load a network."""
    return shortage(error, f"load the network with {name}") or InputError(
        "MMREG_E_MODEL_LOAD",
        f"{name} cannot load the network: {in_one_line(error)}. Check the file, or export it again.",
    )


def usable_threads(threads: int) -> int:
    """Return the number of threads to use: 0 means all usable processors; never more than can be started.

    Raises:
        InputError: ``threads`` is not a whole number from 0 to 1024.
    """
    if not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
        raise InputError(
            "MMREG_E_THREADS", f"threads must be from 1 to {MAX_THREADS}, or 0 for all; got {threads!r}."
        )
    count = threads or usable()
    return 1 + startable(count - 1)  # the calling thread is one of them


def check_available(backend: Backend, device: str, precision: str) -> None:
    """Raise ``BackendUnavailableError`` unless a backend can run this precision on the device."""
    if (reason := backend.unavailable_reason(device, precision)) is not None:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND",
            f"{backend.name} cannot run {precision} on {device}: {reason}. `mmreg doctor` lists the backends "
            "that work here.",
        )


def frozen(**facts: object) -> Mapping[str, str]:
    """Return ``facts`` as a read-only mapping of strings."""
    return MappingProxyType({name: str(fact) for name, fact in facts.items()})


def aligned(shape: Shape) -> Float32:
    """Return an uninitialised float32 array that starts on a cache line, for vector code."""
    values = int(np.prod(shape))
    raw = np.empty(values * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + values * 4].view(np.float32).reshape(shape)


def _check_specs(inputs: Ports, outputs: Ports) -> None:
    odd = [spec.name for spec in (*inputs, *outputs) if not spec.float32]
    if odd or not inputs or len(outputs) != 1:
        raise InputError(
            "MMREG_E_MODEL_PORTS",
            "A network must have float32 inputs and one float32 output; this one has "
            f"{len(inputs)} inputs, {len(outputs)} outputs"
            + (f", and {', '.join(odd)} not float32. " if odd else ". ")
            + "Export it with `mmreg export`.",
        )


def _check_array(name: str, array: object) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(
            "MMREG_E_SESSION_INPUT",
            f"Input {name!r} must be a float32 array in native byte order; got {kind}. Convert it.",
        )


def _check_shape(spec: TensorSpec, shape: Shape) -> None:
    fits = len(shape) == len(spec.shape) and all(
        extent > 0 and declared in (None, extent) for declared, extent in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        expected = " x ".join("any" if extent is None else str(extent) for extent in spec.shape)
        raise InputError(
            "MMREG_E_SESSION_INPUT",
            f"Input {spec.name!r} must have shape {expected}; got {shape}. Resample it to such a grid.",
        )
