"""Images of brains in any contrast, painted from label maps: what ``brain`` learns from.

The recipe of SynthSeg (Billot et al., Medical Image Analysis 2023): a label map is mirrored, turned, scaled
and deformed, each structure gets an intensity at random, and the image is blurred, sliced, shaded, made noisy
and cut. Additions of this house: tissues that share an intensity, as most scans have it; tissues that hardly
differ, as in CT; and a blank part of the field of view. Array axes run towards S, A, R: the last one tells
left from right.

Everything is drawn from one ``torch.Generator``: the same seed gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmreg_train.data.synthesis import noise
from mmreg_train.layers import integrate, upsample
from mmreg_train.methods.brain import structures

Range = tuple[float, float]
PERCENTILES = (0.005, 0.995)  # as PreprocessSpec has them
REACH_SD = 3  # where a Gaussian ends
SLICE_SD = 0.42  # of a Gaussian that is as wide at half its height as a slice is thick


@dataclass(frozen=True)
class Painting:
    """How brains are painted. A range is uniform, "up to" uniform from 0, a share a probability.

    Attributes:
        size: Voxels of the image along S, A, R.
        map_spacing_mm: That the label maps are prepared at.
        spacing_mm: Of the image.
        turn_degrees: About each axis, up to, either way.
        scale, shear: Of each axis: their logarithm and slope, up to, either way.
        off_centre_mm: Of the view from the middle of the brain along each axis, up to, either way.
        warp_scales_vox, warp_sd_vox: The velocity of the deformation, as in ``Synthesis``.
        mean, sd: Intensities of a class of ids, of 0 to 1.
        tissue_share: Of the images in which white matter, grey matter and fluid are one intensity each, but
            for ``tissue_sd``.
        flat_share: Of the images in which all solid tissue of the brain is within ``flat_range``.
        strip_share: Of the images without what lies around the brain, half of them without its fluid too.
        blank_share: Of the images that end before the view does, on one side.
        blur_vox: Gaussian blur of each axis, its sd.
        thick_share, thick: Of the images in thick slices, and how many voxels one is.
        bias_scale_vox, bias_sd: As in ``Synthesis``.
        noise_sd: Of the noise of a scanner, up to.
        gamma_sd: As in ``Synthesis``.
    """

    size: tuple[int, int, int] = (80, 96, 80)
    map_spacing_mm: float = 1.5
    spacing_mm: float = 2.0
    turn_degrees: float = 20.0
    scale: float = 0.15
    shear: float = 0.08
    off_centre_mm: float = 25.0
    warp_scales_vox: tuple[int, ...] = (8, 16, 32)
    warp_sd_vox: float = 2.5
    mean: Range = (0.0, 1.0)
    sd: Range = (0.0, 0.1)
    tissue_share: float = 0.4
    tissue_sd: float = 0.05
    flat_share: float = 0.2
    flat_range: float = 0.15
    strip_share: float = 0.5
    blank_share: float = 0.2
    blur_vox: Range = (0.3, 0.9)
    thick_share: float = 0.3
    thick: Range = (1.0, 4.0)
    bias_scale_vox: int = 40
    bias_sd: float = 0.4
    noise_sd: float = 0.06
    gamma_sd: float = 0.3

    def __post_init__(self) -> None:
        if len(self.size) != 3 or any(n < 16 or n % 2 for n in self.size):
            raise ValueError(f"Painting needs 3 even sizes from 16; found size={self.size}.")
        if min(self.map_spacing_mm, self.spacing_mm) <= 0:
            raise ValueError(
                f"Painting needs spacings above 0; found {self.map_spacing_mm} and {self.spacing_mm} mm."
            )


def painted(generator: torch.Generator, settings: Painting, label_map: Tensor) -> tuple[Tensor, Tensor]:
    """An image and what it shows.

    Args:
        generator: On the CPU.
        settings: How it is painted.
        label_map: Ids ``(D, H, W)`` int64, of ``settings.map_spacing_mm``, axes towards S, A, R.

    Returns:
        Image ``(1, 1, *size)`` float32 in [0, 1], and indices of ``STRUCTURES`` ``(1, *size)`` int64.
    """
    ids = viewed(generator, settings, mirrored(generator, label_map))
    stripped = _chance(settings.strip_share, generator)
    if stripped:
        ids = without_head(generator, ids)
    ids, seen = cut(generator, settings, ids)
    image = acquired(generator, settings, shaded(generator, settings, ids))
    if stripped and not _chance(0.2, generator):  # what took the head away has left zeros
        image = image * (ids > 0)
    image = stretched(image * seen)
    gamma = math.exp(settings.gamma_sd * float(torch.randn((), generator=generator)))
    return image[None, None] ** gamma, structures.structure_of_id()[ids][None]


def mirrored(generator: torch.Generator, label_map: Tensor) -> Tensor:
    """The map or, half of the time, its mirror image: left is left in either."""
    if not _chance(0.5, generator):
        return label_map
    return structures.mirrored_id()[label_map].flip(-1)


def viewed(generator: torch.Generator, settings: Painting, label_map: Tensor) -> Tensor:
    """The ids ``(*size)`` that the image shows: the map turned, scaled, moved and deformed; 0 outside."""
    size = settings.size
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + deformed(generator, settings)[0]
    matrix = affine(generator, settings) * (settings.spacing_mm / settings.map_spacing_mm)
    brain = structures.structure_of_id()[label_map].nonzero().float()
    middle = brain.mean(0) if len(brain) else (torch.tensor(label_map.shape) - 1) / 2
    middle = middle + _either(3, settings.off_centre_mm, generator) / settings.map_spacing_mm
    where = (torch.tensordot(matrix, places, 1) + middle.view(3, 1, 1, 1)).round().long()
    last = torch.tensor(label_map.shape).view(3, 1, 1, 1) - 1
    inside = ((where >= 0) & (where <= last)).all(0)
    d, h, w = where.clamp(min=0).minimum(last)
    return label_map[d, h, w] * inside


def affine(generator: torch.Generator, settings: Painting) -> Tensor:
    """A random linear map, ``(3, 3)``: scales and shears first, then turns."""
    matrix = torch.diag(_either(3, settings.scale, generator).exp())
    matrix = matrix @ (torch.eye(3) + _either((3, 3), settings.shear, generator).triu(1))
    for axis, angle in enumerate(_either(3, math.radians(settings.turn_degrees), generator).tolist()):
        turn = torch.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def deformed(generator: torch.Generator, settings: Painting) -> Tensor:
    """A random displacement without folds, ``(1, 3, *size)`` in voxels."""
    half = [n // 2 for n in settings.size]
    scales = [max(1, scale // 2) for scale in settings.warp_scales_vox]
    velocity = noise((1, 3), half, scales, settings.warp_sd_vox, generator)
    return upsample(integrate(velocity, 5, 2), 2)


def without_head(generator: torch.Generator, ids: Tensor) -> Tensor:
    """Without what lies around the brain and, half of the time, without its fluid."""
    gone = [*structures.AROUND, *([structures.FLUID] if _chance(0.5, generator) else [])]
    return ids.masked_fill(torch.isin(ids, torch.tensor(gone)), 0)


def cut(generator: torch.Generator, settings: Painting, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The ids, and where the scan has been: some end before the view does, by up to a third of it."""
    seen = torch.ones(ids.shape, dtype=torch.bool)
    if _chance(settings.blank_share, generator):
        axis = int(torch.randint(3, (), generator=generator))
        length = ids.shape[axis]
        blank = int(torch.randint(length // 3 + 1, (), generator=generator))
        start = 0 if _chance(0.5, generator) else length - blank
        seen.narrow(axis, start, blank).fill_(False)
    return ids * seen, seen


def shaded(generator: torch.Generator, settings: Painting, ids: Tensor) -> Tensor:
    """Every voxel an intensity of its class, ``(D, H, W)``, not blurred."""
    mean, sd = intensities(generator, settings)
    kind = structures.class_of_id()
    values = torch.randn(ids.shape, generator=generator)
    return mean[kind][ids] + sd[kind][ids] * values


def intensities(generator: torch.Generator, settings: Painting) -> tuple[Tensor, Tensor]:
    """Mean and sd of each class of ids, ``(LARGEST_ID + 1,)``; background is 0 half of the time."""
    count = structures.LARGEST_ID + 1
    mean, sd = _uniform(count, settings.mean, generator), _uniform(count, settings.sd, generator)
    if _chance(settings.tissue_share, generator):
        jitter = settings.tissue_sd * torch.randn(count, generator=generator)
        for ids in map(list, structures.TISSUES):
            mean[ids], sd[ids] = mean[ids[0]] + jitter[ids], sd[ids[0]].expand(len(ids))
    if _chance(settings.flat_share, generator):
        solid = [i for ids in structures.TISSUES[:2] for i in ids]
        level = float(_uniform(1, settings.mean, generator))
        mean[solid] = level + settings.flat_range * (mean[solid] - 0.5)
        sd[solid] *= settings.flat_range
    if _chance(0.5, generator):
        mean[0] = sd[0] = 0
    return mean, sd


def acquired(generator: torch.Generator, settings: Painting, image: Tensor) -> Tensor:
    """As a scanner would have it: blurred, in thick slices, shaded by its coils, and noisy."""
    sd_vox = _uniform(3, settings.blur_vox, generator)
    axis = int(torch.randint(3, (), generator=generator))
    thick = 1.0
    if _chance(settings.thick_share, generator):
        thick = float(_uniform(1, settings.thick, generator))
        sd_vox[axis] = max(float(sd_vox[axis]), SLICE_SD * thick)
    image = blurred(image, sd_vox.tolist())
    bias = noise((1, 1), image.shape, (settings.bias_scale_vox,), settings.bias_sd, generator)[0, 0]
    slices = [math.ceil(n / thick) if a == axis else n for a, n in enumerate(image.shape)]
    image = _resized(image * bias.exp(), slices)
    sd = float(_uniform(1, (0, settings.noise_sd), generator))
    return _resized(image + sd * torch.randn(image.shape, generator=generator), settings.size)


def blurred(image: Tensor, sd_vox: Sequence[float]) -> Tensor:
    """``image`` (D, H, W) under a Gaussian of its own sd along each axis; the border is continued."""
    image = image[None, None]
    for axis, sd in enumerate(sd_vox):
        reach = math.ceil(REACH_SD * sd)
        distance = torch.arange(-reach, reach + 1)
        kernel = torch.softmax(-(distance**2) / (2 * max(sd, 1e-3) ** 2), 0)
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(kernel)
        sides = [reach if other == axis else 0 for other in (2, 1, 0) for _ in (0, 1)]
        image = functional.conv3d(functional.pad(image, sides, mode="replicate"), kernel.view(shape))
    return image[0, 0]


def stretched(image: Tensor) -> Tensor:
    """Percentiles of what is above the lowest value to 0 and 1, as a scan is prepared at run time."""
    above = image[image > image.min()]
    if not len(above):
        return torch.zeros_like(image)
    ranks = [1 + round(share * (len(above) - 1)) for share in PERCENTILES]
    low, high = (above.kthvalue(rank).values for rank in ranks)
    return ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(size) == tuple(image.shape):
        return image
    return functional.interpolate(image[None, None], tuple(size), mode="trilinear")[0, 0]


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < share


def _uniform(shape: int | tuple[int, ...], between: Range, generator: torch.Generator) -> Tensor:
    low, high = between
    return low + (high - low) * torch.rand(shape, generator=generator)


def _either(shape: int | tuple[int, ...], most: float, generator: torch.Generator) -> Tensor:
    return _uniform(shape, (-most, most), generator)
