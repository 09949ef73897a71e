"""How large a network becomes: for its golden pair, for the largest grid of its manifest, as asked for."""

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

# Multiply-adds that a network may take for its golden pair, a second to some minutes on a laptop; and at any
# size, some hours.
GOLDEN_WORK, MOST_WORK = 5 * 10**11, 10**15
# Memory that it may take: for each voxel of the grid, and whatever the grid
VOXEL_BYTES, BASE_BYTES = 16 << 10, 1 << 29
LARGEST_VOXELS = 1 << 27  # at which a network is looked at: 512 along each axis

Extents = tuple[int, ...]


def check_sizes(manifest: Manifest, facts: ModelFacts, golden: Extents) -> Footprint:
    """What a network takes for its golden pair, once that and the largest grid of its manifest are in bounds.

    Args:
        manifest: Of its bundle.
        facts: The network.
        golden: ``(D, H, W)`` of the golden pair.

    Raises:
        BundleError: A node does not fit what goes into it at one of these sizes, the output is not what the
            manifest says, or it takes more than any network may.
    """
    found = at_size(manifest, facts, golden, bounds(golden, GOLDEN_WORK))
    largest = largest_grid(manifest, facts)
    if largest != golden:
        at_size(manifest, facts, largest, bounds(largest))
    return found


def bounds(extents: Extents, work: int = MOST_WORK) -> Bounds:
    """Return what any network may take on a grid."""
    return Bounds(BASE_BYTES + VOXEL_BYTES * math.prod(extents), work)


def at_size(manifest: Manifest, facts: ModelFacts, extents: Extents, most: Bounds) -> Footprint:
    """What a network takes for images of ``(D, H, W)`` voxels.

    Raises:
        BundleError: A node does not fit, the output is not what the manifest says, or ``most`` is passed.
    """
    found = facts.footprint((1, 1, *extents[3 - manifest.dims :]), most)
    given, wanted = found.outputs["output"], wanted_shape(manifest, extents)
    if wanted is not None and given != wanted:
        raise BundleError(
            "MMREG_E_BUNDLE_MODEL",
            f"For a grid of {extents} voxels the network of {manifest.name!r} must give {wanted} by its "
            f"manifest; its nodes give {given}. Export the network again.",
        )
    return found


def wanted_shape(manifest: Manifest, extents: Extents) -> Extents | None:
    """The shape of the output for images of ``(D, H, W)``; None of kinds that any shape may have."""
    output = manifest.output
    if manifest.rigid is not None:
        return 1, output.channels
    if output.kind not in (*FIELDS, "descriptor"):
        return None
    inner = extents[3 - manifest.dims :]
    return 1, output.channels, *(-(-n // output.factor) for n in inner)


def largest_grid(manifest: Manifest, facts: ModelFacts) -> Extents:
    """The largest grid ``(D, H, W)`` of what the bundle is for; no larger than is looked at here."""
    multiple, use = manifest.preprocess.multiple, manifest.intended_use
    spacing_mm = manifest.preprocess.spacing_mm or use.spacing_mm[0]
    most = min(manifest.most_voxels or MAX_VOXELS, LARGEST_VOXELS)
    declared = facts.inputs[0].dims[2:]
    longest = math.ceil(use.field_of_view_mm[1] / spacing_mm / multiple) * multiple
    cube = math.floor(most ** (1 / manifest.dims) + 1e-9) // multiple * multiple
    extent = max(multiple, min(longest, cube))
    made = [n if isinstance(n, int) else extent for n in declared]
    return (1,) * (3 - manifest.dims) + tuple(made)


def check_asked(manifest: Manifest, facts: ModelFacts, extents: Extents, here: bool) -> None:
    """Refuse a grid with more voxels than the network takes, or with more work or memory than there is.

    Args:
        manifest: Of its bundle.
        facts: The network.
        extents: ``(D, H, W)`` of the grid.
        here: Whether it runs in the memory of this machine, not in that of a device.

    Raises:
        GeometryError: It would.
        BundleError: The network does not fit such a grid.
    """
    _check_voxels(manifest, extents)
    found = at_size(manifest, facts, extents, Bounds(1 << 60, 1 << 60))
    # libraries keep less alive than counted here, by writing results over what they are made of
    most = min(bounds(extents).bytes, 2 * memory_bytes() if here else 1 << 60)
    what = f"The network {manifest.name!r} needs"
    where = f"for its grid of {' x '.join(map(str, extents))} voxels"
    advice = "Crop the fixed scan, or register without a model."
    if found.peak_bytes > most:
        raise GeometryError(
            "MMREG_E_MODEL_MEMORY",
            f"{what} about {found.peak_bytes / 2**30:.1f} GiB of memory {where}; the limit is "
            f"{most / 2**30:.1f} GiB here. {advice}",
        )
    if found.work > MOST_WORK:
        raise GeometryError(
            "MMREG_E_MODEL_WORK",
            f"{what} {found.work:.1e} multiply-adds {where}; the limit is {MOST_WORK:.0e}. {advice}",
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
    """What this machine has, or the address space that this process may use."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError):
        return have
    return have if limit == resource.RLIM_INFINITY else min(have, limit)
