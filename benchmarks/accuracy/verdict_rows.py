"""Rows of the calibration of the verdict: what is stored of a registration with known error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mmreg_rt._native as native
from mmreg_rt.results import quality_of

MOST_VOX = 3.0  # results with a larger mean error over the body are wrong


def recorded(figures: Any) -> dict[str, Any]:
    """Return the figures of a native result by name, those within them too."""
    names = [name for name in dir(figures) if not name.startswith("_")]
    values = {name: getattr(figures, name) for name in names}
    return {k: recorded(v) if type(v).__module__ == native.__name__ else v for k, v in values.items()}


def restored(row: dict[str, Any]) -> Any:
    """Return what ``quality_of`` reads, from a row."""
    nested = {name: SimpleNamespace(**row["quality"][name]) for name in ("pose", "residual")}
    return SimpleNamespace(quality=SimpleNamespace(**(row["quality"] | nested)))


def result_of(row: dict[str, Any]) -> Any:
    """Return the parts of a registration result that ``report.figures`` uses."""
    voxel = row["voxel_mm"]
    grid = SimpleNamespace(spacing_mm=(voxel,) * 3, dims=2 if row["flat"] else 3)
    return SimpleNamespace(
        quality=quality_of(restored(row)), transform=SimpleNamespace(grid=grid), degraded=False
    )


def label(row: dict[str, Any]) -> str:
    """Return "right", "wrong", or "outline only" for textures, which have no truth inside the outline."""
    if row["kind"] == "no relation":
        return "outline only"
    return "wrong" if row["error_vox"] is None or row["error_vox"] > MOST_VOX else "right"
