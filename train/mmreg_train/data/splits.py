"""Splits into training, validation and test; people, never scans, are divided."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreg_rt.errors import InputError
from mmreg_rt.io.files import atomic_write, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.dataset import Split
    from .cases import Case

CODE = "MMREG_E_TRAINING_SPLIT"
PARTS = ("train", "val", "test")
LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Splits:
    """Names of the cases and people in each part.

    Cases that pair two people of different parts are in none.
    """

    cases: Mapping[str, tuple[str, ...]]
    people: Mapping[str, tuple[str, ...]]
    seed: int

    def write(self, path: Path) -> None:
        """Write the splits as JSON."""
        table = {
            "format": "mmreg-splits/1",
            "seed": self.seed,
            "people": {part: list(self.people[part]) for part in PARTS},
            "cases": {part: list(self.cases[part]) for part in PARTS},
        }
        with atomic_write(path) as stream:
            stream.write(json.dumps(table, indent=1).encode())


def divide(cases: Sequence[Case], split: Split, folder: Path) -> Splits:
    """Divide the people of the cases: as the data set or a file prescribes, or at random.

    Args:
        cases: All cases.
        split: Fractions and seed, or the file of an earlier run.
        folder: Folder that ``split.file`` is relative to.

    Raises:
        InputError: The training part is empty, or the file has a person in two parts.
    """
    if split.file is not None:
        people = _read(folder / split.file)
    elif any(case.part for case in cases):
        people = _prescribed(cases)
    else:
        people = _draw(sorted({person for case in cases for person in case.people}), split)
    part_of = {person: part for part in PARTS for person in people[part]}
    chosen: dict[str, list[str]] = {part: [] for part in PARTS}
    for case in cases:
        parts = {part_of.get(person) for person in case.people}
        part = case.part or (parts.pop() if len(parts) == 1 else None)
        if part is not None:
            chosen[part].append(case.name)
    if not chosen["train"]:
        raise InputError(
            CODE,
            f"The training part is empty: {len(cases)} cases of {len(part_of)} people, split "
            f"{split.train:g}/{split.val:g}/{split.test:g}. Add people, or change [split].",
        )
    return Splits({part: tuple(chosen[part]) for part in PARTS}, people, split.seed)


def _draw(people: Sequence[str], split: Split) -> dict[str, tuple[str, ...]]:
    order = [people[i] for i in np.random.default_rng(split.seed).permutation(len(people))]
    val, test = (_count(share, len(people)) for share in (split.val, split.test))
    train = max(len(people) - val - test, 0)
    borders = (0, train, train + val, len(people))
    return {part: tuple(sorted(order[borders[i] : borders[i + 1]])) for i, part in enumerate(PARTS)}


def _count(share: float, people: int) -> int:
    """Return the number of people for a fraction; at least one if it is above 0 and there are three."""
    return max(round(share * people), int(share > 0 and people >= 3))


def _prescribed(cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    return {
        part: tuple(sorted({person for case in cases if case.part == part for person in case.people}))
        for part in PARTS
    }


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    text = read_text(path, LIMIT_BYTES)
    try:
        table: Any = json.loads(text)
        people = {part: tuple(map(str, table["people"][part])) for part in PARTS}
    except (json.JSONDecodeError, KeyError, TypeError) as reason:
        raise InputError(
            CODE, f"{path} is not a valid splits.json: {reason!r}. Use the file of a run, or remove `file`."
        ) from reason
    listed = [person for part in PARTS for person in people[part]]
    if len(listed) != len(set(listed)):
        twice = sorted({person for person in listed if listed.count(person) > 1})
        raise InputError(
            CODE, f"{path} has {', '.join(twice[:3])} in two parts. A person belongs to one part only."
        )
    return people
