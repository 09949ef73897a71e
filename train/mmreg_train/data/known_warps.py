"""Pairs with a known displacement: aligned scans of one person, the moving one warped at random.

The displacement that undoes the warp is in ``Batch.displacement``, so unsupervised training can be scored
without labels. Fields are exponentials of smooth velocities: none folds, and the inverse of each is the
exponential of the negated velocity.

Both scans can also be augmented together. For pairs that are not aligned this is all that is done, and no
displacement is known.
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

VALIDATION_SEED = 0  # all runs are validated on the same warps
STEPS = 7  # squarings of a velocity
ROUNDS = 3  # of scaling the velocity until the longest displacement has the drawn length


class KnownWarps:
    """A source that augments pairs and, if they are aligned, deforms their moving scans.

    Args:
        aligned: Pairs on one grid where equal voxels show the same place; any pairs if ``settings`` does not
            deform.
        settings: Amounts of deformation.
    """

    def __init__(self, aligned: Source, settings: WarpSettings) -> None:
        self._aligned, self._settings = aligned, settings

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        generator = seeding.torch_generator(seed, seeding.TRAIN, step, index)
        pair: Batch = deform_pair(
            self._aligned.sample(seed, step, index), self._settings, generator, vary=True
        )
        return pair

    def validation(self, count: int) -> Sequence[int]:
        """Return the numbers of the validation samples, see ``Source``."""
        return self._aligned.validation(count)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample; its fixed scan is not changed."""
        generator = seeding.torch_generator(VALIDATION_SEED, seeding.VALIDATION, 0, number)
        pair: Batch = deform_pair(self._aligned.validation_sample(number), self._settings, generator)
        return pair


@torch.no_grad()
def deform_pair(
    aligned: Batch, settings: WarpSettings, generator: torch.Generator, vary: bool = False
) -> Batch:
    """Deform the moving scan of an aligned pair and keep the true displacement.

    Every scan is interpolated once, however many warps are applied to it.

    Args:
        aligned: A batch of one: images ``(1, 1, ...)`` float32 and label maps ``(1, ...)`` or None. The pair
            need not be aligned if ``settings`` does not deform.
        settings: See ``mmreg_train.config.training``.
        generator: Source of all random numbers, on the CPU.
        vary: Also flip both scans and deform them together, as ``settings`` says.

    Returns:
        The deformed pair; ``displacement`` ``(1, dims, ...)`` in voxels, or None without deformation.
    """
    size = aligned.fixed.shape[2:]
    if vary and settings.flip and float(torch.rand(1, generator=generator)) < 0.5:
        aligned = _flip(aligned)
    truth = common_warp = moving_warp = torch.zeros(1, len(size), *size)
    if settings.deforms:
        truth, moving_warp = random_warp_and_inverse(
            size, settings.largest_vox, settings.scale_vox, generator
        )
    if vary and settings.both_vox[1] > 0:
        _, common_warp = random_warp(size, settings.both_vox, settings.scale_vox, generator)
        moving_warp = moving_warp + warp(common_warp, moving_warp, padding="border")
    return Batch(
        warp(aligned.fixed, common_warp),
        warp(aligned.moving, moving_warp),
        None if aligned.fixed_label is None else warp_labels(aligned.fixed_label, common_warp),
        None if aligned.moving_label is None else warp_labels(aligned.moving_label, moving_warp),
        truth if settings.deforms else None,
    )


def random_warp_and_inverse(
    size: Sequence[int], longest_vox: tuple[float, float], scale_vox: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a smooth displacement and its inverse, ``(1, dims, *size)`` in voxels each.

    Args:
        size: Voxels along the axes.
        longest_vox: Range from which the longest displacement is drawn uniformly, in voxels.
        scale_vox: Distance of the random velocities that cubic B-splines interpolate, in voxels.
        generator: On the CPU.
    """
    velocity, displacement = random_warp(size, longest_vox, scale_vox, generator)
    return displacement, integrate(-velocity, STEPS)


def random_warp(
    size: Sequence[int], longest_vox: tuple[float, float], scale_vox: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a smooth velocity and its displacement, ``(1, dims, *size)`` in voxels each.

    Args:
        size: Voxels along the axes.
        longest_vox: Range from which the longest displacement is drawn uniformly, in voxels.
        scale_vox: Distance of the random velocities that cubic B-splines interpolate, in voxels.
        generator: On the CPU.
    """
    low, high = longest_vox
    longest = low + (high - low) * float(torch.rand(1, generator=generator))
    displacement = velocity = random_smooth_field(size, scale_vox, generator)
    for _ in range(ROUNDS):
        velocity = velocity * (longest / displacement.norm(dim=1).max().clamp(min=1e-6))
        displacement = integrate(velocity, STEPS)
    return velocity, displacement


def random_smooth_field(size: Sequence[int], scale_vox: int, generator: torch.Generator) -> Tensor:
    """Draw a vector at every voxel, ``(1, dims, *size)``: normal at knots, cubic B-splines between them."""
    knots = [(count - 1) // scale_vox + 4 for count in size]
    field = torch.randn(1, len(size), *knots, generator=generator)
    for axis, count in enumerate(size, 2):
        field = torch.tensordot(field, cubic_spline_weights(count, scale_vox), ([axis], [1])).movedim(
            -1, axis
        )
    return field


def cubic_spline_weights(count: int, scale: int) -> Tensor:
    """Return cubic B-spline weights ``(count, knots)`` at ``count`` places; the second knot is at 0."""
    places = torch.arange(count)[:, None] / scale
    away = (places - torch.arange(-1, (count - 1) // scale + 3)).abs()
    near, far = 2 / 3 - away**2 + away**3 / 2, (2 - away).clamp(min=0) ** 3 / 6
    return torch.where(away < 1, near, far)


def _flip(aligned: Batch) -> Batch:
    """Mirror a pair along the last axis."""
    fixed_label, moving_label = aligned.fixed_label, aligned.moving_label
    return replace(
        aligned,
        fixed=aligned.fixed.flip(-1),
        moving=aligned.moving.flip(-1),
        fixed_label=None if fixed_label is None else fixed_label.flip(-1),
        moving_label=None if moving_label is None else moving_label.flip(-1),
    )
