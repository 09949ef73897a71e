"""What rigid motions are compared by."""

from __future__ import annotations

from torch import Tensor

from mmreg_train.layers.pose import matrices, moved


def surface_distance(numbers: Tensor, truth: Tensor | None, surface: Tensor | None) -> Tensor:
    """Return the mean distance, in mm, of a surface under two rigid motions, ``(B,)``.

    Args:
        numbers: Six numbers of each motion, ``(B, 6)``, as ``layers.pose`` has them.
        truth: Those of the true motion, ``(B, 6)``.
        surface: Points, ``(B, N, 3)``, x, y, z in mm in the frame of the window.

    Raises:
        ValueError: The surface or the truth is missing.
    """
    if surface is None or truth is None:
        raise ValueError("A distance of surfaces needs a batch with a surface and its true transform.")
    one, other = (matrices(each.float()) for each in (numbers, truth))
    return (moved(one, surface) - moved(other, surface)).norm(dim=2).mean(1)
