"""Registration of every frame of a series to a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..geometry import Volume
from ..transform import Affine, Rigid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..geometry import Float32, Float64, Grid
    from ..registrar import Registrar


class Frames(Protocol):
    """Images on one grid, which can be read more than once."""

    @property
    def grid(self) -> Grid:
        """Grid of every image."""

    @property
    def count(self) -> int:
        """Number of images."""

    def frames(self) -> Iterator[Volume]:
        """Yield every image."""


@dataclass(frozen=True, eq=False)
class Followed:
    """One frame of a series.

    Attributes:
        motion: Maps points of the reference to points of the frame, RAS+ mm; rigid, or affine if the
            registrar aligns so.
        warped: ``(D, H, W)`` float32: the frame on the grid of the reference, with its motion undone.
        tracked: The registration started from the motion of the frame before.
    """

    motion: Affine
    warped: Float32
    tracked: bool


def follow(
    series: Frames, reference: Volume, registrar: Registrar, same: int | None = None
) -> Iterator[Followed]:
    """Register each frame to a reference, starting from the motion of the frame before.

    Args:
        series: The frames.
        reference: The image that stands still; it may be a frame, or the mean of all.
        registrar: Its options decide what a motion is: rigid, affine, or with a deformation.
        same: Number of the frame that is the reference: it does not move.

    Yields:
        What each frame is, in order; one frame is in memory at a time.

    Raises:
        MmregError: As ``Registrar.register``.
    """
    session = registrar.session(reference)
    for number, frame in enumerate(series.frames()):
        if number == same:
            yield Followed(Rigid(np.eye(4)), frame.as_float32(), False)
            continue
        result = session.register(frame, quality="none")
        yield Followed(
            result.affine or result.rigid or Rigid(np.eye(4)), result.warped.as_float32(), result.tracked
        )


class RunningMean:
    """Mean of images that come one at a time, summed in float64."""

    def __init__(self) -> None:
        self._total: Float64 | None = None
        self._count = 0

    def add(self, image: Float32) -> Float32:
        """Add an image, and return it."""
        if self._total is None:
            self._total = np.zeros(image.shape)
        self._total += image
        self._count += 1
        return image

    def mean(self) -> Float32:
        """Return the mean of the images so far, of which there must be one."""
        assert self._total is not None
        return np.asarray(self._total / self._count, np.float32)
