"""Transforms: rigid, affine, displacement field, and one after the other.

A transform maps points of the fixed scan to points of the moving scan, in RAS+ mm (see ``geometry``), so
``t.warp(moving)`` brings the moving scan onto the fixed one, and points of the moving scan are mapped by
``t.inverse()``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments, fields
from .errors import InputError, TransformError
from .geometry import Grid, Volume, as_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .fields import Interpolation
    from .geometry import Float32, Float64

_VOLUME, _GRID, _FIELD = arguments.a("Volume"), arguments.a("Grid"), arguments.a("DisplacementField")
_TARGET = arguments.or_none(arguments.a("Grid", "Volume"))
_INTERPOLATION = arguments.one_of("linear", "nearest", "cubic")
MAX_DISPLACEMENT_MM = 1e5  # far beyond any scanner: such a field is in another unit or not a field
ORTHOGONAL = 1e-4  # largest entry of R^T R - I that a rotation read from text of 5 digits may have
MAX_INVERSE_ERROR_VOX = 0.5  # an inverse that misses by more, anywhere, is none


class Transform(ABC):
    """A map of fixed points to moving points, in RAS+ mm."""

    @abstractmethod
    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """The moving points, ``(N, 3)``, of fixed points ``(N, 3)``, both in RAS+ mm."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The transform of moving points to fixed points."""

    @abstractmethod
    def after(self, field: DisplacementField) -> DisplacementField:
        """``p -> self(field(p))`` as a displacement on the field's grid."""

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
        self, volume: Volume, grid: Grid | Volume | None = None, interpolation: Interpolation = "linear"
    ) -> Volume:
        """``warped(p) = volume(self(p))``: the moving image on a grid of the fixed scan.

        Args:
            volume: The moving image, ``(D, H, W)``.
            grid: Where to sample: a grid, or a volume whose grid and file header the result shall have. By
                default the grid of this transform; for a rigid or affine one the grid of ``volume``.
            interpolation: ``"linear"``, ``"nearest"`` or ``"cubic"`` (B-spline).

        Returns:
            float32, in the intensities of ``volume``; 0 where it would come from outside.
        """
        target, source = self._target(volume, grid)
        return Volume(self._pull(volume, target, interpolation), target, source)

    @arguments.checked(volume=_VOLUME, grid=_TARGET)
    def warp_labels(self, volume: Volume, grid: Grid | Volume | None = None) -> Volume:
        """The moving label map on a grid of the fixed scan: nearest label, dtype kept, 0 outside.

        Raises:
            InputError: A label is not a whole number, or takes more than 32 bits.
        """
        target, source = self._target(volume, grid)
        u_vox = fields.to_voxels(self.to_field(target).displacement, target, volume.grid)
        return Volume(fields.warp_labels(volume.as_labels(), u_vox).astype(volume.data.dtype), target, source)

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

    def _pull(self, volume: Volume, target: Grid, interpolation: Interpolation) -> Float32:
        u_vox = fields.to_voxels(self.to_field(target).displacement, target, volume.grid)
        return fields.warp(volume.as_float32(), u_vox, interpolation)


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

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        mapped: Float64 = as_points(points_mm) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return mapped

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

    def _pull(self, volume: Volume, target: Grid, interpolation: Interpolation) -> Float32:
        index_map: Float64 = np.linalg.inv(volume.grid.affine) @ self.matrix @ target.affine
        return fields.resample(volume.as_float32(), index_map[:3], target.shape, interpolation)


@dataclass(frozen=True, eq=False)
class Rigid(Affine):
    """An affine whose linear part is a rotation.

    Raises:
        TransformError: It is not: the axes are scaled, sheared or mirrored.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        rotation = self.matrix[:3, :3]
        error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
        if error > ORTHOGONAL or np.linalg.det(rotation) < 0:
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

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        points = as_points(points_mm)
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
        """The inverse as a displacement on ``grid``, by default on this field's own.

        The affine part of the field is inverted exactly and what remains by fixed-point iteration (Chen et
        al., "A simple fixed-point approach to invert a deformation field", Med. Phys. 35, 2008), which
        converges where the remainder does not fold.

        Raises:
            TransformError: The field folds, so it has no inverse.
        """
        back = self._affine_part().inverse()
        remainder = back.after(self)
        v_vox, missed_vox = fields.invert(fields.to_voxels(remainder.displacement, self.grid, self.grid))
        if not missed_vox <= MAX_INVERSE_ERROR_VOX:
            raise TransformError(
                "MMREG_E_TRANSFORM_NOT_INVERTIBLE",
                f"An inverse needs a field that does not fold; this one's misses by {missed_vox:.3g} voxels "
                f"somewhere (limit {MAX_INVERSE_ERROR_VOX}). Look at folding(), and smooth the field or "
                "register "
                "again.",
            )
        undone = DisplacementField(fields.to_mm(v_vox, self.grid), self.grid)
        return Composite((back, undone)).to_field(grid or self.grid)

    def _affine_part(self) -> Affine:
        """The affine nearest to the field, in least squares over at most 20 planes along each axis."""
        lattice = [np.unique(np.linspace(0, n - 1, min(n, 20)).astype(int)) for n in self.grid.shape]
        index = np.stack(np.meshgrid(*lattice, indexing="ij"), -1).reshape(-1, 3)
        points = self.grid.map_indices(index)
        i0, i1, i2 = index.T
        u = self.displacement[:, i0, i1, i2].T.astype(np.float64)
        middle = points.mean(axis=0)
        # least squares of smallest norm: along an axis of one voxel the affine stays the identity
        slope = np.linalg.lstsq(points - middle, u - u.mean(axis=0), rcond=1e-9)[0].T
        matrix = np.eye(4)
        matrix[:3, :3] += slope
        matrix[:3, 3] = u.mean(axis=0) - slope @ middle
        return Affine(matrix if np.linalg.det(matrix) > 1e-3 else np.eye(4))


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
        return self.parts[0].default_grid()

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        points = as_points(points_mm)
        for part in self.parts:
            points = part.map_points(points)
        return points

    def inverse(self) -> Composite:
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))

    @arguments.checked(grid=_GRID)
    def to_field(self, grid: Grid) -> DisplacementField:
        field = self.parts[0].to_field(grid)
        for part in self.parts[1:]:
            field = part.after(field)
        return field

    @arguments.checked(field=_FIELD)
    def after(self, field: DisplacementField) -> DisplacementField:
        for part in self.parts:
            field = part.after(field)
        return field


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
