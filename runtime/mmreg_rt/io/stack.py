"""Images on one grid in one file, as every reader but that of NIfTI returns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..geometry import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..geometry import Array, Grid


@dataclass(frozen=True)
class Source:
    """Header data that a volume keeps from its file."""

    ending: str  # of a file in the same format
    planar: bool = False  # ITK and ANTs open the file as 2-D


@dataclass(frozen=True)
class Stack:
    """Images on one grid.

    Attributes:
        data: ``(N, D, H, W)``, in the units of the images.
        grid: Grid of every image.
        source: What the file says besides.
    """

    data: Array
    grid: Grid
    source: object

    @property
    def count(self) -> int:
        """Number of images; 1 for a file that is not a series."""
        return len(self.data)

    def frames(self) -> Iterator[Volume]:
        """Yield every image, in the order of the file."""
        for image in self.data:
            yield Volume(image, self.grid, self.source)

    def one(self, frame: int | None, path: Path) -> Volume:
        """Return one image; ``frame`` must be given for a series.

        Raises:
            InputError: There is no such frame, or none was chosen.
        """
        if frame is None and self.count > 1:
            raise InputError(
                "MMREG_E_IMAGE_FRAMES",
                f"{path} holds {self.count} frames or channels; one must be selected. Choose frame=0 to "
                f"frame={self.count - 1}.",
            )
        if frame is not None and not 0 <= frame < self.count:
            raise InputError(
                "MMREG_E_IMAGE_FRAMES",
                f"{path} has frames 0 to {self.count - 1}; frame {frame} was requested.",
            )
        return Volume(self.data[frame or 0], self.grid, self.source)
