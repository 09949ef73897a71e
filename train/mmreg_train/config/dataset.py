"""Data description: one TOML file in, or pointing to, a folder of scans.

================  =====================================================================================
``format``        ``"mmreg-data/1"``
``name``          name of the data set in the model card
``kind``          ``"pairs"``: a fixed and a moving scan per case; ``"scans"``: single scans, paired at
                  random (``draw``); ``"labels"``: label maps that images are synthesised from
``licence``       licence of the data, for the model card
``credit``        whom to credit; optional
``modalities``    of the fixed and of the moving scan, such as ``["MR T1", "CT"]``; optional
``anatomy``       such as ``"brain"``; optional
``folder``        folder of the files, relative to the TOML; default: the folder of the TOML
``layout``        ``"pattern"`` (default), ``"learn2reg"``, ``"npz"``, ``"camus"``, ``"acdc"``
``pairing``       for ``pairs`` with patterns: ``"same"`` case (default), or ``"all"`` fixed with all
                  moving scans, for unpaired people
``draw``          for ``scans``: ``"two"`` different ones (default) or ``"same"``, one scan twice
``align``         how the moving scan is brought to the grid of the fixed one: ``"none"`` trusts the headers
                  (default), ``"centre"`` aligns the centres of the fields of view, ``"rigid"`` and
                  ``"affine"`` register first, as ``mmreg register`` does before the network. Single scans
                  and label maps are aligned to the first one by name, on its grid; for label maps this grid
                  is cropped to the bounding box of ``labels`` plus 10 mm
``labels``        label ids to keep, all others become 0; default: all
``[files]``       patterns with ``{case}``, relative to ``folder``: ``fixed``, ``moving`` and optionally
                  ``fixed_label``, ``moving_label`` for ``pairs``; ``scan`` and ``label`` for ``scans``;
                  ``label`` for ``labels``; ``npz`` for the layouts of arrays; ``json`` for ``learn2reg``.
                  For rigid methods also ``fixed_structures`` and ``moving_structures``, maps of several
                  frames, see ``mmreg_train/data/rigid/truth.py``
``[arrays]``      for the layout ``npz``, names of arrays: ``fixed``, ``moving``, ``fixed_label``,
                  ``moving_label``, ``spacing_mm`` and, where one file stacks many cases along its first
                  axis, ``case`` (their names)
``[person]``      which cases belong to one person: ``regex``, whose first group in the case name is the
                  person; or ``list``, a text file with the cases of one person per line. Default: every
                  case is a different person
``[split]``       ``train``, ``val``, ``test``: fractions of the people (default 0.8, 0.1, 0.1), drawn with
                  ``seed`` (default 0); or ``file``, a ``splits.json`` of an earlier run
================  =====================================================================================

Scans are NIfTI files or arrays in ``.npz`` files; ``docs/training_data.md`` has an example of each layout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mmreg_rt.errors import InputError

from .toml import parse_table, read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = "mmreg-data/1"
FILE_NAME = "data.toml"  # read when the path is a folder
CODE = "MMREG_E_TRAINING_DATA"
STRICT: dict[str, Any] = {"extra": "forbid"}

STRUCTURES = ("fixed_structures", "moving_structures")

_NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("pairs", "pattern"): ("fixed", "moving"),
    ("scans", "pattern"): ("scan",),
    ("labels", "pattern"): ("label",),
    ("pairs", "npz"): ("npz",),
    ("pairs", "camus"): (),
    ("pairs", "acdc"): (),
    ("pairs", "learn2reg"): (),
    ("scans", "learn2reg"): (),
}
_ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "pattern": {
        "pairs": ("fixed", "moving", "fixed_label", "moving_label", *STRUCTURES),
        "scans": ("scan", "label"),
        "labels": ("label",),
    },
    "npz": {"pairs": ("npz",)},
    "camus": {"pairs": ("npz",)},
    "acdc": {"pairs": ("npz", "fixed", "moving", "fixed_label", "moving_label")},
    "learn2reg": {"pairs": ("json",), "scans": ("json",)},
}


@dataclass(frozen=True)
class Files:
    """The table ``[files]``: patterns of file names."""

    __pydantic_config__: ClassVar[Any] = STRICT
    fixed: str | None = None
    moving: str | None = None
    fixed_label: str | None = None
    moving_label: str | None = None
    fixed_structures: str | None = None
    moving_structures: str | None = None
    scan: str | None = None
    label: str | None = None
    npz: str | None = None
    json: str | None = None


@dataclass(frozen=True)
class Arrays:
    """The table ``[arrays]``: names of arrays in a ``.npz`` file."""

    __pydantic_config__: ClassVar[Any] = STRICT
    fixed: str
    moving: str
    fixed_label: str | None = None
    moving_label: str | None = None
    spacing_mm: str | None = None
    case: str | None = None


@dataclass(frozen=True)
class Person:
    """The table ``[person]``: which cases belong to one person."""

    __pydantic_config__: ClassVar[Any] = STRICT
    regex: str | None = None
    list: str | None = None

    def __post_init__(self) -> None:
        if self.regex is not None and self.list is not None:
            raise ValueError("give either regex or list, not both")
        if self.regex is not None and _groups(self.regex) < 1:
            raise ValueError("a regex needs a group, as in (patient[0-9]+)")


@dataclass(frozen=True)
class Split:
    """The table ``[split]``: fractions of the people for training, validation and test."""

    __pydantic_config__: ClassVar[Any] = STRICT
    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    file: str | None = None

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        if min(shares) < 0 or self.train == 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError("train, val and test must add up to 1, and train must be above 0")


@dataclass(frozen=True)
class Description:
    """A data description; the module docstring documents each value."""

    __pydantic_config__: ClassVar[Any] = STRICT
    format: Literal["mmreg-data/1"]
    name: str
    kind: Literal["pairs", "scans", "labels"]
    licence: str
    credit: str = ""
    modalities: tuple[str, str] | None = None
    anatomy: str = ""
    folder: str = "."
    layout: Literal["pattern", "learn2reg", "npz", "camus", "acdc"] = "pattern"
    pairing: Literal["same", "all"] = "same"
    draw: Literal["two", "same"] = "two"
    align: Literal["none", "centre", "rigid", "affine"] = "none"
    labels: tuple[int, ...] | None = None
    files: Files = field(default_factory=Files)
    arrays: Arrays | None = None
    person: Person = field(default_factory=Person)
    split: Split = field(default_factory=Split)

    def __post_init__(self) -> None:
        allowed = _ALLOWED[self.layout].get(self.kind)
        if allowed is None:
            raise ValueError(f"the layout {self.layout} has no {self.kind}")
        named = [of.name for of in fields(Files) if getattr(self.files, of.name) is not None]
        needed = _NEEDED[self.kind, self.layout]
        if missing := [name for name in needed if name not in named]:
            raise ValueError(
                f"[files] needs {_comma_list(missing)} for {self.kind} in the layout {self.layout}"
            )
        if unused := [name for name in named if name not in allowed]:
            raise ValueError(f"[files] has {_comma_list(unused)}, unused by {self.kind} in {self.layout}")
        if len(set(named) & set(STRUCTURES)) == 1:
            raise ValueError(f"{_comma_list(STRUCTURES)} go together")
        if (self.layout == "npz") != (self.arrays is not None):
            raise ValueError("[arrays] is required by the layout npz and used by no other")
        if self.pairing == "all" and (self.kind, self.layout) != ("pairs", "pattern"):
            raise ValueError('pairing = "all" needs pairs in the layout pattern')
        if self.pairing == "all" and set(named) & set(STRUCTURES):
            raise ValueError(f'{_comma_list(STRUCTURES)} need pairing = "same"')


def read_description(path: Path) -> tuple[Description, Path]:
    """Read a data description.

    Args:
        path: A TOML file, or a folder that contains ``data.toml``.

    Returns:
        The description, and the folder of the files.

    Raises:
        InputError: The file cannot be read, or values are invalid; the message names all of them.
    """
    file = path / FILE_NAME if path.is_dir() else path
    description = parse_table(Description, read_toml(file, CODE), file, CODE)
    folder = (file.parent / description.folder).resolve()
    if not folder.is_dir():
        raise InputError(CODE, f"{file}: there is no folder {folder}. Give `folder` relative to the file.")
    return description, folder


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as reason:
        raise ValueError(f"not a regular expression: {reason}") from reason


def _comma_list(names: Sequence[str]) -> str:
    return ", ".join(names)
