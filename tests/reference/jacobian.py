import numpy as np


def jacobian(displacement):
    """det(I + du/dp): central differences inside, one-sided at the border, none along an axis of 1."""
    u = np.asarray(displacement, np.float64)
    gradient = np.zeros((3, 3, *u.shape[1:]))
    for component in range(3):
        for axis in range(3):
            if u.shape[1 + axis] > 1:
                gradient[component, axis] = np.gradient(u[component], axis=axis)
    matrix = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
    return np.linalg.det(matrix)
