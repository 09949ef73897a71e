"""Painted brains as a source of samples: the image of one label map, as fixed and as moving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mmreg_rt.errors import InputError

from ..config.training import CODE
from ..methods import Batch
from ..methods.brain.structures import LARGEST_ID
from . import seeding
from .painted_brains import Painting, painted
from .preparation import Preparation, default_cache
from .synthetic_pairs import VALIDATION_SEED, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.training import Config
    from .sources import DataSet, Prepared


class PaintedBrains:
    """Images made by ``painted``, on the CPU; labels are indices of ``STRUCTURES``.

    Args:
        config: ``[synthesis]``, ``data.size`` and the spacing of ``[preprocess]``.
        data_set: Of kind ``labels``, prepared as ``preparation`` says.
    """

    def __init__(self, config: Config, data_set: DataSet) -> None:
        self._settings = settings(config)
        self._parts = {seeding.TRAIN: data_set.train, seeding.VALIDATION: data_set.val}

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """See ``Source``."""
        return self._drawn(seed, seeding.TRAIN, step, index)

    def validation(self, count: int) -> Sequence[int]:
        """As many as asked for, if anybody is left to validate on."""
        return range(count if self._parts[seeding.VALIDATION].cases else 0)

    def validation_sample(self, number: int) -> Batch:
        """See ``Source``: each person in turn."""
        return self._drawn(VALIDATION_SEED, seeding.VALIDATION, 0, number)

    def _drawn(self, seed: int, stream: int, step: int, index: int) -> Batch:
        people = self._parts[stream]
        chosen = int(seeding.generator(seed, stream, step, index).integers(len(people.cases)))
        number = index % len(people.cases) if stream == seeding.VALIDATION else chosen
        with torch.no_grad():
            image, label = painted(
                seeding.torch_generator(seed, stream, step, index), self._settings, _ids(people, number)
            )
        return Batch(image, image, label, label)


def preparation(config: Config) -> Preparation:
    """Whole label maps on grids of their own, finer than that of the images: they are sampled once only."""
    spec = replace(config.spec, spacing_mm=settings(config).map_spacing_mm, multiple=1)
    return Preparation(spec, None, "none", None, default_cache())


def settings(config: Config) -> Painting:
    """How brains are painted: ``Painting``, changed by ``[synthesis]``.

    Raises:
        InputError: There is no size or spacing, or a setting is unknown or cannot be used.
    """
    size, spacing_mm = config.data.size, config.spec.spacing_mm
    if size is None or spacing_mm is None or config.spec.orientation != "RAS":
        raise InputError(
            CODE,
            f"Painted brains need a size, a spacing and the orientation RAS; found {size}, {spacing_mm} and "
            f"{config.spec.orientation}. Give [data] size = [D, H, W] and [preprocess] spacing_mm.",
        )
    return changed(Painting, config, size=size, spacing_mm=spacing_mm)


def _ids(people: Prepared, number: int) -> torch.Tensor:
    ids = people.load(number)["label"][0]
    if int(ids.min()) < 0 or int(ids.max()) > LARGEST_ID:
        raise InputError(
            CODE,
            f"Label maps of SynthSeg have ids from 0 to {LARGEST_ID}; {people.cases[number].name} has them "
            f"from {int(ids.min())} to {int(ids.max())}. Give its label maps, or train another method.",
        )
    return ids
