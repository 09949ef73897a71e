"""Memory and work of a network: on its golden pair, on the largest grid of its manifest, on a given grid."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from ..errors import BundleError, GeometryError
from ..geometry import MAX_VOXELS
from ..onnx_model.footprint import Bounds, Footprint
from .manifest import FIELDS

if TYPE_CHECKING:
    from ..onnx_model.validation import ModelFacts
    from .manifest import Manifest

# Most multiply-adds of a network on its golden pair, a second to some minutes on a laptop; and at any size,
# some hours.
GOLDEN_WORK, MOST_WORK = 5 * 10**11, 10**15
# Most memory of a network: for each voxel of the grid, plus a constant.
VOXEL_BYTES, BASE_BYTES = 16 << 10, 1 << 29
LARGEST_VOXELS = 1 << 27  # largest grid that is checked: 512 along each axis

Extents = tuple[int, ...]


def check_sizes(manifest: Manifest, facts: ModelFacts, golden: Extents) -> Footprint:
    """Check a network on its golden pair and on the largest grid of its manifest.

    Args:
        manifest: Manifest of the bundle.
        facts: The network.
        golden: ``(D, H, W)`` of the golden pair.

    Returns:
        Memory and work on the golden pair.

    Raises:
        BundleError: A node does not fit its inputs at one of these sizes, the output does not match the
            manifest, or the network takes more than any may.
    """
    footprint = at_size(manifest, facts, golden, bounds(golden, GOLDEN_WORK))
    largest = largest_grid(manifest, facts)
    if largest != golden:
        at_size(manifest, facts, largest, bounds(largest))
    return footprint


def bounds(extents: Extents, work: int = MOST_WORK) -> Bounds:
    """Return the most memory and work that any network may take on a grid."""
    return Bounds(BASE_BYTES + VOXEL_BYTES * math.prod(extents), work)


def at_size(manifest: Manifest, facts: ModelFacts, extents: Extents, most: Bounds) -> Footprint:
    """Return memory and work of a network for images of ``(D, H, W)`` voxels.

    Raises:
        BundleError: A node does not fit, the output does not match the manifest, or ``most`` is exceeded.
    """
    footprint = facts.footprint((1, 1, *extents[3 - manifest.dims :]), most)
    actual, expected = footprint.outputs["output"], output_shape(manifest, extents)
    if expected is not None and actual != expected:
        raise BundleError(
            "MMREG_E_BUNDLE_MODEL",
            f"For a grid of {extents} voxels the network of {manifest.name!r} must give {expected} by its "
            f"manifest; its nodes give {actual}. Export the network again.",
        )
    return footprint


def output_shape(manifest: Manifest, extents: Extents) -> Extents | None:
    """Return the output shape for images of ``(D, H, W)``, or None for kinds that may have any shape."""
    output = manifest.output
    if manifest.rigid is not None:
        return 1, output.channels
    if output.kind not in (*FIELDS, "descriptor"):
        return None
    inner = extents[3 - manifest.dims :]
    return 1, output.channels, *(-(-n // output.factor) for n in inner)


def largest_grid(manifest: Manifest, facts: ModelFacts) -> Extents:
    """Return the largest grid ``(D, H, W)`` of the intended use, up to ``LARGEST_VOXELS``."""
    multiple, use = manifest.preprocess.multiple, manifest.intended_use
    spacing_mm = manifest.preprocess.spacing_mm or use.spacing_mm[0]
    most = min(manifest.most_voxels or MAX_VOXELS, LARGEST_VOXELS)
    declared = facts.inputs[0].dims[2:]
    longest = math.ceil(use.field_of_view_mm[1] / spacing_mm / multiple) * multiple
    cube = math.floor(most ** (1 / manifest.dims) + 1e-9) // multiple * multiple
    extent = max(multiple, min(longest, cube))
    shape = [n if isinstance(n, int) else extent for n in declared]
    return (1,) * (3 - manifest.dims) + tuple(shape)


def check_grid(manifest: Manifest, facts: ModelFacts, extents: Extents, on_host: bool) -> None:
    """Raise if a grid has more voxels than the network takes, or needs too much work or memory.

    Args:
        manifest: Manifest of the bundle.
        facts: The network.
        extents: ``(D, H, W)`` of the grid.
        on_host: The network runs in host memory, not in that of a device.

    Raises:
        GeometryError: The grid is too large.
        BundleError: The network does not fit such a grid.
    """
    _check_voxels(manifest, extents)
    footprint = at_size(manifest, facts, extents, Bounds(1 << 60, 1 << 60))
    # libraries keep less alive than counted here, by computing in place
    most = min(bounds(extents).bytes, 2 * memory_bytes() if on_host else 1 << 60)
    network = f"The network {manifest.name!r} needs"
    grid = f"for its grid of {' x '.join(map(str, extents))} voxels"
    advice = "Crop the fixed scan, or register without a model."
    if footprint.peak_bytes > most:
        raise GeometryError(
            "MMREG_E_MODEL_MEMORY",
            f"{network} about {footprint.peak_bytes / 2**30:.1f} GiB of memory {grid}; the limit is "
            f"{most / 2**30:.1f} GiB here. {advice}",
        )
    if footprint.work > MOST_WORK:
        raise GeometryError(
            "MMREG_E_MODEL_WORK",
            f"{network} {footprint.work:.1e} multiply-adds {grid}; the limit is {MOST_WORK:.0e}. {advice}",
        )


def _check_voxels(manifest: Manifest, extents: Extents) -> None:
    most, voxels = manifest.most_voxels or MAX_VOXELS, math.prod(extents)
    if voxels > most:
        raise GeometryError(
            "MMREG_E_MODEL_GRID",
            f"The network {manifest.name!r} takes at most {most} voxels; its grid would be "
            f"{' x '.join(map(str, extents))}, which is {voxels}. Crop the fixed scan, or use a network for "
            "larger ones.",
        )


def memory_bytes() -> int:
    """Return the memory of this machine, or the limit of this process's address space if smaller."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError):
        return physical
    return physical if limit == resource.RLIM_INFINITY else min(physical, limit)
