"""Arguments of public functions: each is of the kind that its function needs, or is refused by name.

Each check returns the value as the function wants it, so that NumPy's scalars and the like are honoured.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from .geometry import Array, Float64

CODE = "MMREG_E_ARGUMENT"
NUMBERS = "biuf"  # kinds of dtypes that hold real numbers
SHOWN = 60  # characters of a value in a message
Function = TypeVar("Function", bound=Callable[..., Any])


def checked(**checks: Callable[[Any, str], Any]) -> Callable[[Function], Function]:
    """Decorate a function so that arguments are put through ``check(value, name)`` before it runs."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs)
            for name, check in checks.items():
                if name in given.arguments:
                    given.arguments[name] = check(given.arguments[name], name)
            return function(*given.args, **given.kwargs)

        return run  # type: ignore[return-value]

    return decorate


def or_none(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The same check for an argument that may be None."""
    return lambda value, name: None if value is None else check(value, name)


def one_of(*names: str, code: str = CODE) -> Callable[[Any, str], str]:
    """Check for one of these words."""

    def check(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise refused(name, " or ".join(map(repr, names)), value, code)
        return value

    return check


def a(*kinds: str) -> Callable[[Any, str], Any]:
    """Check for an instance of one of these classes of the package, by name: they need not be imported."""

    def check(value: Any, name: str) -> Any:
        own = {of.__name__ for of in type(value).__mro__ if of.__module__.startswith("mmreg_rt")}
        if not own.intersection(kinds):
            raise refused(name, " or ".join(f"a {kind}" for kind in kinds), value)
        return value

    return check


def flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise refused(name, "True or False", value)
    return bool(value)


def text(value: Any, name: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise refused(name, "a string", value)
    return value


def real(value: Any, name: str, code: str = CODE) -> float:
    """A number above 0, which may be infinite."""
    wanted = "a number above 0"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_):
        raise refused(name, wanted, value, code)
    try:
        found = float(value)
    except (OverflowError, ValueError) as reason:
        raise refused(name, f"{wanted}, up to 1.8e308", value, code) from reason
    if not found > 0:
        raise refused(name, wanted, value, code)
    return found


def whole(value: Any, name: str, low: int, high: int, code: str = CODE) -> int:
    """A whole number within limits."""
    wanted = f"a whole number from {low} to {high}" if high < 1 << 60 else f"a whole number of at least {low}"
    if isinstance(value, bool | np.bool_):
        raise refused(name, wanted, value, code)
    try:
        found = operator.index(value)
    except TypeError:
        raise refused(name, wanted, value, code) from None
    if not low <= found <= high:
        raise refused(name, wanted, value, code)
    return found


def path(value: Any, name: str, code: str = CODE) -> Path:
    """A path: a string, bytes or a ``PathLike``."""
    try:
        found = os.fsdecode(value)
    except (TypeError, ValueError):
        raise refused(name, "a path", value, code) from None
    if not found or "\0" in found:
        raise refused(name, "a path of at least one character and without a NUL", value, code)
    return Path(found)


def array(value: Any, name: str, code: str = CODE) -> Array:
    """A NumPy array of real numbers, of whatever offers one.

    Raises:
        InputError: It is masked, ragged, on a device, needs a gradient, or holds something else.
    """
    _refuse_masked(value, name)
    _refuse_tensor(value, name, code)
    try:
        found = np.asarray(value)
    except MemoryError:
        raise
    except Exception as reason:  # ragged lists, and whatever an object's own __array__ raises
        raise refused(
            name, "an array of real numbers, all rows of one length", value, code, f" ({reason})."
        ) from reason
    if found.dtype.kind not in NUMBERS:
        hint = " Take one real channel first, such as the magnitude." if found.dtype.kind in "cV" else ""
        raise refused(name, "an array of real numbers", value, code, f" of dtype {found.dtype}.{hint}")
    return found


def float64(value: Any, name: str, code: str = CODE) -> Float64:
    """The same as float64."""
    converted: Float64 = array(value, name, code).astype(np.float64)
    return converted


def refused(name: str, wanted: str, found: Any, code: str = CODE, more: str = "") -> InputError:
    """The error of an argument that is not what was wanted."""
    kind = type(found).__name__
    try:
        shown = f"of shape {tuple(found.shape)}" if hasattr(found, "shape") and found.shape else repr(found)
    except Exception:
        shown = ""  # of an object whose own repr fails
    shown = "" if shown == kind else shown
    cut = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    what = f"{kind} {cut}".strip()
    return InputError(code, f"{name} must be {wanted}; found {what}{more or '.'} Convert it first.")


def _refuse_masked(value: Any, name: str) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InputError(
            "MMREG_E_MASKED_ARRAY",
            f"{name} must not hide values behind a mask; found {int(value.mask.sum())} masked ones of "
            f"{value.size}. Give array.filled(value), and where it counts as a mask of its own "
            "(fixed_mask, moving_mask: ~array.mask).",
        )


def _refuse_tensor(value: Any, name: str, code: str) -> None:
    """A tensor of torch that NumPy cannot look into."""
    if getattr(value, "requires_grad", False) is True:
        raise InputError(
            code, f"{name} must be plain numbers; found a tensor that needs a gradient. Give tensor.detach()."
        )
    where = getattr(getattr(value, "device", None), "type", "cpu")
    if isinstance(where, str) and where not in ("cpu", "") and hasattr(value, "cpu"):
        raise InputError(
            code,
            f"{name} must lie on the host; found a tensor on {where}. Give tensor.cpu(), or use "
            "register_on_device.",
        )
