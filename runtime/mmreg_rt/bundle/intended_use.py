"""Whether a pair of scans is one that a network was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ..geometry import Grid
    from .manifest import Manifest

    Level = Literal["ok", "warn", "refuse"]

# Beyond a range by up to this factor a network is used at its own risk; further off it is not used.
TOLERATED = 2.0
ROUNDING = 1e-3  # headers are rounded to float32, and ranges to what people write


class Finding(NamedTuple):
    """``level`` is ``"ok"``, ``"warn"`` or ``"refuse"``; ``message`` says what was found and what "
    "is meant."""

    level: Level
    message: str


def check_intended_use(
    manifest: Manifest,
    fixed: Grid,
    moving: Grid,
    modalities: tuple[str, str] | None = None,
) -> list[Finding]:
    """One finding for each thing the manifest states: dimensions, spacing, field of view, modalities.

    Args:
        manifest: Of the bundle.
        fixed: Grid of the image to match.
        moving: Grid of the image to bring over.
        modalities: Those of ``fixed`` and ``moving``, if they are known: no file is asked for them.
    """
    use = manifest.intended_use
    findings = [_dimensions(manifest.dims, fixed, moving)]
    for name, grid in (("fixed", fixed), ("moving", moving)):
        lengths = np.array(grid.spacing_mm), np.array(grid.spacing_mm) * grid.shape
        findings.append(_lengths(f"the voxel spacing of the {name} scan", lengths[0], use.spacing_mm, grid))
        extent = f"the field of view of the {name} scan"
        findings.append(_lengths(extent, lengths[1], use.field_of_view_mm, grid))
    if modalities is not None:
        findings.append(_modalities(use.modalities, modalities))
    return findings


def _dimensions(dims: int, fixed: Grid, moving: Grid) -> Finding:
    found = {fixed.dims, moving.dims}
    kinds = {2: "single slices", 3: "volumes"}
    if found == {dims}:
        return Finding("ok", f"Both scans are {kinds[dims]}.")
    return Finding(
        "refuse",
        f"The network is made for {kinds[dims]}; found shapes {fixed.shape} and {moving.shape}. "
        "Choose a bundle for these.",
    )


def _lengths(what: str, lengths_mm: np.ndarray, allowed_mm: tuple[float, float], grid: Grid) -> Finding:
    """Lengths along the axes against a range; of a single slice those in its plane."""
    used = lengths_mm[3 - grid.dims :]
    shown = " x ".join(f"{length:.3g}" for length in used)
    low, high = allowed_mm
    off = max(low / used.min(), used.max() / high)
    text = f"{what[0].upper()}{what[1:]} is {shown} mm; the network was tried from {low:g} to {high:g} mm"
    if off <= 1 + ROUNDING:
        return Finding("ok", f"{text}.")
    if off <= TOLERATED * (1 + ROUNDING):
        return Finding("warn", f"{text}. Look at the result with care.")
    return Finding("refuse", f"{text}. Resample or crop the scan, or choose another bundle.")


def _modalities(known: tuple[tuple[str, ...], tuple[str, ...]] | None, found: tuple[str, str]) -> Finding:
    shown = f"{found[0]} and {found[1]}"
    if known is None:
        return Finding("ok", f"The network is made for any two modalities; found {shown}.")
    first, second = ({name.casefold() for name in names} for names in known)
    fixed, moving = (name.casefold() for name in found)
    wanted = f"{'/'.join(known[0])} as fixed and {'/'.join(known[1])} as moving scan; found {shown}"
    if fixed in first and moving in second:
        return Finding("ok", f"The network is made for {wanted}.")
    if fixed in second and moving in first:
        return Finding("warn", f"The network is made for {wanted}. Exchange the two scans.")
    return Finding("refuse", f"The network is made for {wanted}. Choose another bundle.")
