"""Samples from prepared or synthesised cases; each is a pure function of seed, step and index."""

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
    """The interface of a source of samples."""

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return sample ``index`` of training step ``step`` as a batch of one, always the same."""

    def validation(self, count: int) -> Sequence[int]:
        """Return the numbers of the validation samples, at most ``count``."""

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample as a batch of one."""


@dataclass
class Prepared:
    """The cases of one part on the network grid, optionally cropped to windows of ``crop`` voxels."""

    cases: Sequence[Case]
    preparation: Preparation
    crop: tuple[int, int, int] | None = None

    def load(self, number: int, where: Place | None = None) -> dict[str, Tensor]:
        """Load a case as tensors by role: images ``(1, 1, ...)`` float32, labels ``(1, ...)`` int64.

        Args:
            number: Number of the case.
            where: Position of the crop window, the same for all roles, see ``window``; None is the middle.
        """
        scans = self.cases[number].scans
        arrays = self.preparation.pair(scans) if "fixed" in scans else self.preparation.single(scans)
        if self.crop is not None:
            place = np.full(3, 0.5) if where is None else where
            arrays = {role: window(array, self.crop, place) for role, array in arrays.items()}
        return {role: self._tensor(array) for role, array in arrays.items()}

    def shapes(self, progress: Callable[[], None]) -> set[tuple[int, ...]]:
        """Prepare all cases and return the set of grid sizes."""
        sizes: set[tuple[int, ...]] = set()
        for number in range(len(self.cases)):
            sizes.update(tuple(data.shape[-3:]) for data in self.load(number).values())
            progress()
        return sizes

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        tensor = tensor[0] if self.preparation.dims == 2 else tensor
        return tensor[None, None] if tensor.is_floating_point() else tensor[None].long()


class Pairs:
    """A source of fixed and moving scans of the same case."""

    def __init__(self, train: Prepared, val: Prepared) -> None:
        self._train, self._val = train, val

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        return Batch(**self._train.load(int(draw.integers(len(self._train.cases))), draw.random(3)))

    def validation(self, count: int) -> Sequence[int]:
        """Return case numbers spread evenly over the validation cases."""
        return _spread(len(self._val.cases), count)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample, see ``Source``."""
        return Batch(**self._val.load(number))


class Scans:
    """A source of two random single scans, or of one scan twice."""

    def __init__(self, train: Prepared, val: Prepared, same: bool) -> None:
        self._train, self._val, self._same = train, val, same

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        numbers = draw.choice(len(self._train.cases), 1 if self._same else 2, replace=False)
        return _pair_batch(self._train, int(numbers[0]), int(numbers[-1]), draw.random(3))

    def validation(self, count: int) -> Sequence[int]:
        """Return case numbers; each scan is paired with the next one."""
        cases = len(self._val.cases)
        return _spread(cases if self._same or cases > 1 else 0, count)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample, see ``Source``."""
        other = number if self._same else (number + 1) % len(self._val.cases)
        return _pair_batch(self._val, number, other)


def _pair_batch(prepared: Prepared, fixed: int, moving: int, where: Place | None = None) -> Batch:
    one = prepared.load(fixed, where)
    # the same tensors for the same scan, which methods may detect by identity
    other = one if moving == fixed else prepared.load(moving, where)
    return Batch(one["scan"], other["scan"], one.get("label"), other.get("label"))


@dataclass
class DataSet:
    """A described data set, ready for sampling."""

    train: Prepared
    val: Prepared
    splits: Splits
    description: Description

    def source(self) -> Pairs | Scans:
        """Return the source of ``pairs`` or ``scans``; ``labels`` are used by ``synthesis``.

        Raises:
            InputError: Two different scans are required and there is only one.
        """
        if self.description.kind == "pairs":
            return Pairs(self.train, self.val)
        same = self.description.draw == "same"
        if not same and len(self.train.cases) < 2:
            raise InputError(
                CODE,
                f'draw = "two" needs at least 2 scans for training; found {len(self.train.cases)}. Add '
                'scans, or choose draw = "same".',
            )
        return Scans(self.train, self.val, same)


def window(data: npt.NDArray[Any], size: tuple[int, int, int], where: Place) -> npt.NDArray[Any]:
    """Cut a window of ``size`` voxels from ``data`` (D, H, W), padded with zeros where data is smaller.

    Args:
        data: ``(D, H, W)``.
        size: Voxels along the axes.
        where: Position along each axis: 0 is the first possible window, 1 the last.
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
    """Find the cases and divide the people between training, validation and test.

    Args:
        description: The data description.
        folder: Folder of the files.
        preparation: How scans are prepared; its ``dims`` and ``onto`` are replaced.
        dims: Dimensions of the method.
        crop: Size of random crop windows in voxels; None uses whole grids.

    Raises:
        InputError: Files are missing, or the training part is empty.
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
    """Raise unless all samples of one batch have one size.

    Raises:
        InputError: Batches of several samples have several sizes.
    """
    if batch > 1 and len(shapes) > 1:
        examples = ", ".join(str(list(shape)) for shape in sorted(shapes)[:4])
        raise InputError(
            CODE,
            f"A batch of {batch} needs scans of one size; found {len(shapes)}: {examples}. Set [data] size, "
            "or batch = 1.",
        )


class _AddressedDataset(Dataset[Batch]):
    """A source as a torch data set, indexed by (step, index)."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed

    def __getitem__(self, address: tuple[int, int]) -> Batch:
        return self._source.sample(self._seed, *address)


@dataclass(frozen=True)
class RankShard:
    """The samples of every step that belong to one of several processes: equal contiguous ranges.

    Attributes:
        rank: Number of this process.
        world: Number of processes.
        batch: Samples per step, over all processes.
    """

    rank: int
    world: int
    batch: int

    def indices(self) -> range:
        """Return the sample indices of this process."""
        each = self.batch // self.world
        return range(self.rank * each, (self.rank + 1) * each)


def batches(source: Source, seed: int, steps: range, shard: RankShard, workers: int = 0) -> Iterator[Batch]:
    """Yield the batch of this process for each step, in order.

    Args:
        source: Source of samples.
        seed: Seed of the run.
        steps: Steps of the run.
        shard: The samples of this process.
        workers: Processes that prepare samples in advance; 0 prepares them here.
    """
    addresses = [[(step, index) for index in shard.indices()] for step in steps]
    # workers fork before a device is used; threads inside a worker would only compete for the same cores
    loader = DataLoader(
        _AddressedDataset(source, seed), batch_sampler=addresses, num_workers=workers, collate_fn=collate
    )
    yield from loader


def collate(items: Sequence[Batch]) -> Batch:
    """Concatenate batches into one; a field that any of them lacks becomes None."""
    if len(items) == 1:
        return items[0]
    columns = ([getattr(item, field.name) for item in items] for field in fields(Batch))
    return Batch(*(None if any(part is None for part in column) else torch.cat(column) for column in columns))


def _spread(cases: int, count: int) -> Sequence[int]:
    return [int(i) for i in np.unique(np.linspace(0, cases - 1, min(cases, count)).round())] if cases else []
