import numpy as np


def displacements(radius):
    """(K, 3) displacements, z slowest."""
    return np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in radius], indexing="ij"), -1).reshape(-1, 3)


def cost_volume(fixed, moving, used, radius):
    """Mean over the used channels of (fixed(cell) - moving(cell + displacement))^2, (D, H, W, K)."""
    fixed, moving = np.asarray(fixed, np.float64), np.asarray(moving, np.float64)
    planes = []
    for step in displacements(radius):
        index = [np.clip(np.arange(n) + s, 0, n - 1) for n, s in zip(fixed.shape, step, strict=False)]
        planes.append(((fixed - moving[np.ix_(*index)]) ** 2).sum(-1) / used)
    return np.stack(planes, -1)


def smooth_cost(cost, radius):
    """Mean over the (2 radius + 1)^3 neighbouring cells, border cells extended."""
    padded = np.pad(np.asarray(cost, np.float64), [(radius, radius)] * 3 + [(0, 0)], mode="edge")
    d, h, w = cost.shape[:3]
    total = sum(padded[z : z + d, y : y + h, x : x + w] for z, y, x in np.ndindex(*(3 * (2 * radius + 1,))))
    return total / (2 * radius + 1) ** 3


def coupled_cost(cost, displacement, radius, weight):
    """cost + weight |displacement_k - u(cell)|^2, (D, H, W, K)."""
    u = np.moveaxis(np.asarray(displacement, np.float64), 0, -1)[..., None, :]
    return np.asarray(cost, np.float64) + weight * ((displacements(radius) - u) ** 2).sum(-1)
