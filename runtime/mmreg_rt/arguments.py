"""Checks for the arguments of public functions; an error names the argument.

A check takes ``(value, name)`` and returns the value in the type that the function uses, so that NumPy
scalars and the like are accepted.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, SupportsIndex, TypeVar

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from .geometry import Array, Float64

CODE = "MMREG_E_ARGUMENT"
NUMBERS = "biuf"  # dtype kinds of real numbers
MAX_SHOWN = 60  # characters of a value in a message
Given = ParamSpec("Given")
Returned = TypeVar("Returned")
Checked = TypeVar("Checked")


def checked(
    **checks: Callable[[object, str], object],
) -> Callable[[Callable[Given, Returned]], Callable[Given, Returned]]:
    """Decorate a function so that its arguments pass through ``check(value, name)`` before it runs.

    Args:
        checks: A check for each argument to be checked, by name.
    """

    def decorate(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
            bound = signature.bind(*args, **kwargs)
            for name, check in checks.items():
                if name in bound.arguments:
                    bound.arguments[name] = check(bound.arguments[name], name)
            return function(*bound.args, **bound.kwargs)

        return run

    return decorate


def or_none(check: Callable[[object, str], Checked]) -> Callable[[object, str], Checked | None]:
    """Return a check that also accepts None."""
    return lambda value, name: None if value is None else check(value, name)


def one_of(*names: str, code: str = CODE) -> Callable[[object, str], str]:
    """Return a check for one of these words."""

    def check(value: object, name: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise refused(name, " or ".join(map(repr, names)), value, code)
        return value

    return check


def a(*kinds: str) -> Callable[[Checked, str], Checked]:
    """Return a check for an instance of these classes of the package, by name, so none need be imported."""

    def check(value: Checked, name: str) -> Checked:
        names = {base.__name__ for base in type(value).__mro__ if base.__module__.startswith("mmreg_rt")}
        if not names.intersection(kinds):
            raise refused(name, " or ".join(f"a {kind}" for kind in kinds), value)
        return value

    return check


def flag(value: object, name: str) -> bool:
    """Check for True or False."""
    if not isinstance(value, bool | np.bool_):
        raise refused(name, "True or False", value)
    return bool(value)


def text(value: object, name: str) -> str:
    """Check for a string."""
    if not isinstance(value, str):
        raise refused(name, "a string", value)
    return value


def real(value: object, name: str, code: str = CODE) -> float:
    """Check for a number above 0, which may be infinite."""
    expected = "a number above 0"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_):
        raise refused(name, expected, value, code)
    try:
        number = float(value)
    except (OverflowError, ValueError) as reason:
        raise refused(name, f"{expected}, up to 1.8e308", value, code) from reason
    if not number > 0:
        raise refused(name, expected, value, code)
    return number


def whole(value: object, name: str, low: int, high: int, code: str = CODE) -> int:
    """Check for a whole number from ``low`` to ``high``."""
    at_least = f"a whole number of at least {low}"
    expected = f"a whole number from {low} to {high}" if high < 1 << 60 else at_least
    if isinstance(value, bool | np.bool_) or not isinstance(value, SupportsIndex):
        raise refused(name, expected, value, code)
    try:
        number = operator.index(value)
    except TypeError:
        raise refused(name, expected, value, code) from None
    if not low <= number <= high:
        raise refused(name, expected, value, code)
    return number


def path(value: object, name: str, code: str = CODE) -> Path:
    """Check for a path: a string, bytes or a ``PathLike``."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise refused(name, "a path", value, code)
    try:
        decoded = os.fsdecode(value)
    except (TypeError, ValueError):
        raise refused(name, "a path", value, code) from None
    if not decoded or "\0" in decoded:
        raise refused(name, "a path of at least one character and without a NUL", value, code)
    return Path(decoded)


def array(value: object, name: str, code: str = CODE) -> Array:
    """Convert an array-like of real numbers to a NumPy array, in its own dtype.

    Raises:
        InputError: It is masked, ragged, on a device, needs a gradient, or holds something else.
    """
    _refuse_masked(value, name)
    _refuse_tensor(value, name, code)
    try:
        converted = np.asarray(value)
    except MemoryError:
        raise
    except Exception as reason:  # ragged lists, and any error of an object's own __array__
        raise refused(
            name, "an array of real numbers, all rows of one length", value, code, f" ({reason})."
        ) from reason
    dtype = converted.dtype
    if dtype.kind not in NUMBERS:
        hint = " Take one real channel first, such as the magnitude." if dtype.kind in "cV" else ""
        raise refused(name, "an array of real numbers", value, code, f" of dtype {dtype}.{hint}")
    return converted


def float64(value: object, name: str, code: str = CODE) -> Float64:
    """Convert an array-like of real numbers to float64; see ``array``."""
    converted: Float64 = array(value, name, code).astype(np.float64)
    return converted


def refused(name: str, expected: str, value: object, code: str = CODE, more: str = "") -> InputError:
    """Return the error for an argument ``name`` that is not as expected."""
    kind = type(value).__name__
    try:
        text = f"of shape {tuple(value.shape)}" if hasattr(value, "shape") and value.shape else repr(value)
    except Exception:
        text = ""  # the object's own repr fails
    text = "" if text == kind else text
    short = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    description = f"{kind} {short}".strip()
    return InputError(code, f"{name} must be {expected}; found {description}{more or '.'} Convert it first.")


def _refuse_masked(value: object, name: str) -> None:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise InputError(
            "MMREG_E_MASKED_ARRAY",
            f"{name} must not be a masked array; found {int(value.mask.sum())} masked values of "
            f"{value.size}. Give array.filled(value), and ~array.mask as fixed_mask or moving_mask.",
        )


def _refuse_tensor(value: object, name: str, code: str) -> None:
    """Refuse a torch tensor that NumPy cannot read."""
    if getattr(value, "requires_grad", False) is True:
        raise InputError(
            code, f"{name} must be plain numbers; found a tensor that needs a gradient. Give tensor.detach()."
        )
    where = getattr(getattr(value, "device", None), "type", "cpu")
    if isinstance(where, str) and where not in ("cpu", "") and hasattr(value, "cpu"):
        raise InputError(
            code,
            f"{name} must be on the host; found a tensor on {where}. Give tensor.cpu(), or use "
            "register_on_device.",
        )
