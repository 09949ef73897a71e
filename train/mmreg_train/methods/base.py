"""The interface of registration methods.

A method takes two images, ``fixed`` and ``moving``, ``(B, 1, D, H, W)`` or ``(B, 1, H, W)`` float32 in [0,
1], and returns an ``Output``. Its ``network()`` is the part that is exported: convolutions and attention
only. Integration, upsampling and warps stay outside, where the runtime has faster kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmreg_train.layers import integrate, upsample

LEARNING = "learning"  # kind of the outputs before the last training phase


@dataclass(frozen=True)
class Output:
    """The output of a method for a pair.

    Attributes:
        kind: "displacement", "velocity", "rigid", "affine", "descriptor" or, before the last training phase,
            "learning".
        value: A field ``(B, dims, ...)`` in full-grid voxels on the output grid, channels in the order of the
            array axes, with ``warped(p) = moving(p + u(p))``. A descriptor is a pair, of fixed and of moving,
            ``(B, channels, ...)`` each. A rigid motion is ``(B, 6)``, as defined in
            ``mmreg_rt.geometry.rigid_motion``: it moves the content of the moving image onto the fixed one.
    """

    kind: str
    value: Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """Pairs to train on.

    Attributes:
        fixed, moving: Images ``(B, 1, ...)`` float32 in [0, 1].
        fixed_label, moving_label: Label maps ``(B, ...)`` int64, or None.
        displacement: True displacement ``(B, dims, ...)`` in voxels, if known.
        rigid: True motion ``(B, 6)`` in mm and degrees, as in ``Output``, if known.
        surface: Points of an organ in the moving image, ``(B, points, 3)``: x, y, z in mm from the middle of
            the window, on which rigid motions are compared.
    """

    fixed: Tensor
    moving: Tensor
    fixed_label: Tensor | None = None
    moving_label: Tensor | None = None
    displacement: Tensor | None = None
    rigid: Tensor | None = None
    surface: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Move the batch to ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{key: value if value is None else value.to(device) for key, value in values.items()})


@dataclass(frozen=True)
class Window:
    """The grid around an organ that is the input of a network of fixed size.

    Attributes:
        size: ``(D, H, W)`` in voxels.
        spacing_mm: Along axes 0, 1, 2.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.spacing_mm) != 3 or not all(0 < step <= 100 for step in self.spacing_mm):
            raise ValueError(
                f"A window needs three spacings in (0, 100] mm; found spacing_mm={self.spacing_mm!r}."
            )


class Method(nn.Module):
    """A network and its training loss.

    Attributes:
        name: Its name for ``create``.
        settings: Keyword arguments with which ``create`` builds the same method again.
        resolved: Settings that replace those passed, so that files they named are no longer needed.
        dims: 2 or 3.
        output_kind: The kind of every ``Output``.
        channels: Channels of the exported output.
        factor: Factor of the output grid, 1 or 2.
        integration_steps: Squarings of a velocity; 0 for every other kind.
        multiple: Input sizes must be multiples of this.
        window: The only grid that the network accepts, around an organ; None accepts any grid.
        most_voxels: Maximum number of voxels of the input grid; None has no limit.
        trace_multiples: Number of ``multiple`` along axis 0 of the tracing input. A count of 1 that the
            exporter meets, such as of windows, becomes a constant: it must meet two or more.
        painted: Trained on single images painted from label maps of brains (``brain_samples``).
        phases: Training phases in order, as accepted by ``set_phase``, each with its own steps, loss and
            optimiser; empty if everything is trained together. The last one is the registration.
        groups: Arguments of the class that are frozen dataclasses, with their defaults. Settings are flat:
            ``from_settings`` assigns them to the groups by the names of their fields.
    """

    name: str
    output_kind: str
    phases: tuple[str, ...] = ()
    factor: int = 1
    integration_steps: int = 0
    multiple: int = 16
    window: Window | None = None
    most_voxels: int | None = None
    trace_multiples: int = 2
    painted: bool = False
    groups: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def from_settings(cls, **settings: Any) -> Method:
        """Create the method from flat settings, as in ``[settings]`` of a configuration.

        Args:
            **settings: Arguments of the class, and fields of its ``groups``.

        Raises:
            ValueError: A setting has an invalid value.
            TypeError: A setting is unknown.
        """
        arguments = dict(settings)
        for name, default in cls.groups.items():
            own = [field.name for field in fields(default) if field.name in arguments]
            arguments[name] = replace(default, **{field: arguments.pop(field) for field in own})
        return cls(**arguments)

    def __init__(self, dims: int) -> None:
        super().__init__()
        if dims not in (2, 3):
            raise ValueError(f"A method has 2 or 3 dimensions; found dims={dims!r}.")
        self.dims = dims
        self.channels = dims
        self.settings: dict[str, Any] = {}
        self.resolved: dict[str, Any] = {}

    def set_phase(self, phase: str) -> None:
        """Select the training phase: which weights are trained, what ``forward`` and ``loss`` return.

        A new method, or one read from a checkpoint, is in its last phase. Before that, outputs have the kind
        "learning" and are for ``loss`` only.

        Args:
            phase: One of ``phases``.
        """
        assert phase in self.phases

    def on_step_begin(self, step: int) -> None:
        """Update state that changes with ``step``, counted from 0 in its phase; called before every step."""

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """Return the output for a batch of pairs ``(B, 1, ...)``."""
        raise NotImplementedError

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return scalar terms by name, unweighted; "total" is the weighted sum to minimise."""
        raise NotImplementedError

    def required_targets(self) -> frozenset[str]:
        """Return the fields of ``Batch`` that ``loss`` requires besides the images."""
        return frozenset()

    def network(self) -> nn.Module:
        """Return the exported part, sharing this method's weights.

        It is the same module until the mode changes. ``forward(fixed, moving) -> (B, dims, ...)`` for a
        field, ``forward(image) -> (B, channels, ...)`` for a descriptor.
        """
        raise NotImplementedError

    def compilable_module(self, phase: str) -> nn.Module | None:
        """Return the module that dominates a step of ``phase``, to be compiled; None if there is none."""
        return self.network() if phase == (self.phases or ("",))[-1] else None

    def displacement(self, output: Output) -> Tensor:
        """Return the displacement of a field output on the full grid, ``(B, dims, ...)`` in voxels.

        Raises:
            ValueError: The output is not a displacement or velocity.
        """
        if not isinstance(output.value, Tensor) or output.kind not in ("displacement", "velocity"):
            raise ValueError(f"An output of kind {output.kind!r} has no displacement.")
        field = output.value
        if output.kind == "velocity":
            field = integrate(field, self.integration_steps, self.factor)
        return upsample(field, self.factor)
