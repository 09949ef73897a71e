"""Losses of rigid motions."""

from __future__ import annotations

from torch import Tensor

from mmreg_train.layers.pose import move_points, rigid_matrices


def surface_distance(numbers: Tensor, truth: Tensor | None, surface: Tensor | None) -> Tensor:
    """Return the mean distance, in mm, of a surface under two rigid motions, ``(B,)``.

    Args:
        numbers: Six numbers of each motion, ``(B, 6)``, as in ``layers.pose``.
        truth: Six numbers of the true motion, ``(B, 6)``.
        surface: Points, ``(B, N, 3)``, x, y, z in mm in the frame of the window.

    Raises:
        ValueError: The surface or the truth is missing.
    """
    if surface is None or truth is None:
        raise ValueError("The surface distance needs a batch with a surface and its true transform.")
    one, other = (rigid_matrices(each.float()) for each in (numbers, truth))
    return (move_points(one, surface) - move_points(other, surface)).norm(dim=2).mean(1)
