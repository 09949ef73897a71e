"""Samples: from prepared cases, or synthesised. Each is a pure function of seed, step and index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmreg_rt.errors import InputError

from ..methods import Batch
from . import seeding
from .layouts import find_cases
from .preparation import CODE, Preparation
from .splits import Splits, divide

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ..config.dataset import Description
    from .cases import Case

    Place = npt.NDArray[np.float64]  # three shares, see `window`


class Source(Protocol):
    """Where samples come from."""

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Sample ``index`` of training step ``step``, a batch of one: the same whenever it is asked for."""

    def validation(self, count: int) -> Sequence[int]:
        """Numbers of the validation samples, at most ``count``."""

    def validation_sample(self, number: int) -> Batch:
        """A validation sample, a batch of one."""


@dataclass
class Prepared:
    """The cases of one part, on the grid of the network, or a window of it of ``crop`` voxels."""

    cases: Sequence[Case]
    preparation: Preparation
    crop: tuple[int, int, int] | None = None

    def load(self, number: int, where: Place | None = None) -> dict[str, Tensor]:
        """Tensors by role: images ``(1, 1, ...)`` float32, labels ``(1, ...)`` int64.

        The window lies at ``where`` (see ``window``), the same for all roles; without it in the middle.
        """
        scans = self.cases[number].scans
        arrays = self.preparation.pair(scans) if "fixed" in scans else self.preparation.single(scans)
        if self.crop is not None:
            place = np.full(3, 0.5) if where is None else where
            arrays = {role: window(array, self.crop, place) for role, array in arrays.items()}
        return {role: self._tensor(array) for role, array in arrays.items()}

    def shapes(self, progress: Callable[[], None]) -> set[tuple[int, ...]]:
        """Prepare all cases; the grid sizes that there are."""
        found: set[tuple[int, ...]] = set()
        for number in range(len(self.cases)):
            found.update(tuple(data.shape[-3:]) for data in self.load(number).values())
            progress()
        return found

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        tensor = tensor[0] if self.preparation.dims == 2 else tensor
        return tensor[None, None] if tensor.is_floating_point() else tensor[None].long()


class Pairs:
    """Cases of a fixed and a moving scan."""

    def __init__(self, train: Prepared, val: Prepared) -> None:
        self._train, self._val = train, val

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """See ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        return Batch(**self._train.load(int(draw.integers(len(self._train.cases))), draw.random(3)))

    def validation(self, count: int) -> Sequence[int]:
        """Spread evenly over the cases."""
        return _spread(len(self._val.cases), count)

    def validation_sample(self, number: int) -> Batch:
        """See ``Source``."""
        return Batch(**self._val.load(number))


class Scans:
    """Single scans: two at random, or one twice."""

    def __init__(self, train: Prepared, val: Prepared, same: bool) -> None:
        self._train, self._val, self._same = train, val, same

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """See ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        numbers = draw.choice(len(self._train.cases), 1 if self._same else 2, replace=False)
        return _of_two(self._train, int(numbers[0]), int(numbers[-1]), draw.random(3))

    def validation(self, count: int) -> Sequence[int]:
        """Each scan with the next one."""
        cases = len(self._val.cases)
        return _spread(cases if self._same or cases > 1 else 0, count)

    def validation_sample(self, number: int) -> Batch:
        """See ``Source``."""
        other = number if self._same else (number + 1) % len(self._val.cases)
        return _of_two(self._val, number, other)


def _of_two(prepared: Prepared, fixed: int, moving: int, where: Place | None = None) -> Batch:
    one = prepared.load(fixed, where)
    # the same tensors for the same scan: a method may see that
    other = one if moving == fixed else prepared.load(moving, where)
    return Batch(one["scan"], other["scan"], one.get("label"), other.get("label"))


