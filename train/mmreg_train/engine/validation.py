"""Validation on held-out people: loss, Dice of labels, folds."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mmreg_rt.geometry import Grid
from mmreg_rt.transform import fields

from ..layers import warp_labels
from ..losses.image import labelled_mean
from ..losses.rigid import surface_distance
from ..methods import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from ..methods import Batch, Method

FIELDS = ("displacement", "velocity")
# array axes 0, 1, 2 along z, y, x: voxels of 1 mm
VOXELS = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def validate(
    method: Method,
    batches: Iterable[Batch],
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, float]:
    """Return means over the batches: every term of the loss; for fields also folds and Dice.

    Args:
        method: In evaluation mode.
        batches: One pair each.
        autocast: Context for the network, and nothing else, as in training.

    Returns:
        By name: the terms of the loss; for fields ``folded_percent``; with labels ``label_dice`` and
        ``label_dice_before`` registration; with a true displacement ``endpoint_vox`` and
        ``endpoint_vox_before``; for rigid motions ``surface_error_mm`` and ``surface_error_before_mm``.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for batch in batches:
        with torch.no_grad(), autocast():
            output = method(batch.fixed, batch.moving)
        for name, value in _scores(method, batch, in_float32(output)).items():
            sums[name] += value
            counts[name] += 1
    return {name: sums[name] / counts[name] for name in sums}


def mean_dice(one: Tensor, other: Tensor) -> float | None:
    """Return the mean of ``2 |A and B| / (|A| + |B|)`` over the labels except 0 of either map.

    Args:
        one, other: Label maps of one shape, int64 from 0.

    Returns:
        The mean, or None if neither map has a label.
    """
    top = int(max(one.max(), other.max())) + 1
    size = torch.bincount(one.flatten(), minlength=top) + torch.bincount(other.flatten(), minlength=top)
    shared = torch.bincount(one[one == other], minlength=top)
    present = size[1:] > 0
    if not present.any():
        return None
    return float((2 * shared[1:][present] / size[1:][present]).mean())


def folded_percent(displacement: Tensor) -> float:
    """Return the percentage of voxels that fold in any of nine finite differences, as in the runtime.

    Args:
        displacement: ``(1, dims, ...)`` in voxels, components in the order of the axes.
    """
    u = displacement[0].float().cpu().numpy()
    if len(u) == 2:
        u = np.concatenate((np.zeros_like(u[:1]), u))[:, None]
    d, h, w = u.shape[1:]
    counts, _ = fields.folding(np.ascontiguousarray(u[::-1]), Grid((d, h, w), VOXELS))
    return float(100 * max(counts) / (d * h * w))


def endpoint_error(displacement: Tensor, batch: Batch) -> float:
    """Return the mean distance in voxels to the true displacement, over labelled voxels of the fixed scan.

    Without labels it is the mean over all voxels.
    """
    assert batch.displacement is not None
    distance = (displacement - batch.displacement).float().norm(dim=1)
    return float(labelled_mean(distance, batch.fixed_label))


@torch.no_grad()
def _scores(method: Method, batch: Batch, output: Output) -> dict[str, float]:
    scores = {name: float(term) for name, term in method.loss(batch, output).items()}
    if output.kind == "rigid" and batch.surface is not None:
        scores |= surface_errors(output, batch)
    if output.kind not in FIELDS:
        return scores
    displacement = method.displacement(output)
    scores["folded_percent"] = folded_percent(displacement)
    if batch.displacement is not None:
        zero = torch.zeros_like(displacement)
        scores["endpoint_vox"] = endpoint_error(displacement, batch)
        scores["endpoint_vox_before"] = endpoint_error(zero, batch)
    if batch.fixed_label is not None and batch.moving_label is not None:
        before = mean_dice(batch.fixed_label, batch.moving_label)
        after = mean_dice(batch.fixed_label, warp_labels(batch.moving_label, displacement))
        if before is not None and after is not None:
            scores |= {"label_dice": after, "label_dice_before": before}
    return scores


def surface_errors(output: Output, batch: Batch) -> dict[str, float]:
    """Return the mean distance of the organ surface from its true place in mm, after and before."""
    assert isinstance(output.value, Tensor)
    zero = torch.zeros_like(output.value)
    return {
        "surface_error_mm": float(surface_distance(output.value, batch.rigid, batch.surface).mean()),
        "surface_error_before_mm": float(surface_distance(zero, batch.rigid, batch.surface).mean()),
    }


def in_float32(output: Output) -> Output:
    """Convert an output of mixed precision to float32, in which losses and fields are computed."""
    value = output.value
    if isinstance(value, Tensor):
        return Output(output.kind, value.float())
    return Output(output.kind, tuple(part.float() for part in value))
