"""The meaning of the vectors of a NIfTI field, from its header and checked against its values.

Intent VECTOR (1007) without a name is written by ITK and ANTs: displacements along LPS. DISPVECT (1006), from
the NIfTI standard, means displacements along RAS. SPM names its deformations "Mapping"; NiftyReg names all
its files "NREG_TRANS", with the kind in ``intent_p1``. Both hold positions along RAS. Files of other programs
with their own name or intent are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import TransformError
from .nifti import DISPVECT, VECTOR

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float32, Float64, Grid
    from .header import NiftiHeader

    Meaning = Literal["LPS displacement", "RAS displacement", "RAS positions", "control points"]

PLANES = 20  # planes along each axis whose voxels are checked
# Largest stretch along an axis by the affine part of a transform between scans: of positions, to distinguish
# them from displacements, and of displacements before they are taken for positions.
POSITION_STRETCH, DISPLACEMENT_STRETCH = 1.35, 1.6
LEAST_SLOPE = 0.3  # positions follow the voxels at least this much along each axis
MOST_RESIDUAL = 0.3  # share of the spread of positions that an affine part does not explain

_NIFTYREG = {
    3: "velocity field",
    4: "velocity field",
    5: "spline grid of a velocity",
    6: "linear spline grid",
}
# fields and splines of FNIRT and topup, which io.fsl reads or refuses
FSL = (2006, 2007, 2008, 2009, 2016, 2017, 2018)


def meaning_of(header: NiftiHeader, path: Path) -> Meaning | None:
    """Return the meaning of the vectors by the header, or None if it does not describe a field.

    Raises:
        TransformError: They have a meaning that cannot be converted here.
    """
    if header.intent_code not in (VECTOR, DISPVECT):
        return None
    if header.intent_name == "NREG_TRANS":
        return _niftyreg_meaning(header.intent_p1, path)
    if header.intent_name == "Mapping":  # of SPM
        return "RAS positions"
    if header.intent_code == DISPVECT:
        return "RAS displacement"
    if not header.intent_name:
        return "LPS displacement"
    raise _refusal(
        f"{path} has intent 1007 with the name {header.intent_name!r}, which ITK and ANTs do not write, so "
        "it is not clear whether its vectors are displacements, along RAS or LPS. If they are displacements "
        "in mm, write them with intent 1006 (RAS), or with 1007 and no name (LPS)."
    )


def check_displacement(u: Float32, grid: Grid, path: Path) -> None:
    """Raise if a field of displacements ``(3, D, H, W)``, RAS mm, holds absolute positions.

    Taken as displacements, positions would at least double lengths along one axis, or flatten one.

    Raises:
        TransformError: It does.
    """
    slopes = _Slopes(u, grid)
    if slopes.like_positions() and not slopes.like_displacements():
        raise TransformError(
            "MMREG_E_FIELD_POSITIONS",
            f"{path} should hold displacements in mm but holds absolute positions: its values grow with the "
            f"coordinates of the voxels. As displacements they would stretch space by {slopes.as_text(1)}. "
            "Subtract the coordinates of each voxel in mm, or write the field as displacements.",
        )


def check_positions(u: Float32, grid: Grid, path: Path) -> None:
    """Raise if a field of positions, here given as displacements ``u``, does not hold positions.

    Raises:
        TransformError: It does not.
    """
    slopes = _Slopes(u, grid)
    if slopes.least(1) < LEAST_SLOPE:
        raise TransformError(
            "MMREG_E_FIELD_POSITIONS",
            f"{path} should hold absolute positions in mm by its header, but its values hardly change with "
            f"the voxels (slopes {slopes.as_text(1)}). If they are displacements, correct the header.",
        )


class _Slopes:
    """Slopes of the vectors of a field along its grid: singular values of their affine part."""

    def __init__(self, u: Float32, grid: Grid) -> None:
        index = grid.lattice(PLANES)
        i0, i1, i2 = index.T
        values = u[:, i0, i1, i2].T.astype(np.float64)
        known = np.isfinite(values).all(axis=1)
        points, values = grid.map_indices(index[known]), values[known]
        wide = [axis for axis in range(3) if grid.shape[axis] > 1]
        self._along: Float64 = np.linalg.qr(grid.affine[:3, wide])[0]  # (3, R): where the grid extends
        self._units = grid.affine[:3, wide]
        self._slope = np.zeros((3, len(wide)))
        self._explained = False
        if len(points) <= 3 or not wide:
            return
        points, values = points - points.mean(axis=0), values - values.mean(axis=0)
        fit = np.linalg.lstsq(points @ self._along, values, rcond=1e-9)[0]
        self._slope = fit.T
        left = values - points @ self._along @ fit
        self._explained = bool((left**2).sum() <= MOST_RESIDUAL**2 * (values**2).sum())

    def like_positions(self) -> bool:
        """Return whether the vectors are plausible positions, in mm or in voxels."""
        return self._explained and (_within(self._values(0), POSITION_STRETCH) or self._counts_voxels())

    def like_displacements(self) -> bool:
        """Return whether the voxels displaced by the vectors are plausible positions."""
        return _within(self._values(1), DISPLACEMENT_STRETCH)

    def least(self, with_identity: int) -> float:
        values = self._values(with_identity)
        return float(values.min()) if len(values) else 1.0

    def as_text(self, with_identity: int) -> str:
        return ", ".join(f"{value:.2g}" for value in self._values(with_identity))

    def _values(self, with_identity: int) -> Float64:
        return np.asarray(
            np.linalg.svd(self._slope + with_identity * self._along, compute_uv=False), np.float64
        )

    def _counts_voxels(self) -> bool:
        """Return whether the vectors grow by one per voxel, as positions in voxels do."""
        steps = np.linalg.norm(self._slope @ (self._along.T @ self._units), axis=0)
        return bool((np.abs(steps - 1) < 0.1).all())


def _within(values: Float64, stretch: float) -> bool:
    return bool((values >= 1 / stretch).all() and (values <= stretch).all())


def _niftyreg_meaning(kind: float, path: Path) -> Meaning:
    if kind == 0:
        return "RAS positions"
    if kind == 1:
        return "RAS displacement"
    if kind == 2:
        return "control points"
    known = np.isfinite(kind) and kind == int(kind)
    name = _NIFTYREG.get(int(kind) if known else -1, "transform of unknown kind")
    raise _refusal(
        f"{path} holds a {name} of NiftyReg (intent_p1 {kind:g}), not a field of displacements or "
        "positions. Convert it with reg_transform -ref FIXED -def INPUT OUTPUT."
    )


def _refusal(message: str) -> TransformError:
    return TransformError("MMREG_E_FIELD_PROGRAM", message)
