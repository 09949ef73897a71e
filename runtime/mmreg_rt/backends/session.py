"""What the sessions of all backends share: inputs are checked here, before a library sees them."""

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

from ..errors import InputError, MmregError, RegistrationError
from ..process.threads import MAX_THREADS, startable, usable
from .watched import Stop, Stopped, ask_first

if TYPE_CHECKING:
    from ..geometry import Float32

# what the libraries, and the C library below them, say where they get no memory or no thread
NO_MEMORY = ("bad_alloc", "can't alloc", "Cannot allocate memory", "out of memory", "failed to map segment")
NO_THREADS = ("Resource temporarily unavailable", "pthread_create", "can't start new thread")
KEPT_SHAPES = 2  # buffers of a full-size network are hundreds of megabytes
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Port:
    """An input or output of a network."""

    name: str
    shape: tuple[int | None, ...]  # None: any extent
    float32: bool = True


class Bound(ABC):
    """The buffers of one input shape, known to the library."""

    inputs: Mapping[str, Float32]
    output: Float32

    @abstractmethod
    def run(self) -> None:
        """From ``inputs`` to ``output``, in place after the first time."""

    def run_while_wanted(self, stop: Stop) -> None:
        """The same unless ``stop`` says before, or where the library can be stopped meanwhile, not to."""
        ask_first(stop)
        self.run()

    def finish(self) -> None:  # noqa: B027  # only a device has something to wait for
        """Wait for what still runs."""

    def output_values(self) -> int:
        """How many numbers the network gives, where the session runs on a device."""
        raise NotImplementedError

    def run_there(self, inputs: Mapping[str, int], into: int) -> None:
        """From addresses of the device to one, where the session runs there."""
        raise NotImplementedError


