"""Pairs whose truth is known: aligned scans of one person, the moving one deformed by a smooth random warp.

What is learned without supervision can so be scored without labels: the displacement that brings the moving
scan back is in ``Batch.displacement``. Fields are exponentials of smooth velocities, so none folds, and the
inverse of each is the exponential of minus its velocity.

Both scans can be varied together as well; of pairs that are not aligned that is all, and no truth is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..layers import integrate, warp, warp_labels
from ..methods import Batch
from . import seeding

if TYPE_CHECKING:
    from ..config.training import WarpSettings
    from .sources import Source

VALIDATION_SEED = 0  # every run of every seed is validated on the same warps
STEPS = 7  # squarings of a velocity
ROUNDS = 3  # of scaling a velocity until the longest displacement is as drawn


class KnownWarps:
    """A source of pairs that it varies, and whose moving scans it deforms if they are aligned.

    Args:
        aligned: Pairs on one grid, fixed and moving voxels of one place; any pairs if ``settings`` deform
            none.
        settings: How they are deformed.
    """

    def __init__(self, aligned: Source, settings: WarpSettings) -> None:
        self._aligned, self._settings = aligned, settings

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """See ``Source``."""
        generator = seeding.torch_generator(seed, seeding.TRAIN, step, index)
        made: Batch = deformed(self._aligned.sample(seed, step, index), self._settings, generator, vary=True)
        return made

    def validation(self, count: int) -> Sequence[int]:
        """See ``Source``."""
        return self._aligned.validation(count)

    def validation_sample(self, number: int) -> Batch:
        """See ``Source``. The fixed scan is left as it is."""
        generator = seeding.torch_generator(VALIDATION_SEED, seeding.VALIDATION, 0, number)
        made: Batch = deformed(self._aligned.validation_sample(number), self._settings, generator)
        return made


@torch.no_grad()
def deformed(aligned: Batch, settings: WarpSettings, generator: torch.Generator, vary: bool = False) -> Batch:
    """An aligned pair, a batch of one, with its moving scan deformed and the truth in ``displacement``.

    Every scan is interpolated once, however many warps it goes through.

    Args:
        aligned: Images ``(1, 1, ...)`` and label maps or None. A pair that is not aligned if nothing is to be
            deformed: its ``displacement`` is None.
        settings: See ``mmreg_train.config.training``.
        generator: That everything is drawn from, on the CPU.
        vary: Also flip both scans and deform them together, as the settings say.
    """
    size = aligned.fixed.shape[2:]
    if vary and settings.flip and float(torch.rand(1, generator=generator)) < 0.5:
        aligned = _flipped(aligned)
    truth = together = of_moving = torch.zeros(1, len(size), *size)
    if settings.deforms:
        truth, of_moving = warps(size, settings.largest_vox, settings.scale_vox, generator)
    if vary and settings.both_vox[1] > 0:
        _, together = warped_at_random(size, settings.both_vox, settings.scale_vox, generator)
        of_moving = of_moving + warp(together, of_moving, padding="border")
    return Batch(
        warp(aligned.fixed, together),
        warp(aligned.moving, of_moving),
        None if aligned.fixed_label is None else warp_labels(aligned.fixed_label, together),
        None if aligned.moving_label is None else warp_labels(aligned.moving_label, of_moving),
        truth if settings.deforms else None,
    )


def warps(
    size: Sequence[int], longest_vox: tuple[float, float], scale_vox: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A smooth random displacement and its inverse, ``(1, dims, *size)`` in voxels each.

    Args: See ``warped_at_random``.
    """
    velocity, displacement = warped_at_random(size, longest_vox, scale_vox, generator)
    return displacement, integrate(-velocity, STEPS)


def warped_at_random(
    size: Sequence[int], longest_vox: tuple[float, float], scale_vox: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A smooth random velocity and its displacement, ``(1, dims, *size)`` in voxels each.

    Args:
        size: Voxels along the axes.
        longest_vox: Least and most of the longest displacement, which is drawn evenly.
        scale_vox: Distance of the random velocities, between which cubic B-splines interpolate.
        generator: On the CPU.
    """
    low, high = longest_vox
    longest = low + (high - low) * float(torch.rand(1, generator=generator))
    displacement = velocity = smooth_at_random(size, scale_vox, generator)
    for _ in range(ROUNDS):
        velocity = velocity * (longest / displacement.norm(dim=1).max().clamp(min=1e-6))
        displacement = integrate(velocity, STEPS)
    return velocity, displacement


def smooth_at_random(size: Sequence[int], scale_vox: int, generator: torch.Generator) -> Tensor:
    """A random vector at every voxel, ``(1, dims, *size)``: normal at knots, cubic B-splines between them."""
    knots = [(count - 1) // scale_vox + 4 for count in size]
    field = torch.randn(1, len(size), *knots, generator=generator)
    for axis, count in enumerate(size, 2):
        field = torch.tensordot(field, cubic_splines(count, scale_vox), ([axis], [1])).movedim(-1, axis)
    return field


def cubic_splines(count: int, scale: int) -> Tensor:
    """Weights ``(count, knots)`` of knots ``scale`` apart, the second of them at 0, at ``count`` places."""
    places = torch.arange(count)[:, None] / scale
    away = (places - torch.arange(-1, (count - 1) // scale + 3)).abs()
    near, far = 2 / 3 - away**2 + away**3 / 2, (2 - away).clamp(min=0) ** 3 / 6
    return torch.where(away < 1, near, far)


def _flipped(aligned: Batch) -> Batch:
    """Mirrored along the last axis."""
    fixed_label, moving_label = aligned.fixed_label, aligned.moving_label
    return replace(
        aligned,
        fixed=aligned.fixed.flip(-1),
        moving=aligned.moving.flip(-1),
        fixed_label=None if fixed_label is None else fixed_label.flip(-1),
        moving_label=None if moving_label is None else moving_label.flip(-1),
    )
