"""Transforms: rigid, affine, displacement field and composite.

A transform maps points of the fixed scan to points of the moving scan, in RAS+ mm (see ``geometry``), so
``t.warp(moving)`` brings the moving scan onto the fixed one, and points of the moving scan are mapped by
``t.inverse()``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..errors import TransformError
from ..geometry import Grid, as_points
from . import fields, inversion
from .checks import (
    ORTHOGONAL,
    as_array,
    check_displacement,
    check_matrix,
    departure_from_rotation,
    is_rotation,
)
from .coverage import warn
from .warping import Warping

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..geometry import Float32, Float64
    from .fields import Interpolation

    Flags = npt.NDArray[np.bool_]

_GRID, _FIELD = arguments.a("Grid"), arguments.a("DisplacementField")
POLISH_VOX, POLISH_STEPS = 1e-6, 50  # refinement of inverse points from float32 to float64 accuracy


class Transform(Warping):
    """A map of fixed points to moving points, in RAS+ mm."""

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """Map fixed points to moving points.

        Warns with ``OutsideWarning`` about points outside the field, which move with its border value.

        Args:
            points_mm: ``(N, 3)``, RAS+ mm.

        Returns:
            ``(N, 3)`` float64, RAS+ mm.

        Raises:
            InputError: The points are not an array ``(N, 3)`` of numbers.
        """
        points = as_points(points_mm)
        inside = self.covers(points)
        if not inside.all():
            warn(
                f"{int((~inside).sum())} of {len(points)} points ({(~inside).mean():.1%}) lie outside the "
                "field and move with its border value. Check that they belong to the scan that the transform "
                "starts from, and its direction."
            )
        return self.moved(points)

    @abstractmethod
    def inverse(self) -> Transform:
        """Return the transform that maps moving points to fixed points."""

    @abstractmethod
    def after(self, field: DisplacementField) -> DisplacementField:
        """Return ``p -> self(field(p))`` as a displacement on the field's grid."""

    @abstractmethod
    def moved(self, points: Float64) -> Float64:
        """Map points ``(N, 3)`` float64 as ``map_points`` does, without checks and warnings."""

    @arguments.checked(following=arguments.a("Transform"))
    def then(self, following: Transform) -> Transform:
        """Return ``p -> following(self(p))``: this transform is applied first."""
        return Composite((self, following))

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        """Return the displacement ``u(p) = self(p) - p`` at every voxel of ``grid``."""
        zero = np.zeros((3, *grid.shape), np.float32)
        return self.after(DisplacementField(zero, grid))


@dataclass(frozen=True, eq=False)
class Affine(Transform):
    """An affine transform, ``p -> matrix @ (p, 1)``.

    Args:
        matrix: ``(4, 4)``, fixed to moving points, RAS+ mm. Kept as a read-only float64 copy.

    Raises:
        TransformError: The matrix is not affine, not finite or not invertible.

    Example:
        >>> double = Affine(np.diag([2.0, 2.0, 2.0, 1.0]))
        >>> double.map_points([[1.0, 2.0, 3.0]])
        array([[2., 4., 6.]])
        >>> float(double.then(double.inverse()).matrix[0, 0])
        1.0
    """

    matrix: Float64

    def __post_init__(self) -> None:
        matrix = as_array(self.matrix, "The matrix of a transform", "MMREG_E_TRANSFORM_MATRIX").astype(
            np.float64
        )
        check_matrix(matrix)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    def moved(self, points: Float64) -> Float64:
        moved: Float64 = points @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved

    def inverse(self) -> Affine:
        return type(self)(np.asarray(np.linalg.inv(self.matrix), np.float64))

    @arguments.checked(following=arguments.a("Transform"))
    def then(self, following: Transform) -> Transform:
        if not isinstance(following, Affine):
            return super().then(following)
        kind = Rigid if isinstance(self, Rigid) and isinstance(following, Rigid) else Affine
        return kind(following.matrix @ self.matrix)

    @arguments.checked(field=_FIELD)
    def after(self, field: DisplacementField) -> DisplacementField:
        beyond: Float64 = (self.matrix - np.eye(4)) @ field.grid.affine
        u = fields.add_affine(field.displacement_mm, self.matrix[:3, :3], beyond[:3])
        return DisplacementField(u, field.grid)

    def _pull(
        self, image: Float32, lies: Grid, target: Grid, how: Interpolation, outside: float, valid: Flags
    ) -> Float32:
        index_map: Float64 = np.linalg.inv(lies.affine) @ self.matrix @ target.affine
        return fields.resample(image, index_map[:3], target.shape, how, outside, valid)


