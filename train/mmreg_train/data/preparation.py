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
from mmreg_rt.input_validation import check_intensities
from mmreg_rt.io.files import atomic_write
from mmreg_rt.preprocess import PreprocessSpec, network_grid, normalise
from mmreg_rt.transform import Affine, Transform

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from .cases import Scan

CODE = "MMREG_E_TRAINING_DATA"
MARGIN_MM = 10.0  # around the labels to keep: the same structures of others lie a little elsewhere
VERSION = "3"  # of what is cached: a change of meaning makes every entry anew


@dataclass(frozen=True)
class Preparation:
    """How scans become arrays for the network.

    Args:
        spec: Grid and intensities, as in the bundle.
        size: ``(D, H, W)`` that every grid is cut or padded to, centred; None keeps the grid of each scan.
        align: See ``description``.
        labels: Label ids to keep; None keeps all.
        cache: Folder of the ``.npy`` files.
        onto: What single scans or label maps are aligned to, and whose grid they get; None is each its own.
            Of label maps it is cut to the box of the kept labels and ``MARGIN_MM`` around.
        dims: Of the method: 3 takes volumes, 2 single slices.
    """

    spec: PreprocessSpec
    size: tuple[int, int, int] | None
    align: str
    labels: tuple[int, ...] | None
    cache: Path
    onto: Scan | None = None
    dims: int = 3

    def pair(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """``fixed``, ``moving`` (float32, 0 to 1) and their labels (int32), on the grid of the fixed scan."""
        return self._cached(scans, ("fixed", "moving"))

    def single(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """``scan`` and ``label``, or ``label`` alone, on a grid of its own or on that of ``onto``."""
        return self._cached(scans, ("scan",) if "scan" in scans else ())

    def _cached(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        key = self._key(scans)
        paths = {role: self.cache / f"{key}-{role}.npy" for role in scans}
        if not all(path.is_file() for path in paths.values()):
            self.cache.mkdir(parents=True, exist_ok=True)
            for role, data in self._made(scans, images).items():
                with atomic_write(paths[role]) as stream:
                    np.save(stream, data, allow_pickle=False)
        return {role: np.load(path, allow_pickle=False) for role, path in paths.items()}

    def _made(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        volumes = {role: self._read(scan, role in images) for role, scan in scans.items()}
        one = volumes[images[0] if images else "label"]
        reference = one if self.onto is None else self.onto.read()
        target = sized(self._grid(reference, bool(images)), self.size)
        moved = volumes.get("moving") if self.onto is None else one
        still: Transform = Affine(np.eye(4))
        transform = still if moved is None else self._alignment(reference, moved, bool(images))
        made: dict[str, npt.NDArray[Any]] = {}
        for role, volume in volumes.items():
            make = self._image if role in images else self._label
            moves = self.onto is not None or role.startswith("moving")
            made[role] = make(volume, transform if moves else still, target)
        return made

    def _read(self, scan: Scan, image: bool) -> Volume:
        """A scan as the runtime would take it.

        Raises:
            InputError: It has other dimensions than the method.
            IntensityError: An image is not finite, or constant.
        """
        volume = scan.read()
        if volume.grid.dims != self.dims:
            needed = "volumes" if self.dims == 3 else "single slices"
            raise InputError(
                CODE,
                f"A method of {self.dims} dimensions needs {needed}; {scan.title} has the shape "
                f"{volume.grid.shape}. Use a method of {volume.grid.dims} dimensions, or leave it out.",
            )
        return check_intensities(volume, None, scan.title)[0] if image else volume

    def _grid(self, reference: Volume, images: bool) -> Grid:
        """That of the network for ``reference``; of label maps on one grid, what holds the labels to keep."""
        grid = network_grid(reference.grid, self.spec)
        if images or self.onto is None or self.labels is None:
            return grid
        kept = np.argwhere(np.isin(reference.as_labels(), self.labels))
        if not len(kept):
            raise InputError(CODE, f"The first label map has none of the labels {list(self.labels)}.")
        return around(grid, reference.grid.map_indices(kept), MARGIN_MM)

    def _image(self, volume: Volume, transform: Transform, target: Grid) -> npt.NDArray[Any]:
        normal = Volume(
            normalise(volume.as_float32(), self.spec), volume.grid
        )  # first: outside is 0 = darkest
        return transform.warp(normal, target, outside=0).data

    def _label(self, volume: Volume, transform: Transform, target: Grid) -> npt.NDArray[Any]:
        labels: npt.NDArray[Any] = transform.warp_labels(Volume(volume.as_labels(), volume.grid), target).data
        if self.labels is not None:
            labels = np.where(np.isin(labels, self.labels), labels, 0)
        return labels.astype(np.int32)

    def _alignment(self, fixed: Volume, moving: Volume, images: bool) -> Transform:
        if self.align == "none":
            return Affine(np.eye(4))
        if self.align == "centre":
            matrix = np.eye(4)
            matrix[:3, 3] = moving.grid.centre_mm - fixed.grid.centre_mm
            return Affine(matrix)
        from mmreg_rt.registrar import Registrar

        pair = (fixed, moving) if images else (self._painted(fixed), self._painted(moving))
        found = Registrar(align=self.align, deform=False).register(*pair)
        return found.affine or found.rigid or Affine(np.eye(4))

    def _painted(self, labels: Volume) -> Volume:
        """An image of a label map, the same shade of grey for a label in every map: to be registered by."""
        ids = labels.as_labels()
        shades = np.random.default_rng(0).integers(64, 256, 1 + int(ids.max())).astype(np.float32)
        shades[0] = 0
        kept = ids if self.labels is None else np.where(np.isin(ids, self.labels), ids, 0)
        return Volume(shades[kept], labels.grid)

    def _key(self, scans: Mapping[str, Scan]) -> str:
        parts = {
            "version": VERSION,
            "scans": {role: scan.fingerprint() for role, scan in sorted(scans.items())},
            "spec": self.spec.as_dict(),
            "size": self.size,
            "align": self.align,
            "labels": self.labels,
            "onto": None if self.onto is None else self.onto.fingerprint(),
            "dims": self.dims,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def sized(grid: Grid, size: tuple[int, int, int] | None) -> Grid:
    """``grid`` cut or padded to ``size`` around its centre."""
    if size is None:
        return grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(((np.array(grid.shape) - np.array(size)) / 2)[None])[0]
    return Grid(size, affine)


def around(grid: Grid, points_mm: npt.NDArray[np.float64], margin_mm: float) -> Grid:
    """The part of ``grid`` that holds the points and a margin around them."""
    indices = grid.map_points(points_mm)
    margin = margin_mm / np.array(grid.spacing_mm)
    low = np.maximum(np.floor(indices.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(indices.max(0) + margin) + 1, grid.shape).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(low[None])[0]
    depth, height, width = (int(n) for n in high - low)
    return Grid((depth, height, width), affine)


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
