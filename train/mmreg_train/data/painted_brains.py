"""Brain images of any contrast, painted from label maps; training data of ``brain``.

The recipe of SynthSeg (Billot et al., Medical Image Analysis 2023): a label map is mirrored, rotated, scaled
and deformed, each structure gets a random intensity, and the image is blurred, sliced, multiplied by a bias
field, made noisy and cropped. Our additions: tissues that share an intensity, as in most scans; tissues that
hardly differ, as in CT; and a blank part of the field of view. Array axes run towards S, A, R: the last one
separates left from right.

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
PERCENTILES = (0.005, 0.995)  # as in PreprocessSpec
REACH_SD = 3  # radius at which a Gaussian is cut off
SLICE_SD = 0.42  # of a Gaussian whose full width at half maximum is the slice thickness


@dataclass(frozen=True)
class Painting:
    """Settings of brain painting. A range is uniform, "up to" is uniform from 0, a share is a probability.

    Attributes:
        size: Voxels of the image along S, A, R.
        map_spacing_mm: Spacing at which label maps are prepared.
        spacing_mm: Spacing of the image.
        turn_degrees: Rotation about each axis, up to, either sign.
        scale, shear: Logarithm of the scale and the slope of each axis, up to, either sign.
        off_centre_mm: Offset of the view from the middle of the brain along each axis, up to, either sign.
        warp_scales_vox, warp_sd_vox: Velocity of the deformation, as in ``Synthesis``.
        mean, sd: Intensities of a class of ids, on a scale of 0 to 1.
        tissue_share: Share of images in which white matter, grey matter and fluid have one intensity each, up
            to ``tissue_sd``.
        flat_share: Share of images in which all solid brain tissue lies within ``flat_range``.
        strip_share: Share of images without the head around the brain, half of them without its fluid too.
        blank_share: Share of images that are blank beyond a plane on one side.
        blur_vox: Standard deviation of the Gaussian blur of each axis.
        thick_share, thick: Share of images with thick slices, and their thickness in voxels.
        bias_scale_vox, bias_sd: As in ``Synthesis``.
        noise_sd: Scanner noise, up to.
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
                f"Painting needs spacings above 0 mm; found {self.map_spacing_mm} and {self.spacing_mm}."
            )


def paint_brain(generator: torch.Generator, settings: Painting, label_map: Tensor) -> tuple[Tensor, Tensor]:
    """Paint an image of a label map.

    Args:
        generator: On the CPU.
        settings: How to paint.
        label_map: Ids ``(D, H, W)`` int64 at ``settings.map_spacing_mm``, axes towards S, A, R.

    Returns:
        Image ``(1, 1, *size)`` float32 in [0, 1], and indices of ``STRUCTURES`` ``(1, *size)`` int64.
    """
    ids = sample_view(generator, settings, mirror_at_random(generator, label_map))
    stripped = _chance(settings.strip_share, generator)
    if stripped:
        ids = strip_head(generator, ids)
    ids, seen = blank_one_side(generator, settings, ids)
    image = simulate_scanner(generator, settings, draw_image(generator, settings, ids))
    if stripped and not _chance(0.2, generator):  # skull stripping leaves zeros
        image = image * (ids > 0)
    image = stretch(image * seen)
    gamma = math.exp(settings.gamma_sd * float(torch.randn((), generator=generator)))
    return image[None, None] ** gamma, structures.structure_of_id()[ids][None]


def mirror_at_random(generator: torch.Generator, label_map: Tensor) -> Tensor:
    """Return the label map or, with probability one half, its mirror image; left stays left in both."""
    if not _chance(0.5, generator):
        return label_map
    return structures.mirrored_id()[label_map].flip(-1)


def sample_view(generator: torch.Generator, settings: Painting, label_map: Tensor) -> Tensor:
    """Sample the ids ``(*size)`` shown by the image: rotated, scaled, moved, deformed; 0 outside the map."""
    size = settings.size
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + random_displacement(generator, settings)[0]
    matrix = random_affine(generator, settings) * (settings.spacing_mm / settings.map_spacing_mm)
    brain = structures.structure_of_id()[label_map].nonzero().float()
    middle = brain.mean(0) if len(brain) else (torch.tensor(label_map.shape) - 1) / 2
    middle = middle + _symmetric(3, settings.off_centre_mm, generator) / settings.map_spacing_mm
    where = (torch.tensordot(matrix, places, 1) + middle.view(3, 1, 1, 1)).round().long()
    last = torch.tensor(label_map.shape).view(3, 1, 1, 1) - 1
    inside = ((where >= 0) & (where <= last)).all(0)
    d, h, w = where.clamp(min=0).minimum(last)
    return label_map[d, h, w] * inside


