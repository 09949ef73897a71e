"""Preparation of scans: resampled to the network grid, normalised, and cached as ``.npy`` files.

Serving uses the same ``PreprocessSpec`` and the same functions.
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
MARGIN_MM = 10.0  # around the kept labels: the structures of other people lie a little elsewhere
VERSION = "3"  # of the cache: increase it when the meaning of an entry changes


@dataclass(frozen=True)
class Preparation:
    """How scans become arrays for the network.

    Attributes:
        spec: Grid and intensities, as in the bundle.
        size: ``(D, H, W)`` that every grid is cropped or padded to around its centre; None keeps the grid of
            each scan.
        align: See ``mmreg_train.config.dataset``.
        labels: Label ids to keep; None keeps all.
        cache: Folder of the ``.npy`` files.
        onto: Scan that single scans or label maps are aligned to, and whose grid they get; None keeps their
            own. For label maps the grid is cropped to the box of the kept labels plus ``MARGIN_MM``.
        dims: Dimensions of the method: 3 takes volumes, 2 single slices.
    """

    spec: PreprocessSpec
    size: tuple[int, int, int] | None
    align: str
    labels: tuple[int, ...] | None
    cache: Path
    onto: Scan | None = None
    dims: int = 3

    def pair(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """Prepare a pair on the grid of the fixed scan.

        Returns:
            ``fixed``, ``moving`` ``(D, H, W)`` float32 in [0, 1], and their label maps int32.

        Raises:
            InputError: A scan has other dimensions than the method.
            IntensityError: An image is not finite, or constant.
        """
        return self._cached(scans, ("fixed", "moving"))

    def single(self, scans: Mapping[str, Scan]) -> dict[str, npt.NDArray[Any]]:
        """Prepare ``scan`` and ``label``, or ``label`` only, on its own grid or that of ``onto``.

        Raises:
            InputError: A scan has other dimensions than the method, or no label to keep.
            IntensityError: An image is not finite, or constant.
        """
        return self._cached(scans, ("scan",) if "scan" in scans else ())

    def _cached(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        key = self._key(scans)
        paths = {role: self.cache / f"{key}-{role}.npy" for role in scans}
        if not all(path.is_file() for path in paths.values()):
            self.cache.mkdir(parents=True, exist_ok=True)
            for role, data in self._prepare(scans, images).items():
                with atomic_write(paths[role]) as stream:
                    np.save(stream, data, allow_pickle=False)
        return {role: np.load(path, allow_pickle=False) for role, path in paths.items()}

    def _prepare(self, scans: Mapping[str, Scan], images: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        volumes = {role: self._read(scan, role in images) for role, scan in scans.items()}
        one = volumes[images[0] if images else "label"]
        reference = one if self.onto is None else self.onto.read()
        target = resize_grid(self._grid(reference, bool(images)), self.size)
        moved = volumes.get("moving") if self.onto is None else one
        identity: Transform = Affine(np.eye(4))
        transform = identity if moved is None else self._alignment(reference, moved, bool(images))
        arrays: dict[str, npt.NDArray[Any]] = {}
        for role, volume in volumes.items():
            resample = self._image if role in images else self._label
            moves = self.onto is not None or role.startswith("moving")
            arrays[role] = resample(volume, transform if moves else identity, target)
        return arrays

    def _read(self, scan: Scan, image: bool) -> Volume:
        """Read a scan and check it as the runtime does.

        Raises:
            InputError: It has other dimensions than the method.
            IntensityError: An image is not finite, or constant.
        """
        volume = scan.read()
        if volume.grid.dims != self.dims:
            needed = "volumes" if self.dims == 3 else "single slices"
            raise InputError(
                CODE,
                f"A {self.dims}-D method needs {needed}; {scan.title} has the shape {volume.grid.shape}. Use "
                f"a {volume.grid.dims}-D method, or remove the scan.",
            )
        return check_intensities(volume, None, scan.title)[0] if image else volume

    def _grid(self, reference: Volume, images: bool) -> Grid:
        """Return the network grid of ``reference``; for aligned label maps, cropped to the labels to keep."""
        grid = network_grid(reference.grid, self.spec)
        if images or self.onto is None or self.labels is None:
            return grid
        kept = np.argwhere(np.isin(reference.as_labels(), self.labels))
        if not len(kept):
            raise InputError(
                CODE, f"The first label map has none of the labels {list(self.labels)}. Correct `labels`."
            )
        return crop_grid(grid, reference.grid.map_indices(kept), MARGIN_MM)

    def _image(self, volume: Volume, transform: Transform, target: Grid) -> npt.NDArray[Any]:
        # normalise before warping: outside is 0, the darkest value
        normalised = Volume(normalise(volume.as_float32(), self.spec), volume.grid)
        return transform.warp(normalised, target, outside=0).data

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

        pair = (fixed, moving) if images else (self._label_image(fixed), self._label_image(moving))
        result = Registrar(align=self.align, deform=False).register(*pair)
        return result.affine or result.rigid or Affine(np.eye(4))

    def _label_image(self, labels: Volume) -> Volume:
        """Return an image of a label map for registration; a label has the same grey value in every map."""
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


def resize_grid(grid: Grid, size: tuple[int, int, int] | None) -> Grid:
    """Crop or pad ``grid`` to ``size`` around its centre; None returns it unchanged."""
    if size is None:
        return grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(((np.array(grid.shape) - np.array(size)) / 2)[None])[0]
    return Grid(size, affine)


def crop_grid(grid: Grid, points_mm: npt.NDArray[np.float64], margin_mm: float) -> Grid:
    """Crop ``grid`` to the bounding box of points ``(N, 3)`` in RAS+ mm plus a margin."""
    indices = grid.map_points(points_mm)
    margin = margin_mm / np.array(grid.spacing_mm)
    low = np.maximum(np.floor(indices.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(indices.max(0) + margin) + 1, grid.shape).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(low[None])[0]
    depth, height, width = (int(n) for n in high - low)
    return Grid((depth, height, width), affine)


def default_cache() -> Path:
    """Return ``$MMREG_CACHE/training``, or ``mmreg/training`` in the user's cache folder."""
    configured = os.environ.get("MMREG_CACHE")
    if configured:
        return Path(configured) / "training"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmreg" / "training"


def check_size(size: tuple[int, int, int] | None, dims: int, multiple: int) -> None:
    """Raise unless a method can take samples of ``size``.

    Raises:
        InputError: The size is no multiple of what the network needs, or has the wrong dimensions.
    """
    if size is None:
        return
    planar = size[0] == 1
    invalid = [n for n in (size[1:] if dims == 2 else size) if n < 1 or n % multiple]
    if planar != (dims == 2) or invalid:
        raise InputError(
            CODE,
            f"A {dims}-D method needs data.size in multiples of {multiple}"
            f"{', and 1 along axis 0' if dims == 2 else ''}; found {list(size)}. Change [data] size.",
        )
