"""Warping of images and label maps, and derivatives: what every transform can do on a grid."""

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
        """Return the grid that the transform is defined on, or None."""
        return None

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        """Return, for each of ``(N, 3)`` points in RAS+ mm, whether the field covers it; True for affines."""
        return np.ones(len(as_points(points_mm)), bool)

    @arguments.checked(volume=_VOLUME, grid=_TARGET, interpolation=_INTERPOLATION)
    def warp(
        self,
        volume: Volume,
        grid: Grid | Volume | None = None,
        interpolation: Interpolation = "linear",
        outside: float | None = None,
    ) -> Volume:
        """Warp the moving image onto a grid of the fixed scan: ``warped(p) = volume(self(p))``.

        The result is NaN or infinite where such a voxel has a weight of at least 0.001 in linear
        interpolation (for ``"nearest"``, where it is the nearest), and nowhere else. This holds for
        ``"cubic"`` too, which elsewhere ignores such voxels.

        Warns with ``OutsideWarning`` if most of the result comes from outside the image, or the grid lies
        outside the field.

        Args:
            volume: The moving image, ``(D, H, W)``.
            grid: Where to sample: a grid, or a volume whose grid and file header the result takes. Default:
                the grid of this transform; for a rigid or affine one the grid of ``volume``.
            interpolation: ``"linear"``, ``"nearest"`` or ``"cubic"`` (B-spline).
            outside: Value outside ``volume``, into which the image fades within one voxel around its
                outermost centres; may be NaN. None takes the lowest finite value of ``volume``.

        Returns:
            The warped image, float32, in the intensities of ``volume``.

        Raises:
            InputError: ``outside`` is infinite, or not a number.

        Example:
            >>> from mmreg_rt import Rigid
            >>> moving = Volume.from_array(np.arange(5.0).reshape(1, 5), np.eye(4))
            >>> shift = np.eye(4)
            >>> shift[2, 3] = 1  # axis 2 of the array runs along z here
            >>> Rigid(shift).warp(moving).data[0, 0]
            array([1., 2., 3., 4., 0.], dtype=float32)
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
        """Warp the moving label map onto a grid of the fixed scan.

        Warns as ``warp`` does.

        Args:
            volume: The moving label map, ``(D, H, W)``.
            grid: As in ``warp``.

        Returns:
            The nearest label, in the dtype of ``volume``; 0 outside.

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
        """Compute ``det(d self(p) / dp)`` on ``grid``, float32: local change of volume; <= 0 is a fold."""
        field = self.to_field(self._grid_or(grid))
        return Volume(fields.jacobian(field.displacement_mm, field.grid), field.grid)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def folding(self, grid: Grid | None = None) -> Folding:
        """Count the folds of the transform on ``grid``, by each difference scheme."""
        field = self.to_field(self._grid_or(grid))
        return Folding(*fields.folding(field.displacement_mm, field.grid))

    def _grid_or(self, grid: Grid | None) -> Grid:
        chosen = grid or self.default_grid()
        if chosen is None:
            raise TransformError(
                "MMREG_E_TRANSFORM_NEEDS_GRID",
                f"A {type(self).__name__} has no grid of its own. Give one, such as that of the fixed scan.",
            )
        return chosen

    def _target(self, volume: Volume, grid: Grid | Volume | None) -> tuple[Grid, object | None]:
        if isinstance(grid, Volume):
            return grid.grid, grid.source
        return grid or self.default_grid() or volume.grid, None

    def _pull(
        self, image: Float32, lies: Grid, target: Grid, how: Interpolation, outside: float, valid: Flags
    ) -> Float32:
        """Sample the image on the target; ``valid`` receives where it was sampled."""
        u_vox = fields.to_voxels(self.to_field(target).displacement_mm, target, lies)
        return fields.warp(image, u_vox, how, outside, valid)
