"""Differentiable rigid motions from six numbers: shifts along x, y, z in mm, angles about them in degrees.

``R = Rz Ry Rx``. The float64 original, and the definition of the frame, are in
``mmreg_rt.geometry.rigid_motion``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_matrices(numbers: Tensor) -> Tensor:
    """Return the matrices ``(B, 4, 4)`` of six numbers ``(B, 6)``."""
    shift, radians = numbers[:, :3], torch.deg2rad(numbers[:, 3:])
    (ca, cb, cc), (sa, sb, sc) = radians.cos().unbind(1), radians.sin().unbind(1)
    rows = (
        (cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc),
        (cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc),
        (-sb, sa * cb, ca * cb),
    )
    rotation = torch.stack([torch.stack(row, 1) for row in rows], 1)
    upper = torch.cat([rotation, shift[:, :, None]], 2)
    last = numbers.new_tensor([0.0, 0, 0, 1]).expand(len(numbers), 1, 4)
    return torch.cat([upper, last], 1)


def move_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Map points ``(B, N, 3)`` by matrices ``(B, 4, 4)``."""
    # not a matrix product, in which mixed precision would round millimetres to 8 bits
    turned = (points[:, :, None, :] * matrix[:, None, :3, :3]).sum(-1)
    return turned + matrix[:, None, :3, 3]