def random_affine(generator: torch.Generator, settings: Painting) -> Tensor:
    """Draw a linear map ``(3, 3)``: scales and shears first, then rotations."""
    matrix = torch.diag(_symmetric(3, settings.scale, generator).exp())
    matrix = matrix @ (torch.eye(3) + _symmetric((3, 3), settings.shear, generator).triu(1))
    for axis, angle in enumerate(_symmetric(3, math.radians(settings.turn_degrees), generator).tolist()):
        turn = torch.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def random_displacement(generator: torch.Generator, settings: Painting) -> Tensor:
    """Draw a displacement without folds, ``(1, 3, *size)`` in voxels."""
    half = [n // 2 for n in settings.size]
    scales = [max(1, scale // 2) for scale in settings.warp_scales_vox]
    velocity = noise((1, 3), half, scales, settings.warp_sd_vox, generator)
    return upsample(integrate(velocity, 5, 2), 2)


def strip_head(generator: torch.Generator, ids: Tensor) -> Tensor:
    """Remove the surroundings of the brain and, with probability one half, its fluid."""
    gone = [*structures.AROUND, *([structures.FLUID] if _chance(0.5, generator) else [])]
    return ids.masked_fill(torch.isin(ids, torch.tensor(gone)), 0)


def blank_one_side(generator: torch.Generator, settings: Painting, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ids and the mask of the scanned part; some scans lack up to a third on one side."""
    seen = torch.ones(ids.shape, dtype=torch.bool)
    if _chance(settings.blank_share, generator):
        axis = int(torch.randint(3, (), generator=generator))
        length = ids.shape[axis]
        blank = int(torch.randint(length // 3 + 1, (), generator=generator))
        start = 0 if _chance(0.5, generator) else length - blank
        seen.narrow(axis, start, blank).fill_(False)
    return ids * seen, seen


def draw_image(generator: torch.Generator, settings: Painting, ids: Tensor) -> Tensor:
    """Draw the intensity of every voxel from its class, ``(D, H, W)``, before blurring."""
    mean, sd = draw_intensities(generator, settings)
    kind = structures.class_of_id()
    values = torch.randn(ids.shape, generator=generator)
    return mean[kind][ids] + sd[kind][ids] * values


def draw_intensities(generator: torch.Generator, settings: Painting) -> tuple[Tensor, Tensor]:
    """Draw mean and sd of each class of ids, ``(LARGEST_ID + 1,)``; background is 0 half of the time."""
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


def simulate_scanner(generator: torch.Generator, settings: Painting, image: Tensor) -> Tensor:
    """Blur the image, resample it to thick slices, multiply it by a bias field and add noise."""
    sd_vox = _uniform(3, settings.blur_vox, generator)
    axis = int(torch.randint(3, (), generator=generator))
    thick = 1.0
    if _chance(settings.thick_share, generator):
        thick = float(_uniform(1, settings.thick, generator))
        sd_vox[axis] = max(float(sd_vox[axis]), SLICE_SD * thick)
    image = blur(image, sd_vox.tolist())
    bias = noise((1, 1), image.shape, (settings.bias_scale_vox,), settings.bias_sd, generator)[0, 0]
    slices = [math.ceil(n / thick) if a == axis else n for a, n in enumerate(image.shape)]
    image = _resized(image * bias.exp(), slices)
    sd = float(_uniform(1, (0, settings.noise_sd), generator))
    return _resized(image + sd * torch.randn(image.shape, generator=generator), settings.size)


def blur(image: Tensor, sd_vox: Sequence[float]) -> Tensor:
    """Convolve ``image`` (D, H, W) with a Gaussian of its own sd along each axis; the border is extended."""
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


def stretch(image: Tensor) -> Tensor:
    """Map the percentiles of values above the minimum to 0 and 1, as preprocessing does at run time."""
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


def _symmetric(shape: int | tuple[int, ...], limit: float, generator: torch.Generator) -> Tensor:
    return _uniform(shape, (-limit, limit), generator)
