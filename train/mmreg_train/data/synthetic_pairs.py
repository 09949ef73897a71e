"""Source of synthetic pairs, from generated shapes or from the label maps of a data set."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from mmreg_rt.errors import InputError

from ..config.training import CODE
from . import seeding
from .synthesis import Synthesis, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from torch import Tensor

    from ..config.training import Config
    from ..methods import Batch
    from .sources import DataSet, Prepared

Settings = TypeVar("Settings")

SHAPES_FROM = 10_000  # first label id of shapes among anatomical maps, to keep the two apart
VALIDATION_SEED = 0  # every run of every seed is validated on the same pairs


class SyntheticPairs:
    """Pairs made by ``synthesis.pair``, on the training device or, with workers, in advance on the CPU.

    Args:
        config: Uses ``[synthesis]`` and ``data.size``.
        dims: 2 or 3.
        data_set: Of kind ``labels``; None generates shapes.
        device: Training device.

    Raises:
        InputError: The size is missing, a setting is invalid, or there are too few label maps.
    """

    def __init__(self, config: Config, dims: int, data_set: DataSet | None, device: torch.device) -> None:
        self._settings = settings(config, dims, data_set is not None)
        self._shapes = settings(config, dims, False)
        self._parts = (
            None if data_set is None else {seeding.TRAIN: data_set.train, seeding.VALIDATION: data_set.val}
        )
        self._same = data_set is not None and data_set.description.draw == "same"
        self._device = torch.device("cpu") if config.data.workers else device
        if data_set is not None and not self._same and len(data_set.train.cases) < 2:
            raise InputError(
                CODE,
                'draw = "two" needs two label maps for training; found 1. Add one, or set draw = "same".',
            )

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        return self._draw(seed, seeding.TRAIN, step, index)

    def validation(self, count: int) -> Sequence[int]:
        """Return ``range(count)``, or an empty range if the validation part is empty."""
        empty = self._parts is not None and not self._parts[seeding.VALIDATION].cases
        return range(0 if empty else count)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample, see ``Source``."""
        return self._draw(VALIDATION_SEED, seeding.VALIDATION, 0, number)

    def _draw(self, seed: int, stream: int, step: int, index: int) -> Batch:
        generator = seeding.torch_generator(seed, stream, step, index, self._device)
        draw = seeding.generator(seed, stream, step, index)
        share = self._settings.shapes_share
        with torch.no_grad():
            if self._parts is None:
                return pair(generator, self._shapes, device=self._device)
            if share > 0 and draw.random() < share:
                return _offset_labels(pair(generator, self._shapes, device=self._device))
            maps = self._maps(self._parts[stream], draw, stream == seeding.TRAIN)
            return pair(generator, self._settings, maps, device=self._device)

    def _maps(self, prepared: Prepared, draw: Generator, anywhere: bool) -> tuple[Tensor, Tensor]:
        people = len(prepared.cases)
        count = 1 if self._same or people == 1 else 2
        numbers = draw.choice(people, count, replace=False)
        where = draw.random(3) if anywhere else None
        loaded = [prepared.load(int(number), where)["label"].to(self._device) for number in numbers]
        return loaded[0], loaded[-1]


def _offset_labels(batch: Batch) -> Batch:
    fixed, moving = batch.fixed_label, batch.moving_label
    assert fixed is not None
    assert moving is not None
    fixed, moving = (torch.where(label > 0, label + SHAPES_FROM, 0) for label in (fixed, moving))
    return replace(batch, fixed_label=fixed, moving_label=moving)


def settings(config: Config, dims: int, anatomical: bool) -> Synthesis:
    """Return the generator settings for shapes or anatomical maps, overridden by ``[synthesis]``.

    Raises:
        InputError: The size is missing, or a setting is unknown or invalid.
    """
    size = config.data.size
    if size is None:
        raise InputError(CODE, "Synthesis needs a size. Set [data] size = [D, H, W].")
    make = Synthesis.brains if anatomical else Synthesis.shapes
    return override_settings(Synthesis, config, make, size=size[1:] if dims == 2 else size)


def override_settings(
    kind: type[Settings], config: Config, make: Callable[..., Settings] | None = None, **fixed: Any
) -> Settings:
    """Create the dataclass ``kind`` from ``fixed`` and ``[synthesis]``, which cannot override ``fixed``.

    Raises:
        InputError: A setting is unknown or invalid.
    """
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.synthesis.items()
    }
    known = {field.name for field in fields(kind)} - set(fixed)  # type: ignore[arg-type]
    if unknown := sorted(set(changes) - known):
        raise InputError(
            CODE,
            f"[synthesis] has no {', '.join(unknown)}; it has {', '.join(sorted(known))}. Correct the names.",
        )
    try:
        return (make or kind)(**fixed, **changes)
    except (TypeError, ValueError) as reason:
        raise InputError(CODE, f"[synthesis] cannot be used: {reason} Correct the value.") from reason
