"""Transforms: rigid, affine, displacement field, and one after the other.

A transform maps points of the fixed scan to points of the moving scan, in RAS+ mm (see ``geometry``), so
``t.warp(moving)`` brings the moving scan onto the fixed one, and points of the moving scan are mapped by
``t.inverse()``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
POLISH_VOX, POLISH_STEPS = 1e-6, 50  # of points: the float32 of the sampled inverse, taken to float64


class Transform(Warping):
    """A map of fixed points to moving points, in RAS+ mm."""

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """The moving points, ``(N, 3)``, of fixed points ``(N, 3)``, both in RAS+ mm.

        Warns with ``OutsideWarning`` of points that no field covers: they move as its border does.
        """
        points = as_points(points_mm)
        inside = self.covers(points)
        if not inside.all():
            warn(
                f"{int((~inside).sum())} of {len(points)} points ({(~inside).mean():.1%}) lie outside of the "
                "field that moves them and go on with its border value. Check that they belong to the scan "
                "that the transform starts from, and its direction."
            )
        return self.moved(points)

    @abstractmethod
    def inverse(self) -> Transform:
        """The transform of moving points to fixed points."""

    @abstractmethod
    def after(self, field: DisplacementField) -> DisplacementField:
        """``p -> self(field(p))`` as a displacement on the field's grid."""

    @abstractmethod
    def moved(self, points: Float64) -> Float64:
        """``map_points`` of points ``(N, 3)`` float64, without a warning: for who looks at all of a scan."""

    @arguments.checked(following=arguments.a("Transform"))
    def then(self, following: Transform) -> Transform:
        """``p -> following(self(p))``: this one first."""
        return Composite((self, following))

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        """The displacement ``u(p) = self(p) - p`` at every voxel of ``grid``."""
        zero = np.zeros((3, *grid.shape), np.float32)
        return self.after(DisplacementField(zero, grid))


@dataclass(frozen=True, eq=False)
class Affine(Transform):
    """``p -> matrix @ (p, 1)``.

    Args:
        matrix: ``(4, 4)`` float64, fixed to moving points, RAS+ mm. Kept as a read-only copy.

    Raises:
        TransformError: The matrix is not affine, not finite or not invertible.
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
        self,
        image: Float32,
        lies: Grid,
        target: Grid,
        interpolation: Interpolation,
        outside: float,
        valid: Flags,
    ) -> Float32:
        index_map: Float64 = np.linalg.inv(lies.affine) @ self.matrix @ target.affine
        return fields.resample(image, index_map[:3], target.shape, interpolation, outside, valid)


@dataclass(frozen=True, eq=False)
class Rigid(Affine):
    """An affine whose linear part is a rotation.

    Raises:
        TransformError: It is not: the axes are scaled, sheared or mirrored.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        rotation = self.matrix[:3, :3]
        if not is_rotation(rotation):
            error = departure_from_rotation(rotation)
            raise TransformError(
                "MMREG_E_TRANSFORM_NOT_RIGID",
                f"A rigid transform needs a rotation; found a matrix off by {error:.2g} (limit "
                f"{ORTHOGONAL:g}), determinant {np.linalg.det(rotation):.4g}. "
                "Use Affine for scaling, shear or mirroring.",
            )


@dataclass(frozen=True, eq=False)
class DisplacementField(Transform):
    """``p -> p + u(p)``, ``u`` linear between voxels and going on with its border value outside.

    Args:
        displacement_mm: ``u``, ``(3, D, H, W)`` float32, mm, components x, y, z along RAS+.
        grid: Where its voxels lie, in the space of the fixed scan.

    Raises:
        TransformError: The array does not fit the grid, is not finite or is not in mm.
    """

    displacement_mm: Float32
    grid: Grid

    def __post_init__(self) -> None:
        _GRID(self.grid, "The grid of a displacement")
        found = as_array(self.displacement_mm, "A displacement", "MMREG_E_TRANSFORM_GRID")
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused as that
            u = np.ascontiguousarray(found, np.float32)
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
        """The inverse: exact for points, and a displacement on ``grid``.

        By default on a grid in the space of the moving scan that holds all this field leads to.

        Raises:
            TransformError: The field folds, so it has no inverse.
        """
        return inverse_of(self, grid)


@dataclass(frozen=True, eq=False)
class Composite(Transform):
    """Transforms one after the other: ``parts[0]`` is applied first to fixed points.

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
                "A composite needs at least one part; found none. Use Rigid(numpy.eye(4)) for the identity.",
            )
        object.__setattr__(self, "parts", tuple(flat))

    def default_grid(self) -> Grid | None:
        """That of the first part that has one, brought back through the affine ones before it."""
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
        """Return the parts with neighbouring matrices multiplied: each step costs a pass over the grid."""
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
    """The inverse of ``forward``: exact for points, and sampled as a displacement where they lie.

    Args:
        displacement_mm: As of any field, on ``grid``.
        grid: In the space of the moving scan.
        forward: The field that this is the inverse of.
        back: Inverse of its affine part.
        chain: ``back``, then the inverse of what remains: continues beyond ``grid``.
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
        """The chain's points, then Newton's steps with its affine slope for the field as it is."""
        found = self.chain.moved(points)
        slope = self.back.matrix[:3, :3].T
        limit_mm = POLISH_VOX * min(self.forward.grid.spacing_mm)
        miss = self.forward.moved(found) - points
        active = np.arange(len(points))
        for _ in range(POLISH_STEPS):
            active = active[(np.abs(miss[active]) > limit_mm).any(axis=1)]
            if not len(active):
                break
            tried = found[active] - miss[active] @ slope
            left = self.forward.moved(tried) - points[active]
            better = np.linalg.norm(left, axis=1) < np.linalg.norm(miss[active], axis=1)
            active = active[better]  # what no field covers does not come closer
            found[active], miss[active] = tried[better], left[better]
        return found


def inverse_of(field: DisplacementField, grid: Grid | None = None) -> InverseField:
    """Return the inverse of ``field``, sampled on ``grid``, by default on ``inversion.grid_under``.

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


def _each(parts: Any) -> Iterable[Transform]:
    try:
        parts = list(parts)
    except TypeError:
        wanted = "transforms, one after the other"
        raise arguments.refused("The parts of a composite", wanted, parts) from None
    return (arguments.a("Transform")(part, "Each part of a composite") for part in parts)
