"""Values of a graph before it runs: type, shape, and sometimes their elements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..geometry import Array
    from .schema import Content

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
KNOWN_ELEMENTS = 1 << 16  # of a value that is computed here; shapes and axes have a handful


@dataclass(frozen=True, slots=True)
class Stored:
    """A constant of the file; ``read`` returns its elements, without a copy if possible."""

    name: str
    dtype: str
    shape: Shape
    read: Callable[[], Array | None]


@dataclass(slots=True)
class Value:
    """An input, a constant, or an output of a node.

    Attributes:
        dtype: Type of the elements.
        shape: Shape.
        content: The elements or a function that returns them, if known.
        within: Lowest and highest possible value of whole numbers, if known.
    """

    dtype: str
    shape: Shape
    content: Array | Callable[[], Array | None] | None = None
    within: tuple[int, int] | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of the elements in bytes."""
        return self.elements * SIZES[self.dtype]

    @property
    def known(self) -> Array | None:
        """The elements, or None."""
        if self.content is None or isinstance(self.content, np.ndarray):
            return self.content
        self.content = self.content()
        return self.content

    @property
    def small(self) -> Array | None:
        """The elements if known and few: then results computed from them are known too."""
        return self.known if self.content is not None and self.elements <= KNOWN_ELEMENTS else None

    def range(self) -> tuple[int, int] | None:
        """Return the lowest and highest possible value of whole numbers, or None."""
        whole = self.dtype in ("int8", "uint8", "int32", "int64")
        if self.within is None and whole and self.elements and self.known is not None:
            self.within = int(self.known.min()), int(self.known.max())
        return self.within


@dataclass(slots=True)
class Node:
    """A node: operator, names of inputs and outputs, attributes."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Content]


@dataclass(slots=True)
class Call:
    """A node with its inputs at one size."""

    node: Node
    opset: int
    inputs: list[Value | None]

    def __getitem__(self, place: int) -> Value:
        """Return a required input."""
        value = self.inputs[place]
        if value is None:
            raise self.refusal(f"lacks input {place}")
        return value

    def optional(self, place: int) -> Value | None:
        """Return an optional input, or None."""
        return self.inputs[place] if place < len(self.inputs) else None

    def attribute(self, name: str, default: Content | range | None = None) -> Any:
        """Return an attribute, or its default."""
        return self.node.attributes.get(name, default)

    def numbers(self, place: int) -> list[int]:
        """Return the known whole numbers of an input, which has one axis or none."""
        value = self[place]
        content = value.known
        if content is None or len(value.shape) > 1 or value.elements > KNOWN_ELEMENTS:
            raise self.refusal(f"needs as input {place} a list of numbers known beforehand")
        return [int(number) for number in content.reshape(-1)]

    def number(self, place: int) -> int:
        """Return the one known whole number of an input."""
        numbers = self.numbers(place)
        if len(numbers) != 1:
            raise self.refusal(f"needs one number as input {place}; there are {len(numbers)}")
        return numbers[0]

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from the front.

        Raises:
            BundleError: There is no such axis.
        """
        if not -rank <= axis < rank:
            raise self.refusal(f"names axis {axis} of {rank} axes")
        return axis % rank

    def axes(self, axes: list[int], rank: int) -> list[int]:
        """Return axes counted from the front; none may occur twice."""
        positive = [self.axis(axis, rank) for axis in axes]
        if len(set(positive)) != len(positive):
            raise self.refusal(f"names an axis twice: {axes}")
        return positive

    def need(self, condition: bool, fault: str) -> None:
        """Raise ``BundleError`` unless a condition holds."""
        if not condition:
            raise self.refusal(fault)

    def refusal(self, fault: str) -> BundleError:
        """Return the error for a node whose operands do not fit."""
        shapes = ", ".join("none" if value is None else str(value.shape) for value in self.inputs)
        return BundleError(
            "MMREG_E_ONNX_NODE",
            f"The ONNX file has a node {self.node.op} ({self.node.name[:80]!r}) that {fault}; its inputs "
            f"have the shapes {shapes[:200] or 'none'}. Check the network with onnx.checker and shape "
            "inference, and export it again.",
        )


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """Return the shape that arrays of these shapes are broadcast to."""
    rank = max(map(len, shapes))
    result = []
    for extents in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        largest = max(extents) if 0 not in extents else 0
        call.need(all(n in (1, largest) for n in extents), "joins shapes that do not fit")
        result.append(largest)
    return tuple(result)


def dtype_of(name: str) -> np.dtype[np.generic] | None:
    """Return the NumPy type of this name, or None for bfloat16, which NumPy lacks."""
    return None if name == "bfloat16" else np.dtype(name)
