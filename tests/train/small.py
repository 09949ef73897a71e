"""What the tests train: a network of two layers on scans of a few voxels."""

import signal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mmreg_rt import Volume, io
from mmreg_train.layers import warp
from mmreg_train.methods import Batch, Method, Output


class Small(Method):
    """Two convolutions that give a displacement; the loss is the mean squared difference."""

    name = "small"
    output_kind = "displacement"
    multiple = 2

    def __init__(self, dims: int = 3, dropout: float = 0.0) -> None:
        super().__init__(dims)
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        self.layers = nn.Sequential(
            conv(2, 4, 3, padding=1), nn.LeakyReLU(0.2), nn.Dropout(dropout), conv(4, dims, 3, padding=1)
        )

    def forward(self, fixed, moving):
        return Output("displacement", self.layers(torch.cat((fixed, moving), 1)))

    def network(self):
        return self.layers

    def loss(self, batch, output):
        similarity = functional.mse_loss(warp(batch.moving, output.value), batch.fixed)
        smoothness = output.value.square().mean()
        return {"total": similarity + 0.01 * smoothness, "similarity": similarity, "smoothness": smoothness}


def blob(center, shape=(12, 16, 14), affine=None):
    """A smooth ball, brighter inside, and its label map."""
    axes = np.indices(shape, np.float64)
    radius = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(axes, center)))
    affine = np.diag([1.0, 1, 1, 1])[[2, 1, 0, 3]] if affine is None else affine
    image = (200 / (1 + np.exp(radius - 4))).astype(np.float32)
    return Volume.from_array(image, affine), Volume.from_array((radius < 4).astype(np.uint8), affine)


def write_pairs(folder, cases, seed=0):
    """``<case>_fixed.nii.gz`` and the like, each case with balls of its own."""
    rng = np.random.default_rng(seed)
    for case in cases:
        for role in ("fixed", "moving"):
            image, label = blob(np.array([6, 8, 7]) + rng.uniform(-1.5, 1.5, 3))
            io.write_image(image, folder / f"{case}_{role}.nii.gz")
            io.write_image(label, folder / f"{case}_{role}_label.nii.gz")


class Noise:
    """Samples of noise, a batch of one each; validation has two."""

    def __init__(self, shape=(8, 8, 8)):
        self.shape = shape

    def sample(self, seed, step, index):
        draw = np.random.default_rng((seed, step, index))
        fixed, moving = draw.random((2, 1, 1, *self.shape), np.float32)
        labels = draw.integers(0, 3, (2, 1, *self.shape))
        return Batch(*map(torch.from_numpy, (fixed, moving, *labels)))

    def validation(self, count):
        return range(min(count, 2))

    def validation_sample(self, number):
        return self.sample(99, 0, number)


def stop_after(run, step):
    """As SIGTERM does, once a step is done."""
    after = run._after_step

    def hooked(progress):
        after(progress)
        if run.step == step:
            signal.raise_signal(signal.SIGTERM)

    run._after_step = hooked
