"""Synthetic pairs: label maps drawn from noise, deformed, and painted with random intensities.

The recipe of SynthMorph (Hoffmann et al., "SynthMorph: learning contrast-invariant registration without
acquired images", IEEE TMI 2022): a network that never sees the same contrast twice learns shapes, and can
register MR with CT without having seen either. Label maps are of two kinds: "shapes" from smooth noise, and
anatomical ones ("brains"). Each image of a pair is deformed by its own velocity and painted independently.

Everything is drawn from one ``torch.Generator``: the same seed gives the same bits on the same device, for
one version of torch and one number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmreg_train.layers import integrate, upsample, warp, warp_labels
from mmreg_train.methods import Batch

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
Range = tuple[float, float]


@dataclass(frozen=True)
class Synthesis:
    """Settings of synthetic pairs. A range is uniform, "up to" is uniform from 0.

    Scales are distances of noise values. All lengths are in voxels of the full grid.

    Attributes:
        size: Voxels along the array axes of label maps from noise, 2 or 3 numbers.
        labels: Number of labels of a map from noise, including 0.
        shape_scales_vox, shape_sd: Scales of the noise whose largest channel is the label; its sd, up to.
        shape_warp_scales_vox, shape_warp_sd_vox: Random field that deforms each channel.
        shape_factor: This noise is computed on a grid coarser by this factor; labels are full resolution.
        same_subject: Both images of a pair show one label map, where maps come from noise.
        flip: Flip the pair along each axis with probability one half.
        warp_scales_vox, warp_sd_vox: Velocity of each image: scales, and the sd of each, up to.
        integration_steps: Squarings of the velocity, on the half grid.
        mean, sd: Intensities of a label, on a scale where the image is clipped to [0, 255].
        background_mean, background_sd: Intensities of label 0.
        background_zero: Probability that label 0 has intensity 0 instead.
        blur_sd_vox: Gaussian blur, up to.
        bias_scale_vox, bias_sd: The image is multiplied by the exponential of this noise, sd up to.
        gamma_sd: The image in [0, 1] is raised to exp(N(0, gamma_sd)).
        same_contrast_share: Share of pairs whose labels have the same intensities in both images.
        shapes_share: With anatomical maps, share of pairs that show maps from noise instead.
        strip_share: With anatomical maps, share of pairs that lose ``strip_labels``, as in skull stripping.
    """

    size: tuple[int, ...] = (96, 96, 96)
    labels: int = 26
    shape_scales_vox: tuple[int, ...] = (32, 64)
    shape_sd: float = 1.0
    shape_warp_scales_vox: tuple[int, ...] = (16, 32, 64)
    shape_warp_sd_vox: float = 16.0
    shape_factor: int = 2
    same_subject: bool = True
    flip: bool = True
    warp_scales_vox: tuple[int, ...] = (8, 16, 32)
    warp_sd_vox: float = 3.0
    integration_steps: int = 5
    mean: Range = (25.0, 225.0)
    sd: Range = (5.0, 25.0)
    background_mean: Range = (0.0, 225.0)
    background_sd: Range = (0.0, 25.0)
    background_zero: float = 0.2
    blur_sd_vox: float = 1.0
    bias_scale_vox: int = 40
    bias_sd: float = 0.3
    gamma_sd: float = 0.25
    same_contrast_share: float = 0.0
    shapes_share: float = 0.0
    strip_share: float = 0.0
    strip_labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or any(n < 2 or n % self.shape_factor or n % 2 for n in self.size):
            raise ValueError(
                f"Synthesis needs 2 or 3 even sizes, multiples of shape_factor={self.shape_factor}; "
                f"found size={self.size}."
            )
        if self.labels < 2:
            raise ValueError(f"A label map needs 2 labels or more; found labels={self.labels}.")

    @classmethod
    def shapes(cls, size: Sequence[int], **changes: Any) -> Synthesis:
        """Create settings for label maps from noise."""
        return cls(size=tuple(size), **changes)

    @classmethod
    def brains(cls, size: Sequence[int], **changes: Any) -> Synthesis:
        """Create settings for anatomical label maps: two subjects, deformed a little more."""
        return replace(
            cls(tuple(size), warp_scales_vox=(16,), warp_sd_vox=0.5, same_subject=False), **changes
        )


def pair(
    seed: int | torch.Generator,
    settings: Synthesis,
    labels: Tensor | tuple[Tensor, Tensor] | None = None,
    *,
    count: int = 1,
    device: torch.device | str = "cpu",
) -> Batch:
    """Synthesise a batch of pairs.

    Measured on two threads of an EPYC (Zen 5), median of five: from noise with 26 labels 5.9 pairs/s at 64^3
    and 1.3 at 96^3; from existing label maps 33 and 6.6. Drawing the maps is most of the work: keep some and
    pass them again.

    Args:
        seed: A number, or a generator on ``device``, which is advanced.
        settings: How to synthesise.
        labels: Anatomical label maps ``(B, ...)`` integers >= 0, one for both images or (fixed, moving), on
            ``device``; their size and number override ``settings.size`` and ``count``. None draws maps from
            noise.
        count: Number of pairs from noise.
        device: Device to synthesise on.

    Returns:
        Images ``(B, 1, ...)`` float32 in [0, 1], their label maps ``(B, ...)`` int64, and the displacement
        between them if both were deformed from one map, in voxels.

    Raises:
        ValueError: Label maps have the wrong shape, or values below 0.

    Example:
        >>> batch = pair(0, Synthesis.shapes((64, 64, 64)))
        >>> batch.fixed.shape
        torch.Size([1, 1, 64, 64, 64])
    """
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator(device).manual_seed(seed)
    if labels is None:
        same = settings.same_subject
        fixed = label_maps(generator, settings, count)
        moving = fixed if same else label_maps(generator, settings, count)
    else:
        fixed, moving = _check_label_maps(labels)
        same = isinstance(labels, Tensor) or labels[0] is labels[1]
    both, between = torch.cat([fixed, moving]), None
    if labels is not None and settings.strip_share > 0:
        both = _strip(both, settings, generator)
    if settings.flip:
        both = _flip(both, generator)
    if settings.warp_sd_vox > 0:
        velocity = velocities(both.shape, settings, generator)
        deformed = deformation(velocity, settings)
        both = warp_labels(both, deformed)
        if same:
            into_moving = deformation(-velocity.chunk(2)[1], settings)
            between = _between(deformed.chunk(2)[0], into_moving)
    fixed_image, moving_image = paint(both, settings, generator).chunk(2)
    fixed, moving = both.chunk(2)
    return Batch(fixed_image, moving_image, fixed, moving, between)


def label_maps(generator: torch.Generator, settings: Synthesis, count: int = 1) -> Tensor:
    """Draw ``count`` maps of ``settings.size`` int64: the index of the largest channel of warped noise."""
    factor, dims = settings.shape_factor, len(settings.size)
    size = tuple(n // factor for n in settings.size)
    maps = []
    for _ in range(count):  # one at a time: each needs labels * dims fields in memory
        channels = noise(
            (1, settings.labels),
            size,
            _scales_on_grid(settings.shape_scales_vox, factor),
            settings.shape_sd,
            generator,
        )
        scales = _scales_on_grid(settings.shape_warp_scales_vox, factor)
        fields = noise((settings.labels, dims), size, scales, settings.shape_warp_sd_vox / factor, generator)
        warped = warp(channels.transpose(0, 1), fields, padding="border")
        maps.append(upsample(warped.transpose(0, 1), factor).argmax(1))
    return torch.cat(maps)


def velocities(shape: Sequence[int], settings: Synthesis, generator: torch.Generator) -> Tensor:
    """Draw one velocity for each label map of ``shape`` (N, ...), on the half grid."""
    size, dims = tuple(shape[1:]), len(shape) - 1
    half = tuple(n // 2 for n in size)
    scales = _scales_on_grid(settings.warp_scales_vox, 2)
    return noise((shape[0], dims), half, scales, settings.warp_sd_vox, generator)


def deformation(velocity: Tensor, settings: Synthesis) -> Tensor:
    """Integrate a velocity to a displacement ``(N, dims, ...)`` in voxels of the full grid."""
    return upsample(integrate(velocity, settings.integration_steps, 2), 2)


def paint(labels: Tensor, settings: Synthesis, generator: torch.Generator) -> Tensor:
    """Paint label maps ``(N, ...)``, fixed ones first, as images ``(N, 1, ...)`` float32 in [0, 1]."""
    count, size, dims = labels.shape[0], tuple(labels.shape[1:]), labels.dim() - 1
    mean, sd = _intensities(count, int(labels.max()) + 1, settings, generator)
    if settings.same_contrast_share > 0:
        mean, sd = _share_contrast(mean, sd, settings, generator)
    flat = labels.flatten(1)
    voxels = torch.randn(flat.shape, generator=generator, device=labels.device)
    image = (mean.gather(1, flat) + sd.gather(1, flat) * voxels).view(count, 1, *size)
    image = _blur(image, _uniform(count, (0.0, settings.blur_sd_vox), generator), settings.blur_sd_vox)
    bias = noise((count, 1), size, (settings.bias_scale_vox,), settings.bias_sd, generator)
    image = (image * bias.exp()).clamp(0, 255)
    low, high = image.flatten(1).amin(1), image.flatten(1).amax(1)
    shape = (-1, *(1,) * (dims + 1))
    image = (image - low.view(shape)) / (high - low).clamp(min=1e-6).view(shape)
    gamma = torch.exp(settings.gamma_sd * torch.randn(count, generator=generator, device=labels.device))
    return image ** gamma.view(shape)


def noise(
    shape: tuple[int, int], size: Sequence[int], scales: Sequence[int], sd: float, generator: torch.Generator
) -> Tensor:
    """Draw smooth noise ``(*shape, *size)``: normal values at each scale, interpolated linearly.

    Args:
        shape: Entries and channels.
        size: Voxels along the axes.
        scales: Distances of the normal values, in voxels.
        sd: Largest standard deviation; each scale draws its own from [0, sd] per entry of the first axis.
        generator: Its device is that of the result.
    """
    total = torch.zeros(*shape, *size, device=generator.device)
    for scale in scales:
        coarse = [ceil(n / scale) for n in size]
        values = torch.randn(*shape, *coarse, generator=generator, device=generator.device)
        values *= _uniform(shape[0], (0.0, sd), generator).view(-1, *(1,) * (len(size) + 1))
        total += functional.interpolate(values, tuple(size), mode=_LINEAR[len(size)], align_corners=True)
    return total


def _intensities(
    count: int, labels: int, settings: Synthesis, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw mean and sd of each label, ``(count, labels)``."""
    mean = _uniform((count, labels), settings.mean, generator)
    sd = _uniform((count, labels), settings.sd, generator)
    is_nonzero = _uniform(count, (0.0, 1.0), generator) >= settings.background_zero
    mean[:, 0] = _uniform(count, settings.background_mean, generator) * is_nonzero
    sd[:, 0] = _uniform(count, settings.background_sd, generator) * is_nonzero
    return mean, sd


