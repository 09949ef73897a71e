"""Transforms: rigid, affine, displacement field, and one after the other.

A transform maps points of the fixed scan to points of the moving scan, in RAS+ mm (see ``geometry``), so
``t.warp(moving)`` brings the moving scan onto the fixed one, and points of the moving scan are mapped by
``t.inverse()``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments, fields
from .errors import InputError, OutsideWarning, TransformError
from .geometry import Grid, Volume, as_points, outside_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .fields import Interpolation
    from .geometry import Float32, Float64

    Flags = npt.NDArray[np.bool_]

_VOLUME, _GRID, _FIELD = arguments.a("Volume"), arguments.a("Grid"), arguments.a("DisplacementField")
_TARGET = arguments.or_none(arguments.a("Grid", "Volume"))
_INTERPOLATION = arguments.one_of("linear", "nearest", "cubic")
MAX_DISPLACEMENT_MM = 1e5  # far beyond any scanner: such a field is in another unit or not a field
ORTHOGONAL = 1e-4  # largest entry of R^T R - I that a rotation read from text of 5 digits may have
COVER_PLANES = 40  # along each axis of a grid, of the voxels that are looked up in a field
MOSTLY = 0.5  # share of a warped image from outside of the scan that is worth a word
UNCOVERED = 0.01  # share of a grid that gets an image though no field covers it, likewise


class Transform(ABC):
    """A map of fixed points to moving points, in RAS+ mm."""

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """The moving points, ``(N, 3)``, of fixed points ``(N, 3)``, both in RAS+ mm.

        Warns with ``OutsideWarning`` of points that no field covers: they move as its border does.
        """
        points = as_points(points_mm)
        inside = self.covers(points)
        if not inside.all():
            _warn(
                f"{int((~inside).sum())} of {len(points)} points ({(~inside).mean():.1%}) lie outside of the "
                "field that moves them and go on with its border value. Check that they belong to the scan "
                "that the transform starts from, and its direction."
            )
        return self.moved(points)

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        """Whether each of ``(N, 3)`` points, RAS+ mm, lies in the field that moves it; always for affines."""
        return np.ones(len(as_points(points_mm)), bool)

    @abstractmethod
    def inverse(self) -> Transform:
        """The transform of moving points to fixed points."""

    @abstractmethod
    def after(self, field: DisplacementField) -> DisplacementField:
        """``p -> self(field(p))`` as a displacement on the field's grid."""

    @abstractmethod
    def moved(self, points: Float64) -> Float64:
        """``map_points`` of points ``(N, 3)`` float64, without a warning: for who looks at all of a scan."""

    def default_grid(self) -> Grid | None:
        """The grid that the transform itself is defined on, if it has one."""
        return None

    @arguments.checked(following=arguments.a("Transform"))
    def then(self, following: Transform) -> Transform:
        """``p -> following(self(p))``: this one first."""
        return Composite((self, following))

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        """The displacement ``u(p) = self(p) - p`` at every voxel of ``grid``."""
        zero = np.zeros((3, *grid.shape), np.float32)
        return self.after(DisplacementField(zero, grid))

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
        self._warn_outside(target, valid)
        return Volume(warped, target, source)

    @arguments.checked(volume=_VOLUME, grid=_TARGET)
    def warp_labels(self, volume: Volume, grid: Grid | Volume | None = None) -> Volume:
        """The moving label map on a grid of the fixed scan: nearest label, dtype kept, 0 outside.

        Warns as ``warp`` does.

        Raises:
            InputError: A label is not a whole number, or takes more than 32 bits.
        """
        target, source = self._target(volume, grid)
        u_vox = fields.to_voxels(self.to_field(target).displacement, target, volume.grid)
        valid = np.zeros(target.shape, bool)
        labels = fields.warp_labels(volume.as_labels(), u_vox, valid)
        self._warn_outside(target, valid)
        return Volume(labels.astype(volume.data.dtype), target, source)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def jacobian_determinant(self, grid: Grid | None = None) -> Volume:
        """``det(d self(p) / dp)`` on ``grid``, float32: local change of volume; 1 keeps it, <= 0 folds."""
        field = self.to_field(self._grid_or(grid))
        return Volume(fields.jacobian(field.displacement, field.grid), field.grid)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def folding(self, grid: Grid | None = None) -> Folding:
        """Where the transform folds on ``grid``, by each way of taking differences."""
        field = self.to_field(self._grid_or(grid))
        return Folding(*fields.folding(field.displacement, field.grid))

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
        u_vox = fields.to_voxels(self.to_field(target).displacement, target, lies)
        return fields.warp(image, u_vox, interpolation, outside, valid)

    def _warn_outside(self, target: Grid, valid: Flags) -> None:
        outside = 1 - float(valid.mean())
        if outside > MOSTLY:
            share = "All" if outside == 1 else f"{outside:.1%}"
            _warn(
                f"{share} of the {target.size} voxels come from outside of the image. Check that the "
                "transform belongs to it, its direction (inverse), and the grid.",
                4,
            )
        steps = [-(-n // COVER_PLANES) for n in target.shape]
        lines = [np.arange(step // 2, n, step) for n, step in zip(target.shape, steps, strict=True)]
        index = np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
        covered = self.covers(target.map_indices(index))
        beyond = float((valid[np.ix_(*lines)].ravel() & ~covered).mean())
        if beyond > UNCOVERED:
            _warn(
                f"{beyond:.1%} of the grid lies outside of the field that moves it, which goes on there "
                "with its border value. Give a grid of the scan that the transform starts from.",
                4,
            )


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
        matrix = _numbers(self.matrix, "The matrix of a transform", "MMREG_E_TRANSFORM_MATRIX").astype(
            np.float64
        )
        _check_matrix(matrix)
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
        u = fields.add_affine(field.displacement, self.matrix[:3, :3], beyond[:3])
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
            error = _departure(rotation)
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
        displacement: ``u``, ``(3, D, H, W)`` float32, mm, components x, y, z along RAS+.
        grid: Where its voxels lie, in the space of the fixed scan.

    Raises:
        TransformError: The array does not fit the grid, is not finite or is not in mm.
    """

    displacement: Float32
    grid: Grid

    def __post_init__(self) -> None:
        _GRID(self.grid, "The grid of a displacement")
        found = _numbers(self.displacement, "A displacement", "MMREG_E_TRANSFORM_GRID")
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused as that
            u = np.ascontiguousarray(found, np.float32)
        _check_displacement(u, self.grid)
        object.__setattr__(self, "displacement", u)

    def default_grid(self) -> Grid:
        return self.grid

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        return self.grid.contains(points_mm)

    def moved(self, points: Float64) -> Float64:
        moved: Float64 = points + fields.sample_points(self.displacement, self.grid.map_points(points))
        return moved

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        if grid == self.grid:
            return self
        index_map: Float64 = np.linalg.inv(self.grid.affine) @ grid.affine
        return DisplacementField(fields.resample_field(self.displacement, index_map[:3], grid.shape), grid)

    @arguments.checked(field=_FIELD)
    def after(self, field: DisplacementField) -> DisplacementField:
        u_vox = fields.to_voxels(field.displacement, field.grid, self.grid)
        return DisplacementField(field.displacement + fields.sample(self.displacement, u_vox), field.grid)

    @arguments.checked(grid=arguments.or_none(_GRID))
    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        """The inverse: exact for points, and a displacement on ``grid``.

        By default on a grid in the space of the moving scan that holds all this field leads to.

        Raises:
            TransformError: The field folds, so it has no inverse.
        """
        from .inversion import inverse_of

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
        from .inversion import grid_under

        before = np.eye(4)
        for part in self.parts:
            grid = part.default_grid()
            if grid is not None:
                back = Affine(np.asarray(np.linalg.inv(before), np.float64))
                return grid if part is self.parts[0] else grid_under(back, grid, back.matrix[:3, :3])
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


@dataclass(frozen=True)
class Folding:
    """Where a transform folds: its Jacobian determinant is 0 or less.

    Nine ways of taking differences: entry 0 takes central ones, entries 1 to 8 one-sided ones, with each
    combination of backward (0) and forward (1) along axes 0, 1, 2, ordered as ``numpy.ndindex(2, 2, 2)``.
    """

    counts: tuple[int, ...]  # voxels that fold, for each way
    minima: tuple[float, ...]  # smallest determinant, for each way

    @property
    def folded_voxels(self) -> int:
        """Most voxels that fold by any one way: 0 if and only if none folds by any."""
        return max(self.counts)

    @property
    def min_jacobian(self) -> float:
        """Smallest determinant by any way."""
        return min(self.minima)


def is_rotation(linear: Float64) -> bool:
    """Whether a ``(3, 3)`` matrix is a rotation, to the rounding of numbers written as text."""
    return _departure(linear) <= ORTHOGONAL and bool(np.linalg.det(linear) > 0)


def _departure(linear: Float64) -> float:
    """Return the largest entry of ``R^T R - I``, which is 0 for a rotation."""
    return float(np.abs(linear.T @ linear - np.eye(3)).max())


def _numbers(given: npt.ArrayLike, name: str, code: str) -> npt.NDArray[Any]:
    try:
        return arguments.array(given, name, code)
    except InputError as reason:
        raise TransformError(reason.code, str(reason.args[0])) from reason


def _each(parts: Any) -> Iterable[Transform]:
    try:
        parts = list(parts)
    except TypeError:
        wanted = "transforms, one after the other"
        raise arguments.refused("The parts of a composite", wanted, parts) from None
    return (arguments.a("Transform")(part, "Each part of a composite") for part in parts)


def _warn(message: str, stacklevel: int = 3) -> None:
    warnings.warn(message, OutsideWarning, stacklevel=stacklevel)


def _check_matrix(matrix: Float64) -> None:
    shown = " ".join(f"{v:g}" for v in matrix.ravel()[:16])
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise TransformError(
            "MMREG_E_TRANSFORM_MATRIX",
            f"A matrix is (4, 4) with last row 0 0 0 1; found shape {matrix.shape}: {shown}.",
        )
    if not np.isfinite(matrix).all():
        raise TransformError("MMREG_E_TRANSFORM_NOT_FINITE", f"A matrix needs finite numbers; found {shown}.")
    if np.linalg.cond(matrix[:3, :3]) > 1e6:
        raise TransformError(
            "MMREG_E_TRANSFORM_SINGULAR",
            f"A transform must have an inverse; found a singular matrix: {shown}.",
        )


def _check_displacement(u: Float32, grid: Grid) -> None:
    if u.shape != (3, *grid.shape):
        raise TransformError(
            "MMREG_E_TRANSFORM_GRID",
            f"A displacement on a grid {grid.shape} has shape {(3, *grid.shape)}; found {u.shape}. "
            "Give the grid that the field was made on.",
        )
    longest_mm, not_finite = fields.longest(u)
    if not_finite:
        bad = np.argwhere(~np.isfinite(u))
        raise TransformError(
            "MMREG_E_TRANSFORM_NOT_FINITE",
            f"A displacement needs finite numbers; found {not_finite} vectors that are not, the first at "
            f"index {tuple(int(i) for i in bad[0])}. Compute the field again.",
        )
    if longest_mm > MAX_DISPLACEMENT_MM:
        raise TransformError(
            "MMREG_E_TRANSFORM_TOO_LARGE",
            f"A displacement is in mm, at most {MAX_DISPLACEMENT_MM:g}; found {longest_mm:g}. "
            "Check its unit.",
        )
