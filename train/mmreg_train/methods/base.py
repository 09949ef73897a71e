"""What every registration method promises, and what it is given.

A method takes exactly two images, ``fixed`` and ``moving``, ``(B, 1, D, H, W)`` or ``(B, 1, H, W)`` float32
in [0, 1], and gives an ``Output``. Its ``network()`` is the part that is exported: convolutions and attention
alone. Integration, upsampling and warps stay outside, where the runtime has faster ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from mmreg_train.layers import integrate, upsample

LEARNING = "learning"  # the kind of outputs before the last phase of a training


@dataclass(frozen=True)
class Output:
    """What a method gives for a pair.

    ``kind`` is "displacement", "velocity", "rigid", "affine", "descriptor" or, before the last phase of a
    training, "learning". ``value`` of a field is
    ``(B, dims, ...)`` in voxels of the full grid on the output grid, channels in the order of the array axes,
    and pulls back: ``warped(p) = moving(p + u(p))``. A descriptor is a pair, of fixed and of moving,
    ``(B, channels, ...)`` each. A rigid one is ``(B, 6)``, as ``mmreg_rt.geometry.rigid_motion`` says: the
    motion that brings what the moving image shows onto the fixed one.
    """

    kind: str
    value: Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """Pairs to learn from: images ``(B, 1, ...)`` float32 in [0, 1]; labels ``(B, ...)`` int64 or None.

    ``displacement`` and ``rigid`` are the truth, where it is known: ``(B, dims, ...)`` in voxels and
    ``(B, 6)`` in mm and degrees, as methods give it. ``surface`` are points of an organ in the moving image,
    ``(B, points, 3)``: x, y, z in mm from the middle of the window, by which rigid motions are compared.
    """

    fixed: Tensor
    moving: Tensor
    fixed_label: Tensor | None = None
    moving_label: Tensor | None = None
    displacement: Tensor | None = None
    rigid: Tensor | None = None
    surface: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same pairs on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{key: value if value is None else value.to(device) for key, value in values.items()})


@dataclass(frozen=True)
class Window:
    """What a network of one size sees: a grid around the organ.

    Attributes:
        size: ``(D, H, W)`` in voxels.
        spacing_mm: Along axes 0, 1, 2.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.spacing_mm) != 3 or not all(0 < step <= 100 for step in self.spacing_mm):
            raise ValueError(
                f"A window has three spacings above 0 and up to 100 mm; found spacing_mm={self.spacing_mm!r}."
            )


class Method(nn.Module):
    """A network with the loss it learns from.

    Attributes:
        name: The name that ``create`` knows.
        settings: The keyword arguments that ``create`` was given; with them it builds the same method again.
        resolved: Settings that stand in place of those given, so that it does without the files they named.
        dims: 2 or 3.
        output_kind: The kind of every ``Output``.
        channels: Channels of the exported output.
        factor: Factor of the output grid, 1 or 2.
        integration_steps: Squarings of a velocity; 0 for every other kind.
        multiple: Sizes of the input must be multiples of this.
        window: The one grid that the network takes, around an organ; None takes any grid.
        most_voxels: Of a grid that the network takes, all axes multiplied; None has no such limit.
        traced: Of so many multiples is the first axis of what the exporter follows. A count of 1 that it
            finds there, such as of windows, becomes a constant: it must find two or more.
        painted: It learns from single images that are painted from label maps of brains (``brain_samples``).
        phases: What is trained one after the other, each with its own steps, loss and optimiser, by the names
            that ``enter`` knows; without any, everything is trained at once. The last is the registration.
    """

    name: str
    output_kind: str
    phases: tuple[str, ...] = ()
    factor: int = 1
    integration_steps: int = 0
    multiple: int = 16
    window: Window | None = None
    most_voxels: int | None = None
    traced: int = 2
    painted: bool = False

    def __init__(self, dims: int) -> None:
        super().__init__()
        if dims not in (2, 3):
            raise ValueError(f"A method has 2 or 3 dimensions; found dims={dims!r}.")
        self.dims = dims
        self.channels = dims
        self.settings: dict[str, Any] = {}
        self.resolved: dict[str, Any] = {}

    def enter(self, phase: str) -> None:
        """Train ``phase`` from now on: what takes a gradient, what ``forward`` and ``loss`` give.

        A new method, and one that was read from a checkpoint, is in its last phase. Before that, outputs have
        the kind "learning" and are of use to ``loss`` alone.
        """
        assert phase in self.phases

    def begin(self, step: int) -> None:
        """Called before every step, counted from 0 in its phase: for what changes from step to step."""

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """The output for a batch of pairs."""
        raise NotImplementedError

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Scalar terms by name, each before its weight; "total" is the weighted sum to minimise."""
        raise NotImplementedError

    def needs(self) -> frozenset[str]:
        """Fields of ``Batch`` that ``loss`` cannot do without, besides the images."""
        return frozenset()

    def network(self) -> nn.Module:
        """The part that is exported, with this method's weights: the same module until the mode is set again.

        ``forward(fixed, moving) -> (B, dims, ...)`` of a field, ``forward(image) -> (B, channels, ...)`` of a
        descriptor.
        """
        raise NotImplementedError

    def compiled(self, phase: str) -> nn.Module | None:
        """What a step of ``phase`` spends its time in, to be compiled if asked for; None: nothing can be."""
        return self.network() if phase == (self.phases or ("",))[-1] else None

    def displacement(self, output: Output) -> Tensor:
        """The displacement of a field method on the full grid, ``(B, dims, ...)`` in voxels.

        Raises:
            ValueError: The output is no displacement or velocity.
        """
        if not isinstance(output.value, Tensor) or output.kind not in ("displacement", "velocity"):
            raise ValueError(f"A displacement was asked of an output of kind {output.kind!r}; it has none.")
        field = output.value
        if output.kind == "velocity":
            field = integrate(field, self.integration_steps, self.factor)
        return upsample(field, self.factor)