class CheckedSession(ABC):
    """A session whose subclass only binds buffers (``_bind``) and lets go of the library (``_release``)."""

    def __init__(self, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
        _check_ports(inputs, outputs)
        self.inputs, self.output_port = inputs, outputs[0]
        self.ran: Mapping[str, str] = {}
        self.seconds: Mapping[str, float] = {}
        self.there = self.capturable = False
        self._bound: OrderedDict[Shape, Bound] = OrderedDict()
        self.prepare_s = 0.0
        self._lock, self._closed = threading.Lock(), False

    @abstractmethod
    def _bind(self, shape: Shape) -> Bound:
        """Buffers for inputs of this shape."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of what the library holds."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Allocate, compile and run once for inputs of these shapes."""
        with self._alone():
            shape = self._agreed({name: tuple(extents) for name, extents in shapes.items()})
            bound = self._for(shape)
            for buffer in bound.inputs.values():
                buffer.fill(0)
            with told(f"run the network on inputs of shape {shape}"):
                bound.run()

    def infer(self, inputs: Mapping[str, Float32], stop: Stop | None = None) -> Float32:
        """The output for float32 inputs by name; valid until the next ``infer`` or ``close``.

        Raises:
            Stopped: ``stop``, asked again and again, said so.
        """
        with self._alone():
            start = time.perf_counter()
            for name, array in inputs.items():
                _check_array(name, array)
            shape = self._agreed({name: array.shape for name, array in inputs.items()})
            bound = self._for(shape)
            for name, buffer in bound.inputs.items():
                np.copyto(buffer, inputs[name])
            set_ = time.perf_counter()
            with told(f"run the network on inputs of shape {shape}"):
                if stop is None:
                    bound.run()
                else:
                    bound.run_while_wanted(stop)
            ran = time.perf_counter()
            output = bound.output
            read = time.perf_counter() - ran
            self.seconds = {"set input": set_ - start, "infer": ran - set_, "read output": read}
            return output

    def held(self, shape: Shape) -> object:
        """The buffers of a shape that has run."""
        return self._bound.get(shape)

    def infer_there(self, inputs: Mapping[str, int], shape: Shape, into: int, values: int) -> None:
        """The output of images in the memory of a device, by their addresses; not waited for."""
        if not self.there:
            raise InputError(
                "MMREG_E_SESSION_DEVICE",
                f"This session runs on {self.ran.get('device', 'the host')} with memory of its own. Load the "
                "network with a queue of the device.",
            )
        with self._alone():
            self._agreed(dict.fromkeys(inputs, shape))
            bound = self._for(shape)
            with told(f"run the network on inputs of shape {shape}"):
                found = bound.output_values()
                if found != values:
                    raise RegistrationError(
                        "MMREG_E_MODEL_OUTPUT",
                        f"The network must give {values} numbers for inputs of shape {shape}; it gives "
                        f"{found}. Register without a model, or export it again.",
                    )
                bound.run_there(inputs, into)

    def close(self) -> None:
        """Give the memory back. Twice is once."""
        if not self._closed:
            with self._alone():
                self._closed = True
                self._bound.clear()
                self._release()

    def __enter__(self) -> CheckedSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _for(self, shape: Shape) -> Bound:
        """The buffers of this shape; those used least recently make room."""
        start = time.perf_counter()
        if shape not in self._bound:
            while len(self._bound) >= KEPT_SHAPES:
                self._bound.popitem(last=False)[1].finish()
            with told(f"prepare the network for inputs of shape {shape}"):
                self._bound[shape] = self._bind(shape)
            self.prepare_s = time.perf_counter() - start
        else:
            self.prepare_s = 0.0
        self._bound.move_to_end(shape)
        return self._bound[shape]

    def _agreed(self, shapes: Mapping[str, Shape]) -> Shape:
        """The one shape of all inputs."""
        wanted = [port.name for port in self.inputs]
        if sorted(shapes) != sorted(wanted):
            raise InputError(
                "MMREG_E_SESSION_INPUT",
                f"The network takes the inputs {', '.join(wanted)}; got {', '.join(shapes) or 'none'}.",
            )
        for port in self.inputs:
            _check_shape(port, shapes[port.name])
        if len(set(shapes.values())) > 1:
            raise InputError(
                "MMREG_E_SESSION_INPUT",
                f"All inputs of the network have one shape; got {dict(shapes)}. Bring both onto one grid.",
            )
        return shapes[wanted[0]]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise InputError(
                "MMREG_E_SESSION_BUSY",
                "This session runs in another thread, and its buffers are for one at a time. Load one each.",
            )
        try:
            if self._closed:
                raise InputError("MMREG_E_SESSION_CLOSED", "This session was closed. Load the network again.")
            yield
        finally:
            self._lock.release()


@contextmanager
def told(what: str) -> Iterator[None]:
    """What a library raises, as an error of ours that says what it was about."""
    try:
        yield
    except (MmregError, KeyboardInterrupt, Stopped):
        raise
    except Exception as error:  # the libraries raise classes of their own, without a common base
        raise shortage(error, what) or RegistrationError(
            "MMREG_E_MODEL_RUN",
            f"Could not {what}: {in_one_line(error)}. Check that the network takes such a grid (many want "
            "extents that are multiples of 16), and that the memory suffices.",
        ) from error


def shortage(error: BaseException, what: str) -> RegistrationError | None:
    """Return the error of a library that did not get its memory or its threads, if it is one."""
    words = str(error)
    if isinstance(error, MemoryError) or any(word in words for word in NO_MEMORY):
        return RegistrationError(
            "MMREG_E_MODEL_MEMORY",
            f"There is not enough memory to {what}. Take a smaller grid, or raise the limit (ulimit -v).",
        )
    if any(word in words for word in NO_THREADS):
        return RegistrationError(
            "MMREG_E_MODEL_THREADS",
            f"The system does not give the threads to {what}: {in_one_line(error)}. Raise the limit of "
            "processes (ulimit -u, pids.max), or ask for threads=1 of backend='onnxruntime'.",
        )
    return None


def in_one_line(error: BaseException, limit: int = 300) -> str:
    """What a library said, without its line breaks."""
    words = " ".join(str(error).split()).rstrip(".")
    return words if len(words) <= limit else words[:limit] + " ..."


def unreadable(error: BaseException, name: str) -> MmregError:
    """The error of bytes that a library does not take as a network."""
    return shortage(error, f"load the network with {name}") or InputError(
        "MMREG_E_MODEL_LOAD",
        f"{name} cannot load the network: {in_one_line(error)}. Check the file, or export it again.",
    )


def usable_threads(threads: int) -> int:
    """Return ``threads``, for 0 as many as this process may keep busy, and no more than can be started.

    Raises:
        InputError: It is no number of threads.
    """
    if not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
        raise InputError(
            "MMREG_E_THREADS", f"threads must be from 1 to {MAX_THREADS}, or 0 for all; got {threads!r}."
        )
    wanted = threads or usable()
    return 1 + startable(wanted - 1)  # the thread that calls is one of them


def frozen(**facts: object) -> Mapping[str, str]:
    """Facts as read-only strings."""
    return MappingProxyType({name: str(fact) for name, fact in facts.items()})


def aligned(shape: Shape) -> Float32:
    """A float32 array that begins on a cache line, as vector code likes it."""
    values = int(np.prod(shape))
    raw = np.empty(values * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + values * 4].view(np.float32).reshape(shape)


def _check_ports(inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
    odd = [port.name for port in (*inputs, *outputs) if not port.float32]
    if odd or not inputs or len(outputs) != 1:
        raise InputError(
            "MMREG_E_MODEL_PORTS",
            "A network takes float32 inputs and gives one float32 output; this one has "
            f"{len(inputs)} inputs, {len(outputs)} outputs"
            + (f", and {', '.join(odd)} not float32. " if odd else ". ")
            + "Export it with `mmreg export`.",
        )


def _check_array(name: str, array: object) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(
            "MMREG_E_SESSION_INPUT",
            f"Input {name!r} must be a float32 array of this machine's byte order; got {found}. Convert it.",
        )


def _check_shape(port: Port, shape: Shape) -> None:
    fits = len(shape) == len(port.shape) and all(
        got > 0 and want in (None, got) for want, got in zip(port.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if extent is None else str(extent) for extent in port.shape)
        raise InputError(
            "MMREG_E_SESSION_INPUT",
            f"Input {port.name!r} must be of shape {wanted}; got {shape}. Bring the image onto such a grid.",
        )
