"""Check of a pair of scans against the intended use of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..geometry import Grid
    from .manifest import Manifest

    Level = Literal["ok", "warn", "refuse"]

# Outside a range by up to this factor a network is used with a warning; beyond that it is refused.
TOLERATED = 2.0
ROUNDING = 1e-3  # headers are rounded to float32, and ranges to short decimals


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        level: ``"ok"``, ``"warn"`` or ``"refuse"``.
        message: The finding and the intended range.
    """

    level: Level
    message: str


def check_intended_use(
    manifest: Manifest,
    fixed: Grid,
    moving: Grid,
    modalities: tuple[str, str] | None = None,
) -> list[Finding]:
    """Compare a pair with the intended use in a manifest: dimensions, spacing, field of view, modalities.

    Args:
        manifest: Manifest of the bundle.
        fixed: Grid of the fixed scan.
        moving: Grid of the moving scan.
        modalities: Modalities of ``fixed`` and ``moving``, if known; files are not searched for them.

    Returns:
        One finding for each property.
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
    kinds = {2: "single slices", 3: "volumes"}
    if {fixed.dims, moving.dims} == {dims}:
        return Finding("ok", f"Both scans are {kinds[dims]}.")
    return Finding(
        "refuse",
        f"The network is made for {kinds[dims]}; found shapes {fixed.shape} and {moving.shape}. "
        "Choose a bundle for these.",
    )


def _lengths(name: str, lengths_mm: np.ndarray, range_mm: tuple[float, float], grid: Grid) -> Finding:
    """Compare lengths along the axes, in the plane of a single slice, with a range."""
    used = lengths_mm[3 - grid.dims :]
    lengths = " x ".join(f"{length:.3g}" for length in used)
    low, high = range_mm
    off = max(low / used.min(), used.max() / high)
    text = f"{name[0].upper()}{name[1:]} is {lengths} mm; the network was tested from {low:g} to {high:g} mm"
    if off <= 1 + ROUNDING:
        return Finding("ok", f"{text}.")
    if off <= TOLERATED * (1 + ROUNDING):
        return Finding("warn", f"{text}. Check the result with care.")
    return Finding("refuse", f"{text}. Resample or crop the scan, or choose another bundle.")


def _modalities(intended: tuple[tuple[str, ...], tuple[str, ...]] | None, actual: tuple[str, str]) -> Finding:
    pair = f"{actual[0]} and {actual[1]}"
    if intended is None:
        return Finding("ok", f"The network is made for any two modalities; found {pair}.")
    first, second = ({name.casefold() for name in names} for names in intended)
    fixed, moving = (name.casefold() for name in actual)
    text = f"{'/'.join(intended[0])} as fixed and {'/'.join(intended[1])} as moving scan; found {pair}"
    if fixed in first and moving in second:
        return Finding("ok", f"The network is made for {text}.")
    if fixed in second and moving in first:
        return Finding("warn", f"The network is made for {text}. Exchange the two scans.")
    return Finding("refuse", f"The network is made for {text}. Choose another bundle.")


def intended_use_warnings(
    manifest: Manifest, fixed: Grid, moving: Grid, modalities: tuple[str, str] | None = None
) -> tuple[str, ...]:
    """Return warnings about scans at the edge of the network's intended use.

    Raises:
        InputError: They lie beyond it.
    """
    checks = check_intended_use(manifest, fixed, moving, modalities)
    refused = [message for level, message in checks if level == "refuse"]
    if refused:
        raise InputError(
            "MMREG_E_INTENDED_USE", f"The network is not intended for these scans. {' '.join(refused)}"
        )
    return tuple(message for level, message in checks if level == "warn")
