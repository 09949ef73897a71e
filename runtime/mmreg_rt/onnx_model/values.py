"""What is known of a value of a graph before it runs: type, shape, and sometimes what it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..geometry import Array

Shape = tuple[int, ...]
SIZES = {
    "float32": 4,
    "uint8": 1,
    "int8": 1,
    "int32": 4,
    "int64": 8,
    "bool": 1,
    "float16": 2,
    "float64": 8,
    "bfloat16": 2,
}
KNOWN_ELEMENTS = 1 << 16  # of a value that is worked out here; shapes and axes are a handful


@dataclass(frozen=True, slots=True)
class Stored:
    """A constant of the file; ``read`` gives its elements, without a copy where that can be."""

    name: str
    dtype: str
    shape: Shape
    read: Callable[[], Array | None]


@dataclass(slots=True)
class Value:
    """An input, a constant, or what a node gives.

    ``held``: its elements, where they are known; ``within``: the lowest and highest that whole numbers can
    be, where that is known.
    """

    dtype: str
    shape: Shape
    held: Array | Callable[[], Array | None] | None = None
    within: tuple[int, int] | None = None

    @property
    def elements(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.elements * SIZES[self.dtype]

    @property
    def known(self) -> Array | None:
        """Its elements, or None."""
        if self.held is None or isinstance(self.held, np.ndarray):
            return self.held
        self.held = self.held()
        return self.held

    @property
    def small(self) -> Array | None:
        """Its elements if they are known and few: then what is made of them is worked out here."""
        return self.known if self.held is not None and self.elements <= KNOWN_ELEMENTS else None

    def range(self) -> tuple[int, int] | None:
        """The lowest and highest that its elements, whole numbers, can be."""
        whole = self.dtype in ("int8", "uint8", "int32", "int64")
        if self.within is None and whole and self.elements and self.known is not None:
            self.within = int(self.known.min()), int(self.known.max())
        return self.within


@dataclass(slots=True)
class Node:
    """A node: its operator, the names of what goes in and comes out, and its attributes."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(slots=True)
class Call:
    """A node at one size: what goes in, to find what comes out."""

    node: Node
    opset: int
    inputs: list[Value | None]

    def __getitem__(self, place: int) -> Value:
        """An input that must be there."""
        found = self.inputs[place]
        if found is None:
            raise self.refusal(f"lacks input {place}")
        return found

    def given(self, place: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what the standard takes without it."""
        return self.node.attributes.get(name, default)

    def numbers(self, place: int) -> list[int]:
        """The whole numbers that an input holds, one axis of them or one number alone."""
        value = self[place]
        held = value.known
        if held is None or len(value.shape) > 1 or value.elements > KNOWN_ELEMENTS:
            raise self.refusal(f"takes as input {place} a list of numbers known beforehand")
        return [int(number) for number in held.reshape(-1)]

    def number(self, place: int) -> int:
        """The one whole number that an input holds."""
        found = self.numbers(place)
        if len(found) != 1:
            raise self.refusal(f"takes one number as input {place}; there are {len(found)}")
        return found[0]

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            BundleError: There is none of that number.
        """
        if not -rank <= axis < rank:
            raise self.refusal(f"names axis {axis} of {rank} axes")
        return axis % rank

    def axes(self, axes: list[int], rank: int) -> list[int]:
        """Axes counted from the front, none twice."""
        made = [self.axis(axis, rank) for axis in axes]
        if len(set(made)) != len(made):
            raise self.refusal(f"names an axis twice: {axes}")
        return made

    def need(self, holds: bool, found: str) -> None:
        """Refuse the node unless something holds."""
        if not holds:
            raise self.refusal(found)

    def refusal(self, found: str) -> BundleError:
        """The error of a node whose operands do not fit."""
        shapes = ", ".join("none" if value is None else str(value.shape) for value in self.inputs)
        return BundleError(
            "MMREG_E_ONNX_NODE",
            f"The ONNX file has a node {self.node.op} ({self.node.name[:80]!r}) that {found}; its inputs "
            f"have the shapes {shapes[:200] or 'none'}. Check the network with onnx.checker and shape "
            "inference, and export it again.",
        )


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """The one shape that arrays of these shapes are stretched to."""
    rank = max(map(len, shapes))
    made = []
    for extents in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        largest = max(extents) if 0 not in extents else 0
        call.need(all(n in (1, largest) for n in extents), "joins shapes that do not fit")
        made.append(largest)
    return tuple(made)


def dtype_of(name: str) -> Any:
    """The numpy type of this name; None for bfloat16, which numpy lacks."""
    return None if name == "bfloat16" else np.dtype(name)
