"""The fixed and the moving scan of a transform, for dialects whose numbers refer to their voxels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..geometry import Grid, Volume

if TYPE_CHECKING:
    from collections.abc import Callable

    Scan = Grid | Volume | str | os.PathLike[str]


@dataclass(frozen=True)
class Spaces:
    """The scans that a transform maps between, as far as they are known.

    Attributes:
        fixed: Grid, image or path of the fixed scan.
        moving: The same for the moving scan.
        grid_in: Reads the grid of a file.
    """

    fixed: Scan | None = None
    moving: Scan | None = None
    grid_in: Callable[[Path], Grid] | None = None

    def fixed_grid(self, path: Path, what: str) -> Grid:
        """Return the grid of the fixed scan, which ``what`` needs."""
        return self._required("fixed", path, what)

    def moving_grid(self, path: Path, what: str) -> Grid:
        """Return the grid of the moving scan, which ``what`` needs."""
        return self._required("moving", path, what)

    def both(self, path: Path, what: str) -> tuple[Grid, Grid]:
        """Return the grids of the fixed and of the moving scan."""
        return self.fixed_grid(path, what), self.moving_grid(path, what)

    def known(self, which: str) -> Grid | None:
        """Return the grid of the ``"fixed"`` or ``"moving"`` scan if it is given."""
        scan = self.fixed if which == "fixed" else self.moving
        if scan is None or isinstance(scan, Grid):
            return scan
        if isinstance(scan, Volume):
            return scan.grid
        return self.grid_in(Path(scan)) if self.grid_in else None

    def _required(self, which: str, path: Path, what: str) -> Grid:
        grid = self.known(which)
        if grid is None:
            raise InputError(
                "MMREG_E_TRANSFORM_NEEDS_SCAN",
                f"{path}: {what} counts in voxels of the {which} scan, so its grid is needed. Give the scan "
                f"(--{which}, {which}=).",
            )
        return grid
