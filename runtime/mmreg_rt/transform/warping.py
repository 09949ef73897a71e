"""Images, label maps and derivatives under a transform: what every transform does on a grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..errors import TransformError
from ..geometry import Grid, Volume, as_points, outside_value
from . import fields
from .coverage import warn_outside
from .folding import Folding

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Float32
    from .fields import Interpolation
    from .transform import DisplacementField

    Flags = npt.NDArray[np.bool_]

_VOLUME, _GRID = arguments.a("Volume"), arguments.a("Grid")
_TARGET = arguments.or_none(arguments.a("Grid", "Volume"))
_INTERPOLATION = arguments.one_of("linear", "nearest", "cubic")


class Warping(ABC):
    """A map of points that can be sampled on a grid."""

    @abstractmethod
    def to_field(self, grid: Grid) -> DisplacementField:
        """Return the displacement at every voxel of ``grid``."""

    def default_grid(self) -> Grid | None:
        """The grid that the transform itself is defined on, if it has one."""
        return None

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        """Whether each of ``(N, 3)`` points, RAS+ mm, lies in the field that moves it; always for affines."""
        return np.ones(len(as_points(points_mm)), bool)

    @arguments.checked(volume=_VOLUME, grid=_TARGET, interpolation=_INTERPOLATION)
    def warp(
        self,
        volume: Volume,
        grid: Grid | Volume | None = None,
        interpolation: Interpolation = "linear",
        outside: float | None = None,
    ) -> Volume:
        """``warped(p) = volume(self(p))``: the moving image on a grid of the fixed scan.

        Voxels that are NaN or infinite count where they weigh at least 0.001 by linear interpolation, or for
        ``"nearest"`` are the nearest: there the result is not finite either, and nowhere else. That holds for
        ``"cubic"`` too, which goes on from the voxels around as if those were not there.

        Warns with ``OutsideWarning`` where most of the result comes from outside of the image, or the grid
        lies outside of the field.

        Args:
            volume: The moving image, ``(D, H, W)``.
            grid: Where to sample: a grid, or a volume whose grid and file header the result shall have. By
                default the grid of this transform; for a rigid or affine one the grid of ``volume``.
            interpolation: ``"linear"``, ``"nearest"`` or ``"cubic"`` (B-spline).
            outside: The value where it would come from outside of ``volume``, into which it fades within one
                voxel around its outermost centres; NaN is one. None is the lowest finite value of ``volume``.

        Returns:
            float32, in the intensities of ``volume``.

        Raises:
            InputError: ``outside`` is infinite, or no number.
        """
        target, source = self._target(volume, grid)
        image = volume.as_float32()
        value = outside_value(image, outside)
        valid = np.zeros(target.shape, bool)
        warped = self._pull(image, volume.grid, target, interpolation, value, valid)
        warn_outside(self, target, valid)
        return Volume(warped, target, source)

    @arguments.checked(volume=_VOLUME, grid=_TARGET)
    def warp_labels(self, volume: Volume, grid: Grid | Volume | None = None) -> Volume:
        """The moving label map on a grid of the fixed scan: nearest label, dtype kept, 0 outside.

        Warns as ``warp`` does.

        Raises:
            InputError: A label is not a whole number, or takes more than 32 bits.
        """
        target, source = self._target(volume, grid)
        u_vox = fields.to_voxels(self.to_field(target).displacement_mm, target, volume.grid)
        valid = np.zeros(target.shape, bool)
        labels = fields.warp_labels(volume.as_labels(), u_vox, valid)
        warn_outside(self, target, valid)
        return Volume(labels.astype(volume.data.dtype), target, source)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def jacobian_determinant(self, grid: Grid | None = None) -> Volume:
        """``det(d self(p) / dp)`` on ``grid``, float32: local change of volume; 1 keeps it, <= 0 folds."""
        field = self.to_field(self._grid_or(grid))
        return Volume(fields.jacobian(field.displacement_mm, field.grid), field.grid)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def folding(self, grid: Grid | None = None) -> Folding:
        """Where the transform folds on ``grid``, by each way of taking differences."""
        field = self.to_field(self._grid_or(grid))
        return Folding(*fields.folding(field.displacement_mm, field.grid))

    def _grid_or(self, grid: Grid | None) -> Grid:
        found = grid or self.default_grid()
        if found is None:
            raise TransformError(
                "MMREG_E_TRANSFORM_NEEDS_GRID",
                f"This needs a grid and a {type(self).__name__} has none. Give one, such as the fixed grid.",
            )
        return found

    def _target(self, volume: Volume, grid: Grid | Volume | None) -> tuple[Grid, object | None]:
        if isinstance(grid, Volume):
            return grid.grid, grid.source
        return grid or self.default_grid() or volume.grid, None

    def _pull(
        self,
        image: Float32,
        lies: Grid,
        target: Grid,
        interpolation: Interpolation,
        outside: float,
        valid: Flags,
    ) -> Float32:
        """The image on the target; ``valid`` gets where it was sampled."""
        u_vox = fields.to_voxels(self.to_field(target).displacement_mm, target, lies)
        return fields.warp(image, u_vox, interpolation, outside, valid)