def _share_contrast(
    mean: Tensor, sd: Tensor, settings: Synthesis, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Copy the intensities of the first image to the second in some of the pairs."""
    pairs = mean.shape[0] // 2
    alike = _uniform((pairs, 1), (0.0, 1.0), generator) < settings.same_contrast_share
    mean, sd = (torch.cat([x[:pairs], torch.where(alike, x[:pairs], x[pairs:])]) for x in (mean, sd))
    return mean, sd


def _blur(image: Tensor, sd_vox: Tensor, limit: float) -> Tensor:
    """Blur each image with its own sd, cut off at three times ``limit``; the border is extended."""
    reach, count, dims = ceil(3 * limit), image.shape[0], image.dim() - 2
    if reach == 0:
        return image
    distance = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.softmax(-(distance**2) / (2 * sd_vox[:, None] ** 2).clamp(min=1e-6), dim=1)
    convolve = functional.conv3d if dims == 3 else functional.conv2d
    image = image.transpose(0, 1)
    for axis in range(dims):
        padding = [reach if other == axis else 0 for other in range(dims) for _ in (0, 1)][::-1]
        weight = kernel.view(count, 1, *(-1 if other == axis else 1 for other in range(dims)))
        image = convolve(functional.pad(image, padding, mode="replicate"), weight, groups=count)
    return image.transpose(0, 1)


def _between(fixed: Tensor, into_moving: Tensor) -> Tensor:
    """Compose the displacement from the fixed to the moving map.

    The fixed map at p shows its origin at ``p + d(p)``; the moving map shows this point at the inverse of its
    own deformation.
    """
    return fixed + warp(into_moving, fixed, padding="border")


def _flip(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Flip all maps together, along each axis with probability one half."""
    chosen = _uniform(labels.dim() - 1, (0.0, 1.0), generator) < 0.5
    axes = [axis + 1 for axis, flip in enumerate(chosen.tolist()) if flip]
    return labels.flip(axes) if axes else labels


def _strip(labels: Tensor, settings: Synthesis, generator: torch.Generator) -> Tensor:
    """Remove the labels around the organ from all maps, or from none."""
    if float(_uniform(1, (0.0, 1.0), generator)) >= settings.strip_share:
        return labels
    return labels.masked_fill(
        torch.isin(labels, torch.tensor(settings.strip_labels, device=labels.device)), 0
    )


def _check_label_maps(labels: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    fixed, moving = labels if isinstance(labels, tuple) else (labels, labels)
    if fixed.shape != moving.shape or fixed.dim() not in (3, 4) or any(n % 2 for n in fixed.shape[1:]):
        raise ValueError(
            f"Label maps must both be (B, H, W) or (B, D, H, W) of the same even size; "
            f"found {tuple(fixed.shape)} and {tuple(moving.shape)}."
        )
    if fixed.min() < 0 or moving.min() < 0:
        raise ValueError("Label maps must not have values below 0.")
    return fixed.long(), moving.long()


def _uniform(shape: int | tuple[int, ...], between: Range, generator: torch.Generator) -> Tensor:
    low, high = between
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def _scales_on_grid(scales: Sequence[int], factor: int) -> list[int]:
    """Return scales on a grid coarser by ``factor``, at least one voxel."""
    return [max(1, scale // factor) for scale in scales]
