"""Source of painted brain images; one image per sample, used as fixed and moving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mmreg_rt.errors import InputError

from ..config.training import CODE
from ..methods import Batch
from ..methods.brain.structures import LARGEST_ID
from . import seeding
from .painted_brains import Painting, paint_brain
from .preparation import Preparation, default_cache
from .synthetic_pairs import VALIDATION_SEED, override_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.training import Config
    from .sources import DataSet, Prepared


class PaintedBrains:
    """Images painted by ``paint_brain`` on the CPU; labels are indices of ``STRUCTURES``.

    Args:
        config: Uses ``[synthesis]``, ``data.size`` and the spacing of ``[preprocess]``.
        data_set: Of kind ``labels``, prepared by ``preparation``.
    """

    def __init__(self, config: Config, data_set: DataSet) -> None:
        self._settings = settings(config)
        self._parts = {seeding.TRAIN: data_set.train, seeding.VALIDATION: data_set.val}

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        return self._draw(seed, seeding.TRAIN, step, index)

    def validation(self, count: int) -> Sequence[int]:
        """Return ``range(count)``, or an empty range if the validation part is empty."""
        return range(count if self._parts[seeding.VALIDATION].cases else 0)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample; the people take turns."""
        return self._draw(VALIDATION_SEED, seeding.VALIDATION, 0, number)

    def _draw(self, seed: int, stream: int, step: int, index: int) -> Batch:
        people = self._parts[stream]
        chosen = int(seeding.generator(seed, stream, step, index).integers(len(people.cases)))
        number = index % len(people.cases) if stream == seeding.VALIDATION else chosen
        with torch.no_grad():
            image, label = paint_brain(
                seeding.torch_generator(seed, stream, step, index), self._settings, _ids(people, number)
            )
        return Batch(image, image, label, label)


def preparation(config: Config) -> Preparation:
    """Return how label maps are prepared: whole, on their own grids.

    The grids are finer than those of the images because maps are resampled only once, when painting.
    """
    spec = replace(config.spec, spacing_mm=settings(config).map_spacing_mm, multiple=1)
    return Preparation(spec, None, "none", None, default_cache())


def settings(config: Config) -> Painting:
    """Return the painting settings: ``Painting``, overridden by ``[synthesis]``.

    Raises:
        InputError: Size or spacing is missing, or a setting is unknown or invalid.
    """
    size, spacing_mm = config.data.size, config.spec.spacing_mm
    if size is None or spacing_mm is None or config.spec.orientation != "RAS":
        raise InputError(
            CODE,
            f"Painted brains need a size, a spacing and the orientation RAS; found {size}, {spacing_mm} and "
            f"{config.spec.orientation}. Set [data] size = [D, H, W] and [preprocess] spacing_mm.",
        )
    return override_settings(Painting, config, size=size, spacing_mm=spacing_mm)


def _ids(people: Prepared, number: int) -> torch.Tensor:
    ids = people.load(number)["label"][0]
    if int(ids.min()) < 0 or int(ids.max()) > LARGEST_ID:
        raise InputError(
            CODE,
            f"SynthSeg label maps have ids from 0 to {LARGEST_ID}; {people.cases[number].name} has ids from "
            f"{int(ids.min())} to {int(ids.max())}. Use SynthSeg label maps, or train another method.",
        )
    return ids