@dataclass(frozen=True, eq=False)
class Rigid(Affine):
    """A rigid transform: an affine whose linear part is a rotation.

    Args:
        matrix: As in ``Affine``.

    Raises:
        TransformError: The matrix scales, shears or mirrors, or is not valid for ``Affine``.

    Example:
        >>> shift = np.eye(4)
        >>> shift[:3, 3] = 0, 0, 5
        >>> Rigid(shift).inverse().map_points([[0.0, 0.0, 0.0]])
        array([[ 0.,  0., -5.]])
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        rotation = self.matrix[:3, :3]
        if not is_rotation(rotation):
            error = departure_from_rotation(rotation)
            raise TransformError(
                "MMREG_E_TRANSFORM_NOT_RIGID",
                f"A rigid transform needs a rotation; found a matrix that departs from one by {error:.2g} "
                f"(limit {ORTHOGONAL:g}), determinant {np.linalg.det(rotation):.4g}. Use Affine for scaling, "
                "shear or mirroring.",
            )


@dataclass(frozen=True, eq=False)
class DisplacementField(Transform):
    """A dense transform, ``p -> p + u(p)``; ``u`` is trilinear, with its border value outside the grid.

    Args:
        displacement_mm: ``u``, ``(3, D, H, W)`` float32, mm, components x, y, z along RAS+.
        grid: Grid of ``u``, in the space of the fixed scan.

    Raises:
        TransformError: The array does not fit the grid, is not finite or is not in mm.

    Example:
        >>> grid = Grid((4, 5, 6), np.eye(4))
        >>> field = DisplacementField(np.full((3, 4, 5, 6), 0.5), grid)
        >>> field.map_points([[1.0, 2.0, 3.0]])
        array([[1.5, 2.5, 3.5]])
        >>> field.folding().folded_voxels
        0
    """

    displacement_mm: Float32
    grid: Grid

    def __post_init__(self) -> None:
        _GRID(self.grid, "The grid of a displacement")
        values = as_array(self.displacement_mm, "A displacement", "MMREG_E_TRANSFORM_GRID")
        with np.errstate(over="ignore"):  # values that overflow are refused as not finite
            u = np.ascontiguousarray(values, np.float32)
        check_displacement(u, self.grid)
        object.__setattr__(self, "displacement_mm", u)

    def default_grid(self) -> Grid:
        return self.grid

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        return self.grid.contains(points_mm)

    def moved(self, points: Float64) -> Float64:
        moved: Float64 = points + fields.sample_points(self.displacement_mm, self.grid.map_points(points))
        return moved

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        if grid == self.grid:
            return self
        index_map: Float64 = np.linalg.inv(self.grid.affine) @ grid.affine
        return DisplacementField(fields.resample_field(self.displacement_mm, index_map[:3], grid.shape), grid)

    @arguments.checked(field=_FIELD)
    def after(self, field: DisplacementField) -> DisplacementField:
        u_vox = fields.to_voxels(field.displacement_mm, field.grid, self.grid)
        return DisplacementField(
            field.displacement_mm + fields.sample(self.displacement_mm, u_vox), field.grid
        )

    @arguments.checked(grid=arguments.or_none(_GRID))
    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        """Return the inverse: exact for points, and a displacement on ``grid``.

        Args:
            grid: Grid of the inverse; None takes one in the space of the moving scan that covers all points
                this field maps to.

        Raises:
            TransformError: The field folds, so it has no inverse.
        """
        return inverse_of(self, grid)


@dataclass(frozen=True, eq=False)
class Composite(Transform):
    """A chain of transforms: ``parts[0]`` is applied first to fixed points.

    Args:
        parts: The transforms; those of nested composites are taken one by one.

    Raises:
        TransformError: There is no part.
    """

    parts: Sequence[Transform]

    def __post_init__(self) -> None:
        flat: list[Transform] = []
        for part in _each(self.parts):
            flat.extend(part.parts if isinstance(part, Composite) else (part,))
        if not flat:
            raise TransformError(
                "MMREG_E_TRANSFORM_EMPTY",
                "A composite must have at least one part. Use Rigid(numpy.eye(4)) for the identity.",
            )
        object.__setattr__(self, "parts", tuple(flat))

    def default_grid(self) -> Grid | None:
        """Return the grid of the first part that has one, mapped back through the affine parts before it."""
        before = np.eye(4)
        for part in self.parts:
            grid = part.default_grid()
            if grid is not None:
                back = Affine(np.asarray(np.linalg.inv(before), np.float64))
                return (
                    grid
                    if part is self.parts[0]
                    else inversion.grid_under(back.moved, grid, back.matrix[:3, :3])
                )
            before = part.matrix @ before if isinstance(part, Affine) else before
        return None

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        points = as_points(points_mm)
        inside = np.ones(len(points), bool)
        for part in self._steps():
            inside &= part.covers(points)
            points = part.moved(points)
        return inside

    def moved(self, points: Float64) -> Float64:
        for part in self._steps():
            points = part.moved(points)
        return points

    def inverse(self) -> Composite:
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        first, *others = self._steps()
        field = first.to_field(grid)
        for part in others:
            field = part.after(field)
        return field

    @arguments.checked(field=_FIELD)
    def after(self, field: DisplacementField) -> DisplacementField:
        for part in self._steps():
            field = part.after(field)
        return field

    def _steps(self) -> list[Transform]:
        """Return the parts with neighbouring matrices multiplied, as each step costs a pass over the grid."""
        steps: list[Transform] = []
        matrix: Float64 | None = None
        for part in self.parts:
            if isinstance(part, Affine):
                matrix = part.matrix if matrix is None else part.matrix @ matrix
                continue
            steps += [part] if matrix is None else [Affine(matrix), part]
            matrix = None
        return steps if matrix is None else [*steps, Affine(matrix)]


@dataclass(frozen=True, eq=False)
class InverseField(DisplacementField):
    """The inverse of ``forward``: exact for points, and sampled as a displacement on ``grid``.

    Args:
        displacement_mm: As in ``DisplacementField``.
        grid: Grid in the space of the moving scan.
        forward: The field whose inverse this is.
        back: Inverse of the affine part of ``forward``.
        chain: ``back``, then the inverse of the remainder; valid beyond ``grid``.
    """

    forward: DisplacementField
    back: Affine
    chain: Composite

    def covers(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        return self.forward.grid.contains(self.chain.moved(as_points(points_mm)))

    def to_field(self, grid: Grid) -> DisplacementField:
        return self if grid == self.grid else self.chain.to_field(grid)

    def after(self, field: DisplacementField) -> DisplacementField:
        return self.chain.after(field)

    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        return self.forward if grid is None else self.forward.to_field(grid)

    def moved(self, points: Float64) -> Float64:
        """Map points by the chain, then refine them by Newton steps with its affine slope."""
        mapped = self.chain.moved(points)
        slope = self.back.matrix[:3, :3].T
        limit_mm = POLISH_VOX * min(self.forward.grid.spacing_mm)
        residual = self.forward.moved(mapped) - points
        active = np.arange(len(points))
        for _ in range(POLISH_STEPS):
            active = active[(np.abs(residual[active]) > limit_mm).any(axis=1)]
            if not len(active):
                break
            trial = mapped[active] - residual[active] @ slope
            remaining = self.forward.moved(trial) - points[active]
            better = np.linalg.norm(remaining, axis=1) < np.linalg.norm(residual[active], axis=1)
            active = active[better]  # points outside the field do not come closer
            mapped[active], residual[active] = trial[better], remaining[better]
        return mapped


def inverse_of(field: DisplacementField, grid: Grid | None = None) -> InverseField:
    """Return the inverse of ``field``, sampled on ``grid`` or, if None, on ``inversion.grid_under``.

    Raises:
        TransformError: The field folds, so it has no inverse.
    """
    affine = Affine(inversion.affine_part(field.displacement_mm, field.grid))
    back = affine.inverse()
    remainder = back.after(field)
    chain = Composite((back, DisplacementField(*inversion.undo(remainder.displacement_mm, remainder.grid))))
    if grid is None:
        grid = inversion.grid_under(field.moved, field.grid, affine.matrix[:3, :3])
    return InverseField(chain.to_field(grid).displacement_mm, grid, field, back, chain)


def _each(parts: Iterable[Transform]) -> Iterable[Transform]:
    try:
        parts = list(parts)
    except TypeError:
        raise arguments.refused("The parts of a composite", "a sequence of transforms", parts) from None
    return (arguments.a("Transform")(part, "Each part of a composite") for part in parts)
