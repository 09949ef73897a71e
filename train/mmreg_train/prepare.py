"""Scans onto the grid of the network, normalised, and kept as ``.npy`` so that it is done once.

The same ``PreprocessSpec`` and the same functions serve the bundle at run time.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreg_rt.errors import InputError
from mmreg_rt.geometry import Grid, Volume
from mmreg_rt.io.files import replaced
from mmreg_rt.preprocess import PreprocessSpec, network_grid, normalise
from mmreg_rt.transform import Affine, Transform

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from .cases import Scan

CODE = "MMREG_E_TRAINING_DATA"
VERSION = "1"  # of what is cached: a change of meaning makes every entry anew


@dataclass(frozen=True)
class Preparation:
    """How scans become arrays for the network.

    Args:
        spec: Grid and intensities, as in the bundle.
        size: ``(D, H, W)`` that every grid is cut or padded to, centred; None keeps the grid of each scan.
        align: See ``description``.
        labels: Label ids to keep; None keeps all.
        cache: Folder of the ``.npy`` files.
    """

    spec: PreprocessSpec
    size: tuple[int, int, int] | None
    align: str
    labels: tuple[int, ...] | None
    cache: Path

    def pair(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """``fixed``, ``moving`` (float32, 0 to 1) and their labels (int32), on the grid of the fixed scan."""
        return self._cached(scans, ("fixed", "moving"))

    def single(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """``scan`` and ``label``, or ``label`` alone, on a grid of its own."""
        return self._cached(scans, ("scan",) if "scan" in scans else ())

    def _cached(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        key = self._key(scans)
        paths = {role: self.cache / f"{key}-{role}.npy" for role in scans}
        if not all(path.is_file() for path in paths.values()):
            self.cache.mkdir(parents=True, exist_ok=True)
            for role, data in self._made(scans, images).items():
                with replaced(paths[role]) as stream:
                    np.save(stream, data, allow_pickle=False)
        return {role: np.load(path, allow_pickle=False) for role, path in paths.items()}

    def _made(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        volumes = {role: scan.read() for role, scan in scans.items()}
        reference = volumes[images[0] if images else "label"]
        target = sized(network_grid(reference.grid, self.spec), self.size)
        made: dict[str, npt.NDArray[Any]] = {}
        for role, volume in volumes.items():
            transform: Transform = Affine(np.eye(4))
            if role.startswith("moving"):
                transform = self._alignment(reference, volumes["moving"])
            made[role] = (
                self._image(volume, transform, target)
                if role in images
                else self._label(volume, transform, target)
            )
        return made

    def _image(self, volume: Volume, transform: Transform, target: Grid) -> npt.NDArray[Any]:
        normal = Volume(
            normalise(volume.as_float32(), self.spec), volume.grid
        )  # first: outside is 0 = darkest
        return transform.warp(normal, target).data

    def _label(self, volume: Volume, transform: Transform, target: Grid) -> npt.NDArray[Any]:
        labels: npt.NDArray[Any] = transform.warp_labels(Volume(volume.as_labels(), volume.grid), target).data
        if self.labels is not None:
            labels = np.where(np.isin(labels, self.labels), labels, 0)
        return labels.astype(np.int32)

    def _alignment(self, fixed: Volume, moving: Volume) -> Transform:
        if self.align == "none":
            return Affine(np.eye(4))
        if self.align == "centre":
            matrix = np.eye(4)
            matrix[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
            return Affine(matrix)
        from mmreg_rt.registrar import Registrar

        found = Registrar(align=self.align, deform=False).register(fixed, moving)
        return found.affine or found.rigid or Affine(np.eye(4))

    def _key(self, scans: Mapping[str, Scan]) -> str:
        parts = {
            "version": VERSION,
            "scans": {role: scan.fingerprint() for role, scan in sorted(scans.items())},
            "spec": self.spec.as_dict(),
            "size": self.size,
            "align": self.align,
            "labels": self.labels,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def sized(grid: Grid, size: tuple[int, int, int] | None) -> Grid:
    """``grid`` cut or padded to ``size`` around its centre."""
    if size is None:
        return grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(((np.array(grid.shape) - np.array(size)) / 2)[None])[0]
    return Grid(size, affine)


def default_cache() -> Path:
    """``$MMREG_CACHE``, or ``mmreg/training`` in the user's cache folder."""
    named = os.environ.get("MMREG_CACHE")
    if named:
        return Path(named) / "training"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmreg" / "training"


def check_size(size: tuple[int, int, int] | None, dims: int, multiple: int) -> None:
    """Refuse a size that the method cannot take.

    Raises:
        InputError: It is no multiple of what the network needs, or has the wrong dimensions.
    """
    if size is None:
        return
    planar = size[0] == 1
    wrong = [n for n in (size[1:] if dims == 2 else size) if n < 1 or n % multiple]
    if planar != (dims == 2) or wrong:
        raise InputError(
            CODE,
            f"A method of {dims} dimensions needs data.size in multiples of {multiple}"
            f"{', and 1 along axis 0' if dims == 2 else ''}; found {list(size)}. Change [data] size.",
        )
