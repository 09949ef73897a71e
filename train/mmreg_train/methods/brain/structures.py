"""The brain structures of ``brain``, and their ids in label maps of SynthSeg.

Ids are those of FreeSurfer, with the classes of SynthSeg around the brain from 500 on. They are grouped so
that each structure is large enough to be visible at 2 mm; left and right are separate. Nuclei and vessels
that are too small belong to their surroundings.
"""

from __future__ import annotations

import torch
from torch import Tensor

# name: ids of the left and of the right side
_SIDES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "cerebral white matter": ((2, 25, 30), (41, 57, 62)),  # with lesions and vessels
    "cerebral cortex": ((3,), (42,)),
    "lateral ventricle": ((4, 5, 136, 137), (43, 44, 163, 164)),  # with horns and choroid plexus
    "cerebellar white matter": ((7,), (46,)),
    "cerebellar cortex": ((8,), (47,)),
    "thalamus": ((10,), (49,)),
    "caudate": ((11, 26), (50, 58)),  # with the adjoining accumbens
    "putamen": ((12,), (51,)),
    "pallidum": ((13,), (52,)),
    "hippocampus": ((17,), (53,)),
    "amygdala": ((18,), (54,)),
}
_MIDDLE: dict[str, tuple[int, ...]] = {
    "brain stem": (16, 28, 60),  # with the ventral diencephalon
    "third and fourth ventricle": (14, 15, 72),
    "cerebrospinal fluid": (24,),
}
AROUND = (502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)  # eyes, skull, skin and others
CHIASM = 85
FLUID, OTHER_FLUID = 24, (4, 5, 14, 15, 43, 44, 72)

# Ids that share one intensity when whole tissues are painted.
TISSUES: tuple[tuple[int, ...], ...] = (
    (2, 7, 16, 28, 41, 46, 60, CHIASM),
    (3, 8, 10, 11, 12, 17, 18, 26, 42, 47, 49, 50, 51, 53, 54, 58),
    (FLUID, *OTHER_FLUID),
)
LARGEST_ID = 530

STRUCTURES: tuple[str, ...] = (
    "background",
    *(f"{side} {name}" for name in _SIDES for side in ("left", "right")),
    *_MIDDLE,
)


def structure_of_id() -> Tensor:
    """Return the index into ``STRUCTURES`` of every id, ``(LARGEST_ID + 1,)`` int64; 0 for other ids."""
    table = torch.zeros(LARGEST_ID + 1, dtype=torch.int64)
    groups = [ids for sides in _SIDES.values() for ids in sides] + list(_MIDDLE.values())
    for number, ids in enumerate(groups, start=1):
        table[list(ids)] = number
    return table


def mirrored_id() -> Tensor:
    """Return the id of the other side, ``(LARGEST_ID + 1,)`` int64; ids without sides map to themselves."""
    table = torch.arange(LARGEST_ID + 1)
    for left, right in _SIDES.values():
        table[list(left)], table[list(right)] = torch.tensor(right), torch.tensor(left)
    return table


def class_of_id() -> Tensor:
    """Return the painting class of every id, ``(LARGEST_ID + 1,)`` int64; both sides share one."""
    return torch.minimum(torch.arange(LARGEST_ID + 1), mirrored_id())
