"""The true transform: where each point of the fixed scan lies in the moving scan.

    T(p) = R f(p) + t,     f = s o s o ... o s,     s(p) = p + v(p) / n

``v`` is a sum of plane waves, so ``f`` is known at every point and not only on a grid. Each step ``s`` is
invertible because the slope of ``v / n`` is bounded below 1 (Banach's fixed-point theorem, which also gives
the inverse); so are ``f`` and ``T``, without a fold anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .shapes import Floats as Array

if TYPE_CHECKING:
    from ..geometry import Grid
    from ..transform import DisplacementField


@dataclass(frozen=True, eq=False)
class Flow:
    """A smooth diffeomorphism: ``steps`` equal small steps along a sum of plane waves."""

    waves: Array  # (K, 3), radians per mm
    phases: Array  # (K,)
    amplitudes: Array  # (K, 3), mm
    steps: int = 4

    def __post_init__(self) -> None:
        if self.slope_bound >= 1:
            raise ValueError(f"the slope of a step reaches {self.slope_bound:.2f}; it must be below 1")

    @property
    def slope_bound(self) -> float:
        """Upper bound of the slope of one step's displacement, everywhere in space."""
        sizes = np.linalg.norm(self.amplitudes, axis=1) * np.linalg.norm(self.waves, axis=1)
        return float(sizes.sum() / self.steps)

    def step(self, rows: Array) -> Array:
        """Return the displacement of one step at ``rows`` (3, N), mm."""
        # wave by wave: as a matrix product, BLAS would start threads of its own
        out = np.zeros_like(rows)
        x, y, z = rows
        for wave, phase, amplitude in zip(self.waves, self.phases, self.amplitudes / self.steps, strict=True):
            a, b, c = wave.tolist()
            sine = np.sin(x * a + y * b + z * c + float(phase))
            for row, size in zip(out, amplitude.tolist(), strict=True):
                row += sine * size
        return out

    def map_rows(self, rows: Array) -> Array:
        """Map points as rows (3, N), mm, in their own precision."""
        for _ in range(self.steps):
            rows = rows + self.step(rows)
        return rows

    def map_points(self, points: Array) -> Array:
        """Map points (N, 3), mm, by ``f``."""
        return np.ascontiguousarray(self.map_rows(np.array(points.T, np.float64)).T)

    def inverse_points(self, points: Array) -> Array:
        """Solve f(p) = ``points`` (N, 3) by the contraction p <- q - v(p) / n, to 1e-9 mm."""
        rows: Array = np.array(points.T, np.float64)
        for _ in range(self.steps):
            rows = self._inverse_step(rows)
        return np.ascontiguousarray(rows.T)

    def _inverse_step(self, target: Array) -> Array:
        guess = target
        for _ in range(200):
            previous, guess = guess, target - self.step(guess)
            if np.abs(guess - previous).max(initial=0) < 1e-10:
                break
        return guess

    def scaled(self, factor: float) -> Flow:
        """Return the flow with its velocity multiplied by ``factor``."""
        return Flow(self.waves, self.phases, self.amplitudes * factor, self.steps)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true transform from fixed to moving points, mm RAS+: the flow, then the pose."""

    flow: Flow
    pose: Array  # (4, 4)

    def map_points(self, points: Array) -> Array:
        """Map fixed points (N, 3), mm, to the moving scan."""
        points = np.asarray(points, np.float64)
        return moved(self.pose, self.flow.map_points(points))

    def inverse_points(self, points: Array) -> Array:
        """Map moving points (N, 3), mm, to the fixed scan."""
        points = np.asarray(points, np.float64)
        return self.flow.inverse_points(moved(np.linalg.inv(self.pose), points))

    def to_field(self, grid: Grid) -> DisplacementField:
        """Return the transform as a displacement field on ``grid``: ``u(p) = T(p) - p``, mm RAS+."""
        from ..transform import DisplacementField

        points = grid.points_mm().reshape(-1, 3)
        displacement = np.concatenate([self.map_points(part) - part for part in np.array_split(points, 64)])
        rows = displacement.T.reshape(3, *grid.shape)
        return DisplacementField(np.ascontiguousarray(rows, np.float32), grid)

    @property
    def rotation_degrees(self) -> float:
        """Rotation angle of the pose, degrees."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.pose[:3, :3]) - 1) / 2, -1, 1))))


def moved(matrix: Array, points: Array) -> Array:
    """Map points (N, 3) by a (4, 4) matrix."""
    return np.asarray(np.einsum("nj,ij->ni", points, matrix[:3, :3]) + matrix[:3, 3])


def rotation(axis: Array, degrees: float) -> Array:
    """Return the rotation matrix about ``axis`` (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def random_truth(seed: int, inside: Array) -> Truth:
    """Draw a deformation and a pose, scaled for the points ``inside`` the head, (N, 3) mm.

    The 95th percentile of the deformation over the head is 6.5 to 7.5 mm, its features are 70 to 150 mm long,
    the pose turns by 11 to 16 degrees about any axis and shifts by 10 to 16 mm.
    """
    rng = np.random.default_rng([seed, 2])
    direction = rng.normal(size=(9, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength_mm = rng.uniform(70, 150, (9, 1))
    amplitude = rng.normal(size=(9, 3)) * (wavelength_mm / 100) ** 1.5
    flow = Flow(direction * 2 * np.pi / wavelength_mm, rng.uniform(0, 2 * np.pi, 9), amplitude * 0.3)
    goal_mm = rng.uniform(6.5, 7.5)
    for _ in range(4):  # the size of a flow grows almost linearly with its velocity
        size = np.percentile(np.linalg.norm(flow.map_points(inside) - inside, axis=1), 95)
        flow = flow.scaled(goal_mm / float(size))
    shift = rng.normal(size=3)
    pose = np.eye(4)
    pose[:3, :3] = rotation(rng.normal(size=3), rng.uniform(11, 16))
    pose[:3, 3] = shift / np.linalg.norm(shift) * rng.uniform(10, 16)
    return Truth(flow, pose)