@dataclass
class DataSet:
    """A described data set, ready to be drawn from."""

    train: Prepared
    val: Prepared
    splits: Splits
    description: Description

    def source(self) -> Pairs | Scans:
        """Samples of ``pairs`` and ``scans``; ``labels`` are for ``synthesis``."""
        if self.description.kind == "pairs":
            return Pairs(self.train, self.val)
        same = self.description.draw == "same"
        if not same and len(self.train.cases) < 2:
            raise InputError(
                CODE,
                f"Two different scans need at least 2 for training; found {len(self.train.cases)}. Add some, "
                'or choose draw = "same".',
            )
        return Scans(self.train, self.val, same)


def window(data: npt.NDArray[Any], size: tuple[int, int, int], where: Place) -> npt.NDArray[Any]:
    """``size`` voxels of ``data`` (D, H, W); along an axis the first such window is at 0, the last at 1.

    Where the data are smaller, zeros are put around them.
    """
    spare = np.array(data.shape) - np.array(size)
    first = np.round(np.maximum(spare, 0) * where).astype(int)
    cut = data[tuple(slice(start, start + n) for start, n in zip(first, size, strict=True))]
    missing = np.maximum(-spare, 0)
    padded: npt.NDArray[Any] = np.pad(cut, [(int(n) // 2, int(n) - int(n) // 2) for n in missing])
    return padded


def open_data_set(
    description: Description,
    folder: Path,
    preparation: Preparation,
    dims: int,
    crop: tuple[int, int, int] | None = None,
) -> DataSet:
    """Find the cases, divide the people.

    Raises:
        InputError: Files are missing, or nobody is left to train on.
    """
    cases = find_cases(description, folder)
    preparation = replace(preparation, dims=dims)
    splits = divide(cases, description.split, folder)
    if description.kind != "pairs" and description.align != "none":
        first = min(cases, key=lambda case: case.name).scans
        preparation = replace(preparation, onto=first.get("scan", first.get("label")))
    train, val = (
        Prepared([case for case in cases if case.name in set(splits.cases[part])], preparation, crop)
        for part in ("train", "val")
    )
    return DataSet(train, val, splits, description)


def refuse_mixed_sizes(shapes: set[tuple[int, ...]], batch: int) -> None:
    """Samples of one batch must have one size.

    Raises:
        InputError: They do not.
    """
    if batch > 1 and len(shapes) > 1:
        listed = ", ".join(str(list(shape)) for shape in sorted(shapes)[:4])
        raise InputError(
            CODE,
            f"A batch of {batch} needs scans of one size; found {len(shapes)}: {listed}. Give [data] size, "
            "or batch = 1.",
        )


class _Addressed(Dataset[Batch]):
    """A source as torch's loader wants it: an item is asked for by (step, index)."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed

    def __getitem__(self, address: tuple[int, int]) -> Batch:
        return self._source.sample(self._seed, *address)


@dataclass(frozen=True)
class Share:
    """Which samples of every step belong to one of several processes: a run of equal length for each."""

    rank: int
    world: int
    batch: int

    def indices(self) -> range:
        """Indices of this process."""
        each = self.batch // self.world
        return range(self.rank * each, (self.rank + 1) * each)


def batches(source: Source, seed: int, steps: range, share: Share, workers: int = 0) -> Iterator[Batch]:
    """The batch of this process for each of the steps, in order."""
    addresses = [[(step, index) for index in share.indices()] for step in steps]
    # forked before they touch a device; a worker that draws in threads of its own would only get in the way
    loader = DataLoader(
        _Addressed(source, seed), batch_sampler=addresses, num_workers=workers, collate_fn=joined
    )
    yield from loader


def joined(items: Sequence[Batch]) -> Batch:
    """One batch of several."""
    if len(items) == 1:
        return items[0]
    columns = ([getattr(item, field.name) for item in items] for field in fields(Batch))
    return Batch(*(None if any(part is None for part in column) else torch.cat(column) for column in columns))


def _spread(cases: int, count: int) -> Sequence[int]:
    return [int(i) for i in np.unique(np.linspace(0, cases - 1, min(cases, count)).round())] if cases else []
