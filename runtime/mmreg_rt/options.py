"""The options of a registrar, and of one call."""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from . import arguments
from .errors import InputError
from .process.threads import MAX_THREADS

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._native import Session as NativeSession
    from .deadline import Deadline

Progress = Callable[[str, float], bool | None]


class OptionKeywords(TypedDict, total=False):
    """The fields of ``RegistrarOptions`` as keyword arguments."""

    device: str
    align: str
    deform: bool
    threads: int | None
    same_space: bool
    refine: bool | None
    backend: str | None
    precision: str
    memory_limit_bytes: int | None
    stream: object
    progress: Progress | None
    public_key: bytes | None
    modalities: tuple[str, str] | None
    decision_log: str | os.PathLike[str] | None


@dataclass(frozen=True)
class RegistrarOptions:
    """How a ``Registrar`` registers.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``: where the solver and the network run. There is no
            fallback to another device.
        align: Linear alignment before the deformation: ``"none"`` (trust the headers), ``"rigid"`` or
            ``"affine"``. A model that outputs a rigid transform replaces it.
        deform: Estimate a deformation. Ignored with a model that outputs a rigid transform.
        threads: Number of CPU threads. None uses all usable processors, respecting container quotas. The
            result is bit-identical for any number. If the system grants fewer, a warning says so.
        same_space: Both headers share one coordinate system, and fields of view that do not overlap are an
            error. False ignores the origins and aligns by content.
        refine: Refine the network's result with the solver, within the deadline. None follows the bundle for
            fields and is False for rigid transforms. A descriptor network always feeds the solver.
        backend: ``"openvino"``, ``"onnxruntime"``, ``"tensorrt"`` or ``"tensorrt-rtx"``; None takes the
            fastest one installed. It is chosen once.
        precision: Inference precision: ``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"int8"``, if the bundle and
            the backend have it.
        memory_limit_bytes: Most device memory for one registration; None allows all free memory. A pair that
            needs more is refused before anything runs.
        stream: CUDA stream to work on: a handle, or a stream of torch, CuPy, PyCUDA or cuda-core; None
            creates one. With PyCUDA its context must be current in the calling thread.
        progress: Called with the stage and the fraction of it that is done; returning True cancels.
        public_key: Ed25519 key, 32 raw bytes or PEM: the model must be signed with its private key. A model
            that is neither built in nor signed so is first loaded and tested in a separate process.
        modalities: Modalities of the fixed and of the moving scan, such as ``("MR-T1", "CT")``, which a model
            is then checked for; None does not check them.
        decision_log: File that a line is appended to for each registration, see ``docs/decision_log.md``.
            None writes none.

    Raises:
        InputError: An option is none of the values above.

    Example:
        >>> RegistrarOptions(align="rigid").deform
        True
    """

    device: str = "cpu"
    align: str = "affine"
    deform: bool = True
    threads: int | None = None
    same_space: bool = True
    refine: bool | None = None
    backend: str | None = None
    precision: str = "fp32"
    memory_limit_bytes: int | None = None
    stream: object = None
    progress: Progress | None = None
    public_key: bytes | None = None
    modalities: tuple[str, str] | None = None
    decision_log: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        arguments.one_of("none", "rigid", "affine", code="MMREG_E_ALIGN")(self.align, "align")
        arguments.flag(self.deform, "deform")
        arguments.flag(self.same_space, "same_space")
        arguments.or_none(arguments.flag)(self.refine, "refine")
        arguments.text(self.device, "device")
        if self.threads is not None:
            threads = arguments.whole(self.threads, "threads", 1, MAX_THREADS, "MMREG_E_THREADS")
            object.__setattr__(self, "threads", threads)
        if self.modalities is not None:
            object.__setattr__(self, "modalities", _pair_of_names(self.modalities))
        if self.decision_log is not None:
            path = arguments.path(self.decision_log, "decision_log").absolute()
            object.__setattr__(self, "decision_log", path)
        if self.progress is not None and not callable(self.progress):
            raise arguments.refused("progress", "a function of a stage and its share", self.progress)

    def replace(self, **changes: Unpack[OptionKeywords]) -> RegistrarOptions:
        """Return a copy with other values.

        Raises:
            TypeError: There is no such option.
        """
        names = [field.name for field in dataclasses.fields(self)]
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise TypeError(f"There is no option {unknown[0]!r}. Use one of {', '.join(names)}.")
        return dataclasses.replace(self, **changes)

    def check_picklable(self) -> None:
        """Raise if another process could not create a registrar with these options.

        Raises:
            InputError: There is a stream, or a progress callback that cannot be pickled.
        """
        if self.stream is not None:
            raise _not_picklable("a stream, which belongs to this process")
        try:
            pickle.dumps(self.progress)
        except Exception as reason:
            raise _not_picklable(f"a progress callback that cannot be ({reason})") from reason


def _not_picklable(what: str) -> InputError:
    return InputError(
        "MMREG_E_PICKLE",
        f"A Registrar can be pickled by its arguments; this one has {what}. Create one without it in the "
        "other process.",
    )


def _pair_of_names(modalities: object) -> tuple[str, str]:
    names = list(modalities) if isinstance(modalities, tuple | list) else []
    if len(names) != 2 or not all(isinstance(name, str) and name for name in names):
        raise arguments.refused("modalities", "two names, of the fixed and of the moving scan", modalities)
    return names[0], names[1]


@dataclass(frozen=True)
class Call:
    """The requests of one call, beside the options of its registrar.

    Attributes:
        deadline: When it must return.
        outside: Value of the warped scan outside of the moving one; None is the lowest of the moving scan.
        quality: Which figures to measure: ``"full"``, ``"fast"`` or ``"none"``.
        inverse: Compute the inverse.
        session: The fixed scan of a session; None for a scan of its own.
        track: Start from the transform of the call before in that session.
    """

    deadline: Deadline
    outside: float | None = None
    quality: str = "full"
    inverse: bool = True
    session: NativeSession | None = None
    track: bool = False
