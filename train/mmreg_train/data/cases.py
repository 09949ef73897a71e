"""Cases of a data set: the files that belong together, and the people they show."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreg_rt import io
from mmreg_rt.errors import InputError
from mmreg_rt.geometry import Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

CODE = "MMREG_E_TRAINING_FILES"
HASH_CHUNK = 1 << 20


@dataclass(frozen=True)
class Scan:
    """A NIfTI file, or an array in a ``.npz`` file.

    Attributes:
        path: The file.
        array: Name of the array, for ``.npz``.
        spacing_mm: Name of the array that holds the spacing along the image axes; None is 1 mm.
        index: Entry along the first axis, where the array stacks many cases.
    """

    path: Path
    array: str | None = None
    spacing_mm: str | None = None
    index: int | None = None

    def read(self) -> Volume:
        """Read the image.

        Arrays have no orientation: axis 0 (of three) runs to S, the last two to A and R.

        Raises:
            InputError: The file cannot be read or used.
        """
        return io.read_image(self.path) if self.array is None else self._from_arrays()

    @property
    def title(self) -> str:
        """Name for messages: file, array, entry."""
        parts = (self.array, None if self.index is None else f"entry {self.index}")
        return " ".join([self.path.name, *(part for part in parts if part is not None)])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file and the part of it that is used."""
        return f"{_sha256(self.path)}:{self.array}:{self.spacing_mm}:{self.index}"

    def _from_arrays(self) -> Volume:
        data = self._entry(self.array or "")
        spacing = np.ones(data.ndim) if self.spacing_mm is None else self._entry(self.spacing_mm)
        if data.ndim not in (2, 3) or spacing.shape != (data.ndim,):
            raise InputError(
                CODE,
                f"{self.path}: '{self.array}' must be one image (H, W) or (D, H, W) with a spacing along "
                f"each axis; found shape {data.shape} and {spacing.size} spacings. Set `case` if the array "
                "stacks cases.",
            )
        spacing = np.concatenate((np.ones(3 - data.ndim), spacing))
        affine = np.zeros((4, 4))
        affine[(2, 1, 0, 3), (0, 1, 2, 3)] = (*spacing, 1)
        return Volume.from_array(data, affine)

    def _entry(self, name: str) -> npt.NDArray[Any]:
        arrays = load_arrays(self.path)
        if name not in arrays:
            raise InputError(
                CODE,
                f"{self.path} has no array '{name}'; found {', '.join(arrays)}. Correct [arrays] in the data "
                "description.",
            )
        return arrays[name] if self.index is None else arrays[name][self.index]


@dataclass(frozen=True)
class Case:
    """Scans that belong together.

    Attributes:
        name: Name in the splits and the model card.
        people: The people shown: one, or two where scans of different people are paired.
        scans: By role: ``fixed``, ``moving``, ``fixed_label``, ``moving_label``; or ``scan``, ``label``.
        part: ``train``, ``val`` or ``test`` if the data set prescribes it.
    """

    name: str
    people: tuple[str, ...]
    scans: Mapping[str, Scan]
    part: str | None = None


@lru_cache(maxsize=2)
def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Load all arrays of a ``.npz`` file; pickled objects are rejected.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as reason:
        raise InputError(
            CODE, f"{path} is not a readable .npz file: {reason}. Save it again with numpy.savez_compressed."
        ) from reason


@cache
def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(HASH_CHUNK):
                digest.update(chunk)
    except OSError as reason:
        raise InputError(CODE, f"Cannot read {path}: {reason.strerror}. Check the path.") from reason
    return digest.hexdigest()
