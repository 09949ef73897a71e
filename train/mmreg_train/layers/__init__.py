"""Layers shared by several methods: warp, integration, resizing, self-similarity."""

from mmreg_train.layers.integrate import integrate
from mmreg_train.layers.resize import downsample, upsample
from mmreg_train.layers.warp import warp, warp_labels

__all__ = ["downsample", "integrate", "upsample", "warp", "warp_labels"]
