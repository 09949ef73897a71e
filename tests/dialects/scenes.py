"""Scans and transforms that tell the conventions of dialects apart, and the points they are compared at."""

import nibabel
import numpy as np
from fixtures.grids import grid, rotation

from mmreg_rt import Affine, Composite, DisplacementField, Rigid

LPS = np.array([-1.0, -1.0, 1.0])
FIXED = grid((13, 11, 12), (3.0, 0.8, 1.1), 25, origin_mm=(-31.0, 12.5, 77.0))
MOVING = grid((9, 12, 10), (0.7, 2.0, 1.3), -70, (1, 1, -1), (14.0, -90.0, 3.5))
PAIRS = {"right to left": (FIXED, MOVING), "left to right": (MOVING, FIXED), "left to left": (MOVING, MOVING)}


def matrix(linear, shift):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = linear, shift
    return out


RIGID = Rigid(matrix(rotation((3, -1, 2), 37), (14.0, -2.5, 61.0)))
AFFINE = Affine(
    matrix(rotation((1, 1, 0), -20) @ [[1.1, 0.05, 0], [0, 0.9, -0.1], [0.02, 0, 1.05]], (-9, 5, 2))
)


def points(target, count=40):
    """Points well inside of a grid."""
    index = np.random.default_rng(8).uniform(0.15, 0.85, (count, 3)) * (np.array(target.shape) - 1)
    return target.map_indices(index)


def voxels(target):
    """Centres of all voxels, in the order of the array."""
    return target.map_indices(np.argwhere(np.ones(target.shape)))


def field(target, seed=9, amplitude_mm=1.5):
    u = np.random.default_rng(seed).normal(0, amplitude_mm, (3, *target.shape)).astype(np.float32)
    return DisplacementField(u, target)


def chain(target):
    return Composite((field(target), AFFINE))


def image(target):
    """The grid as a nibabel image, for programs that need the scans."""
    made = nibabel.Nifti1Image(np.zeros(target.shape[::-1], np.float32), target.affine[:, [2, 1, 0, 3]])
    made.set_sform(made.affine, 1)
    made.set_qform(made.affine, 1)
    return made


def saved(target, path):
    nibabel.save(image(target), path)
    return path


def mapped(by, at):
    """Points ``(N, 3)`` mapped by a matrix."""
    return at @ by[:3, :3].T + by[:3, 3]


def error_mm(ours, theirs):
    return float(np.linalg.norm(np.asarray(ours) - np.asarray(theirs), axis=1).max())
