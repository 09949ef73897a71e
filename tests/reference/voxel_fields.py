"""Float64 twins of training's warp and upsampling, in 2-D and 3-D."""

import numpy as np


def sample(image, position, padding):
    """``image`` (...) at ``position`` (dims, ...), linear; "zero" or "border" outside."""
    image, position = np.asarray(image, np.float64), np.asarray(position, np.float64)
    limits = np.array(image.shape).reshape(-1, *(1,) * (position.ndim - 1)) - 1
    if padding == "border":
        position = np.clip(position, 0, limits)
    low = np.floor(position).astype(int)
    total = np.zeros(position.shape[1:])
    for corner in np.ndindex(*(image.ndim * (2,))):
        offset = np.array(corner).reshape(limits.shape)
        index = low + offset
        weight = np.prod(1 - np.abs(position - index), axis=0)
        inside = np.all((index >= 0) & (index <= limits), axis=0)
        total += np.where(inside, weight * image[tuple(np.clip(index, 0, limits))], 0)
    return total


def warp(image, displacement, padding="zero"):
    return sample(image, np.indices(displacement.shape[1:]) + np.asarray(displacement, np.float64), padding)


def upsample(field, factor):
    """One component of a field of ``factor`` at the full-grid positions: voxel i stands for f i + (f-1)/2."""
    position = (np.indices([factor * n for n in field.shape]) - (factor - 1) / 2) / factor
    return sample(field, position, "border")


def integrate(velocity, steps, factor=1):
    """``velocity`` (dims, ...) in full-grid voxels on the grid of ``factor``."""
    u = np.asarray(velocity, np.float64) / 2**steps
    for _ in range(steps):
        u = u + np.array([warp(component, u / factor, "border") for component in u])
    return u
