"""Where voxels lie in space: the one statement of this package's conventions.

- **Arrays** are ``(D, H, W)``, C-order: axis 2 runs fastest. A 2-D image is ``(1, H, W)``; there is no other
  code for it.
- **An affine** maps array indices ``(i0, i1, i2)``, along axes 0, 1, 2, to millimetres in RAS+: x grows to
  the patient's right, y to the front, z to the head. Index ``(0, 0, 0)`` is the *centre* of the first voxel.
- **A transform** maps points of the fixed scan to points of the moving scan, both in RAS+ mm, so warping is a
  pull-back: ``warped(p) = moving(p + u(p))``. Public displacements ``u`` are ``(3, D, H, W)`` float32, in mm,
  components x, y, z along RAS+. Inside the native operations they are in voxels of the sampled grid,
  components ordered like the axes.
- **Outside** the moving scan images have its lowest value, or what the caller says, and label maps 0;
  displacements, velocities and features go on with their border value.

LPS, axis order of files, flips and vector intents exist in ``mmreg_rt.io`` and nowhere else.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments
from .errors import GeometryError, InputError, IntensityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]
    Int32 = npt.NDArray[np.int32]

MAX_VOXELS = 2**31 - 1  # the native operations count voxels of one grid in 31 bits
SPACING_LIMITS_MM = (1e-6, 1e4)  # a nanometre to ten metres: outside, a unit or a header is wrong
MAX_ORIGIN_MM = 1e6  # a kilometre from the scanner's centre
MAX_SHEAR_VOX = 0.1  # of a corner voxel from where orthogonal axes would put it
# Axes nearer to one plane than this lose three digits of every coordinate.
MIN_AXES_VOLUME = 1e-3  # |det| of the three unit axes; 1 when orthogonal


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxel centres in space.

    Args:
        shape: Voxels along axes 0, 1, 2.
        affine: ``(4, 4)`` float64, array indices to RAS+ mm. Kept as a read-only copy.

    Raises:
        GeometryError: The shape or the affine cannot be that of a scan; the message says why.

    Example:
        >>> grid = Grid((1, 4, 5), np.diag([1.0, 2.0, 0.5, 1.0]))
        >>> grid.spacing_mm, grid.dims
        ((1.0, 2.0, 0.5), 2)
    """

    shape: tuple[int, int, int]
    affine: Float64

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _checked_shape(self.shape))
        object.__setattr__(self, "affine", _checked_affine(self.affine))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((self.shape, (self.affine + 0.0).tobytes()))  # -0.0 equals 0.0

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along axes 0, 1, 2."""
        s0, s1, s2 = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(s0), float(s1), float(s2)

    @property
    def dims(self) -> int:
        """2 for a single slice, ``(1, H, W)``, else 3."""
        return 2 if self.shape[0] == 1 else 3

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def handedness(self) -> str:
        """``"right"`` or ``"left"``: how axes 2, 1, 0 (x, y, z of the file) lie in RAS+ space."""
        return "right" if np.linalg.det(self.affine[:3, 2::-1]) > 0 else "left"

    @property
    def is_oblique(self) -> bool:
        """Whether some axis is more than 0.06 degrees off every axis of the patient."""
        directions = np.abs(self.affine[:3, :3] / self.spacing_mm)
        return bool((directions.max(axis=0) < 1 - 5e-7).any())  # cos(0.06 degrees)

    @property
    def shear(self) -> float:
        """Largest cosine between two axes: 0 for a scan, whose axes are orthogonal."""
        directions = self.affine[:3, :3] / self.spacing_mm
        return float(np.abs((directions.T @ directions)[np.triu_indices(3, 1)]).max())

    @property
    def shear_vox(self) -> float:
        """How far the axes are from orthogonal: by how much a corner voxel of ``orthogonal()`` lies off.

        In voxels, each axis by its own spacing.
        """
        apart = np.linalg.inv(self.affine[:3, :3]) @ (self.orthogonal().corners_mm - self.corners_mm).T
        return float(np.linalg.norm(apart, axis=0).max())

    def orthogonal(self) -> Grid:
        """The nearest grid with orthogonal axes: spacing and centre of the field of view are kept."""
        spacing = np.array(self.spacing_mm)
        affine = self.affine.copy()
        affine[:3, :3] = nearest_orthogonal(self.affine[:3, :3] / spacing) * spacing
        affine[:3, 3] = self.center_mm - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return Grid(self.shape, affine)

    def lattice(self, planes: int) -> npt.NDArray[np.int64]:
        """Array indices ``(N, 3)`` spread evenly: at most ``planes`` along each axis, its ends included."""
        lines = [np.unique(np.linspace(0, n - 1, min(n, planes)).astype(np.int64)) for n in self.shape]
        return np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)

    @property
    def center_mm(self) -> Float64:
        """``(3,)``: the middle of the field of view."""
        center: Float64 = self.map_indices((np.array([self.shape], np.float64) - 1) / 2)[0]
        return center

    @property
    def corners_mm(self) -> Float64:
        """``(8, 3)``: centres of the eight corner voxels."""
        return self.map_indices(np.array([*np.ndindex(2, 2, 2)]) * (np.array(self.shape) - 1))

    def map_indices(self, indices: npt.ArrayLike) -> Float64:
        """RAS+ mm, ``(N, 3)``, of array indices ``(N, 3)``, whole or not."""
        mapped: Float64 = as_points(indices) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return mapped

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """Array indices, ``(N, 3)``, of points ``(N, 3)`` in RAS+ mm."""
        inverse = np.linalg.inv(self.affine[:3, :3])  # a product is ten times as fast as solving for each
        indices: Float64 = (as_points(points_mm) - self.affine[:3, 3]) @ inverse.T
        return indices

    def contains(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each of ``(N, 3)`` points, RAS+ mm, lies in a voxel of the grid."""
        indices = self.map_points(points_mm)
        inside = (indices >= -0.5) & (indices <= np.array(self.shape) - 0.5)
        return np.asarray(inside.all(axis=1))

    def points_mm(self) -> Float64:
        """RAS+ mm of every voxel centre, ``(D * H * W, 3)``, in the order of the array."""
        return self.map_indices(np.indices(self.shape).reshape(3, -1).T)

    @arguments.checked(other=arguments.a("Grid"))
    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have one shape and no voxel centre is further than this from its twin."""
        if self.shape != other.shape:
            return False  # an affine difference is largest at a corner
        return bool(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max() <= tolerance_mm)

    def resampled(self, spacing_mm: float | Sequence[float]) -> Grid:
        """The same field of view with another spacing: one number, or one along each axis.

        The shape is rounded to whole voxels and the centre of the field of view is kept. The thickness of a
        single slice is kept too.
        """
        given = arguments.float64(spacing_mm, "spacing_mm", "MMREG_E_GRID_SPACING")
        asked = np.broadcast_to(given, 3) if given.shape in ((), (1,), (3,)) else np.zeros(3)
        if not (np.isfinite(asked).all() and (asked > 0).all()):
            raise GeometryError(
                "MMREG_E_GRID_SPACING",
                f"A resampled grid needs a spacing above 0 mm; found {reprlib.repr(spacing_mm)}. Give a "
                "number, or three.",
            )
        have = np.array(self.spacing_mm)
        asked = np.where([self.dims == 2, False, False], have, asked)
        shape = np.maximum(1, np.rint(np.array(self.shape) * have / asked))
        if shape.prod() > MAX_VOXELS:
            raise GeometryError(
                "MMREG_E_GRID_SHAPE",
                f"A spacing of {spacing_mm} mm would need {shape.prod():.3g} voxels; the limit is "
                f"{MAX_VOXELS}. Choose a larger spacing.",
            )
        affine = self.affine.copy()
        affine[:3, :3] *= asked / have
        affine[:3, 3] = self.center_mm - affine[:3, :3] @ ((shape - 1) / 2)
        d, h, w = (int(n) for n in shape)
        return Grid((d, h, w), affine)


@dataclass(frozen=True, eq=False)
class Volume:
    """An image and where it lies.

    Args:
        data: ``(D, H, W)``, any real dtype, in the intensities of the scan.
        grid: Where its voxels lie.
        source: What ``mmreg_rt.io`` needs to write the header of the file back; leave it alone.

    Raises:
        InputError: ``data`` is not a real array of the grid's shape.

    Example:
        >>> volume = Volume.from_array(np.zeros((4, 5)), np.eye(3))
        >>> volume.data.shape
        (1, 4, 5)
    """

    data: Array
    grid: Grid
    source: object | None = None

    def __post_init__(self) -> None:
        data = arguments.array(self.data, "The data of a volume", "MMREG_E_VOLUME_DTYPE")
        arguments.a("Grid")(self.grid, "The grid of a volume")
        if data.shape != self.grid.shape:
            raise InputError(
                "MMREG_E_VOLUME_SHAPE",
                f"A volume needs data of its grid's shape {self.grid.shape}, (D, H, W); found {data.shape}.",
            )
        object.__setattr__(self, "data", data)

    @classmethod
    def from_array(cls, array: npt.ArrayLike, affine: npt.ArrayLike) -> Volume:
        """A volume of an array ``(D, H, W)`` and its affine ``(4, 4)``; or of ``(H, W)``.

        For ``(H, W)`` the affine is either ``(4, 4)``, of the array ``(1, H, W)``, or ``(3, 3)``, which maps
        ``(i1, i2)`` to x and y; the slice then lies at z = 0 and is 1 mm thick.
        """
        data = arguments.array(array, "The array of a volume", "MMREG_E_VOLUME_DTYPE")
        matrix = _matrix(affine, "The affine of a volume")
        if data.ndim == 2:
            data = data[None]
            matrix = _slice_affine(matrix) if matrix.shape == (3, 3) else matrix
        if data.ndim != 3:
            raise InputError(
                "MMREG_E_VOLUME_SHAPE",
                f"A volume is an array (D, H, W) or (H, W); found shape {data.shape}. "
                "Register the frames or channels of a larger array one by one.",
            )
        d, h, w = data.shape
        return cls(data, Grid((d, h, w), matrix))

    def with_data(self, data: Array) -> Volume:
        """Another image on this grid, to be written with this header."""
        return Volume(data, self.grid, self.source)

    def as_float32(self) -> Float32:
        """``(D, H, W)`` float32, C-order: the data itself where it is that already.

        Raises:
            IntensityError: A finite value is too large for float32.
        """
        with np.errstate(over="ignore"):
            data: Float32 = np.ascontiguousarray(self.data, np.float32)
        if self.data.dtype.kind == "f" and self.data.dtype.itemsize > 4:
            _refuse_overflow(self.data, data)
        return data

    def as_labels(self) -> Int32:
        """``(D, H, W)`` int32, C-order: the data as a label map.

        Raises:
            InputError: A value is not a whole number, or takes more than 32 bits.
        """
        data = self.data
        whole = np.isfinite(data) & (data == np.rint(data)) if data.dtype.kind == "f" else np.True_
        if not whole.all():
            raise InputError(
                "MMREG_E_LABELS_FRACTIONAL",
                f"Labels are whole numbers; found {data[~whole][0]:g}. Give the label map, not a "
                "probability or a linearly resampled map.",
            )
        low, high = int(data.min()), int(data.max())
        if low < -(2**31) or high >= 2**31:
            raise InputError(
                "MMREG_E_LABELS_RANGE",
                f"Labels must fit 32 bits; found {low} to {high}. Number them anew (numpy.unique).",
            )
        return np.ascontiguousarray(data, np.int32)


def nearest_orthogonal(matrix: Float64) -> Float64:
    """The orthogonal matrix nearest to ``matrix`` ``(3, 3)``; it mirrors where that does."""
    left, _, right = np.linalg.svd(matrix)
    nearest: Float64 = left @ right
    return nearest


def as_points(points: npt.ArrayLike) -> Float64:
    """``points`` as ``(N, 3)`` float64."""
    array = arguments.float64(points, "Points", "MMREG_E_POINTS_SHAPE")
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(
            "MMREG_E_POINTS_SHAPE", f"Points are an array (N, 3), one point a row; found shape {array.shape}."
        )
    return array


def outside_value(image: Float32, asked: object) -> float:
    """The value outside of an image: the one asked for, or if that is None the lowest finite one.

    NaN where no voxel is finite.

    Raises:
        InputError: It is infinite, too large for float32, or no number.
    """
    known = checked_outside(asked)
    if known is not None:
        return known
    finite = np.isfinite(image)
    return float(np.min(image, where=finite, initial=np.inf)) if finite.any() else float("nan")


def checked_outside(asked: object) -> float | None:
    """``asked`` if it can be the value outside of an image.

    Raises:
        InputError: It is infinite, too large for float32, or no number.
    """
    if asked is None:
        return None
    number = isinstance(asked, (int, float, np.integer, np.floating)) and not isinstance(asked, bool)
    if not number or abs(asked) > float(np.finfo(np.float32).max):  # type: ignore[arg-type]
        raise InputError(
            "MMREG_E_OUTSIDE",
            f"The value outside of a scan is a number that float32 holds, or NaN; found {asked!r}. Without "
            "one it is the lowest value of the scan.",
        )
    return float(asked)  # type: ignore[arg-type]


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        d, h, w = whole = tuple(_count(n) for n in shape)
    except (TypeError, ValueError, OverflowError):
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A grid needs three whole numbers of voxels, each at least 1; found {reprlib.repr(shape)}.",
        ) from None
    if d * h * w > MAX_VOXELS:
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A grid of {whole} has {d * h * w} voxels; the limit is {MAX_VOXELS}. Crop or resample it.",
        )
    return d, h, w


def _count(voxels: Any) -> int:
    count = int(voxels)
    if count != voxels or count < 1 or isinstance(voxels, str | bytes | bool | np.bool_):
        raise ValueError
    return count


def _matrix(affine: npt.ArrayLike, name: str) -> Float64:
    try:
        return arguments.float64(affine, name, "MMREG_E_GRID_AFFINE")
    except InputError as reason:
        raise GeometryError(reason.code, str(reason.args[0])) from reason


def _checked_affine(affine: npt.ArrayLike) -> Float64:
    matrix = _matrix(affine, "An affine")
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise GeometryError(
            "MMREG_E_GRID_AFFINE",
            f"An affine is (4, 4) with last row 0 0 0 1; found shape {matrix.shape}: {_numbers(matrix)}.",
        )
    if not np.isfinite(matrix).all():
        raise GeometryError(
            "MMREG_E_GRID_NOT_FINITE",
            f"An affine needs finite numbers; found {_numbers(matrix)}. Repair the header.",
        )
    _check_axes(matrix)
    matrix.flags.writeable = False
    return matrix


def _check_axes(matrix: Float64) -> None:
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    low, high = SPACING_LIMITS_MM
    if not ((spacing >= low) & (spacing <= high)).all():
        raise GeometryError(
            "MMREG_E_GRID_SPACING",
            f"Voxel spacing must lie between {low:g} and {high:g} mm; found {_numbers(spacing)} mm along "
            "axes 0, 1, 2. Repair the spacing or its unit in the header.",
        )
    volume = abs(np.linalg.det(matrix[:3, :3] / spacing))
    if volume < MIN_AXES_VOLUME:
        raise GeometryError(
            "MMREG_E_GRID_SINGULAR",
            f"The three axes of an image must span space; found a singular affine (volume of the unit axes "
            f"{volume:.2g}, limit {MIN_AXES_VOLUME:g}): {_numbers(matrix[:3])}. Repair the header.",
        )
    if np.abs(matrix[:3, 3]).max() > MAX_ORIGIN_MM:
        raise GeometryError(
            "MMREG_E_GRID_ORIGIN",
            f"The first voxel must lie within {MAX_ORIGIN_MM:g} mm of the scanner's centre; found "
            f"{_numbers(matrix[:3, 3])} mm. Repair the origin or its unit in the header.",
        )


def _slice_affine(matrix: Float64) -> Float64:
    """The affine of ``(1, H, W)`` from that of ``(H, W)`` in the plane z = 0."""
    affine = np.zeros((4, 4))
    affine[2, 0] = 1
    affine[:2, 1:] = matrix[:2]
    affine[3, 1:] = matrix[2]
    return affine


def _refuse_overflow(data: Array, narrow: Float32) -> None:
    lost = np.isinf(narrow) & np.isfinite(data)
    if lost.any():
        index = tuple(int(i) for i in np.argwhere(lost)[0])
        raise IntensityError(
            "MMREG_E_INTENSITY_OVERFLOW",
            f"Voxel values must fit float32, up to 3.4e38; found {data[index]:g} at index {index}. "
            "Rescale the intensities.",
        )


def _numbers(values: Array) -> str:
    return " ".join(f"{v:g}" for v in np.asarray(values).ravel())
