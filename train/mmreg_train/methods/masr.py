"""MASR-Net: a descriptor of each voxel that does not depend on contrast, for the solver to register with.

Mok, Li, et al., "Modality-agnostic structural image representation learning for deformable multi-modality
medical image registration", CVPR 2024 (arXiv 2402.18933). There is no code of the authors; the network is
built from the paper's channel sequence. A small U-Net gives four features; the deep neighbourhood
self-similarity (DNS) compares their neighbours as MIND-SSC compares intensities, near and dilated; two
convolutions squeeze the relations into a unit vector. It learns from single scans: a voxel of a scan and the
same voxel of the scan with remapped intensities are one thing, all other voxels are another.

Decisions of this house, where the paper is silent: blur-pooling and upsampling both keep to the rule of cell
centres (taps 1, 3, 3, 1; without aligned corners), so that a descriptor does not depend on its place in the
grid; the dilated radius is 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.contrast import LabelDirections, location_loss, remapped, sample_foreground
from mmreg_train.layers import upsample, warp, warp_labels
from mmreg_train.layers.neighbours import offset_pairs, shifts
from mmreg_train.methods import Batch, Method, Output

WIDTHS = (8, 16, 32, 64)  # at 1, 1/2, 1/4 and 1/8 of the resolution
FEATURES = 4
RADII = (1, 2)
Views = tuple[Tensor, Tensor, Tensor, Tensor | None]


class Masr(Method):
    """The descriptor network with its contrastive loss; 324,508 weights, 324,628 with relation "mixed".

    ``fixed`` and ``moving`` of a batch are two scans that need not belong together, of one or of two patients
    and modalities: each is only compared with a second view of itself. The same tensor as both is one scan,
    and is looked at once.

    Args:
        dims: 2 or 3.
        channels: Of the descriptor: 24 as published, 12 for a solver that shall be twice as fast.
        relation: "sum" adds the squared differences over the features before they become relations; "mixed"
            makes relations of each feature and mixes them with learned weights. The paper fits both readings.
        locations: Voxels of each scan that are told apart.
        temperature: Of the softmax over them.
        foreground: Voxels above this intensity are drawn.
        warp_sd_vox: Largest sd of a smooth displacement of the second view, in voxels; positives are then the
            corresponding points, and the descriptor learns to bear deformation. 0 as published.
        warp_scale_vox: Distance of the values that displacement is interpolated from.
        across: ``fixed`` and ``moving`` show the same voxels in two contrasts, as synthetic pairs without
            deformation do: positives are between the two, both ways, and nothing is remapped. What the
            remapping of one scan cannot show, a contrast that changes from tissue to tissue, is learned too.
        shift_vox: While it learns, each image is looked at through a window smaller by this, a multiple of 8,
            which lies anywhere in it. Otherwise two views share their borders, and how far those are tells
            locations apart whatever the contrast; a network that learns this much learns nothing else.
        labels: Ids of label maps that the descriptor learns to tell apart besides, whatever the contrast: an
            addition of this house. Each has a direction that the descriptors of its voxels are drawn to (a
            weight of training alone, not exported). Other ids are left out of it; () is as published.
        label_weight: Of that term.
        chunk: Locations whose scores are in memory at a time.

    Raises:
        ValueError: A setting has a value that is not among the above.
    """

    name = "masr"
    output_kind = "descriptor"
    multiple = 8

    def __init__(
        self,
        dims: int = 3,
        channels: int = 24,
        relation: str = "sum",
        locations: int = 8196,
        temperature: float = 0.07,
        foreground: float = 0.02,
        warp_sd_vox: float = 0.0,
        warp_scale_vox: int = 16,
        across: bool = False,
        shift_vox: int = 0,
        labels: Sequence[int] = (),
        label_weight: float = 1.0,
        chunk: int = 512,
    ) -> None:
        super().__init__(dims)
        if relation not in ("sum", "mixed"):
            raise ValueError(f"The relation of MASR-Net is 'sum' or 'mixed'; found {relation!r}.")
        if shift_vox < 0 or shift_vox % self.multiple:
            raise ValueError(f"MASR-Net shifts by multiples of {self.multiple}; found shift_vox={shift_vox}.")
        if across and warp_sd_vox > 0:
            raise ValueError(
                "MASR-Net compares two images across contrasts or deformed views of one, not both."
            )
        if channels < 1 or locations < 2 or chunk < 1 or warp_sd_vox < 0 or warp_scale_vox < 1:
            raise ValueError(
                "MASR-Net needs channels, chunk and warp_scale_vox >= 1, locations >= 2, warp_sd_vox >= 0; "
                f"found {channels}, {chunk}, {warp_scale_vox}, {locations} and {warp_sd_vox}."
            )
        self.channels = channels
        self.locations, self.temperature, self.foreground = locations, temperature, foreground
        self.warp_sd_vox, self.warp_scale_vox, self.chunk = warp_sd_vox, warp_scale_vox, chunk
        self.across, self.shift_vox = across, shift_vox
        self.label_weight = label_weight
        self.describe = DescriptorNetwork(dims, channels, relation == "mixed")
        self.anatomy = LabelDirections(labels, channels, temperature) if labels else None

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """Descriptors; while it learns, zeros outside of the window."""
        described = self._look(fixed)
        return Output("descriptor", (described, described if moving is fixed else self._look(moving)))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """``contrastive`` and, with labels, ``label``; ``retrieval`` and ``label_found``: the shares found.

        Draws views and locations from torch's default generator of the device.
        """
        assert isinstance(output.value, tuple)
        fixed, moving = output.value
        if self.across:
            scans = [
                (batch.fixed, fixed, moving, batch.fixed_label),
                (batch.moving, moving, fixed, batch.moving_label),
            ]
        else:
            scans = [self._views(batch.fixed, fixed, batch.fixed_label)]
            if batch.moving is not batch.fixed:
                scans.append(self._views(batch.moving, moving, batch.moving_label))
        terms = torch.stack([self._scan_terms(*views) for views in scans]).mean(0)
        named = dict(zip(("contrastive", "retrieval", "label", "label_found"), terms, strict=False))
        named["total"] = terms[0] + self.label_weight * terms[2] if self.anatomy else terms[0]
        return named

    def network(self) -> nn.Module:
        return self.describe

    def _look(self, image: Tensor) -> Tensor:
        if not self.training or self.shift_vox == 0:
            described: Tensor = self.describe(image)
            return described
        before = torch.randint(0, self.shift_vox + 1, (self.dims,)).tolist()
        size = image.shape[2:]
        seen = (slice(b, b + n - self.shift_vox) for b, n in zip(before, size, strict=True))
        window = (slice(None), slice(None), *seen)
        described = self.describe(image[window].contiguous())
        around = [side for b in reversed(before) for side in (b, self.shift_vox - b)]
        return functional.pad(described, around)

    def _views(self, image: Tensor, described: Tensor, label: Tensor | None) -> Views:
        """An image, its descriptors, those with other intensities, and its labels; all deformed together."""
        if self.warp_sd_vox > 0:
            field = self._displacement(image)
            image = warp(image, field)
            described = functional.normalize(warp(described, field, padding="border"), dim=1, eps=1e-6)
            label = None if label is None else warp_labels(label, field)
        return image, described, self._look(remapped(image)), label

    def _scan_terms(self, view: Tensor, described: Tensor, second: Tensor, label: Tensor | None) -> Tensor:
        """As ``loss`` names them, of images (B, 1, ...) and two descriptors of the same voxels."""
        terms = []
        for n, (one, a, b) in enumerate(zip(view, described, second, strict=True)):
            seen_twice = (a != 0).any(0) & (b != 0).any(0)
            where = sample_foreground(one * seen_twice, self.foreground, self.locations)
            a, b = a.flatten(1)[:, where].T, b.flatten(1)[:, where].T
            found = location_loss(a, b, self.temperature, self.chunk)
            if self.anatomy:
                found += self.anatomy(torch.cat([a, b]), _labels_at(label, n, where).repeat(2))
            terms.append(torch.stack(found))
        return torch.stack(terms).mean(0)

    def _displacement(self, image: Tensor) -> Tensor:
        """A smooth displacement, ``(B, dims, ...)`` in voxels, the sd drawn for each scan."""
        size = image.shape[2:]
        coarse = [max(2, -(-n // self.warp_scale_vox) + 1) for n in size]
        values = torch.randn(image.shape[0], self.dims, *coarse, device=image.device)
        sd_vox = self.warp_sd_vox * torch.rand(image.shape[0], *(1,) * (self.dims + 1), device=image.device)
        values = sd_vox * values
        return functional.interpolate(values, size, mode=_LINEAR[self.dims], align_corners=True)


class DescriptorNetwork(nn.Module):
    """One image ``(B, 1, ...)`` to unit vectors ``(B, channels, ...)``; sizes are multiples of 8."""

    def __init__(self, dims: int, channels: int, mixed: bool) -> None:
        super().__init__()
        self.extractor = Extractor(dims)
        relations = len(RADII) * len(offset_pairs(dims, 1))
        self.relations = MixedRelations(relations) if mixed else None
        self.squeeze = _convolution(dims, relations, relations)
        self.last = _convolution(dims, relations, channels)

    def forward(self, image: Tensor) -> Tensor:
        features = self.extractor(image)
        related = dns(features) if self.relations is None else self.relations(features)
        described = self.last(functional.leaky_relu(self.squeeze(related), 0.2))
        return described * torch.rsqrt((described**2).sum(1, keepdim=True) + 1e-6)


class Extractor(nn.Module):
    """Features ``(B, 4, ...)`` at full resolution: the sequence 1, 8, 16, 32, 64, 64, 32, 16, 8, 4."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        inputs = (1, *WIDTHS[:-1])
        self.down = nn.ModuleList(_convolution(dims, a, b) for a, b in zip(inputs, WIDTHS, strict=True))
        self.shrink = nn.ModuleList(BlurPool(dims, width) for width in inputs[1:])
        self.deepest = _convolution(dims, WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList(
            _convolution(dims, deep + skip, skip)
            for deep, skip in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        )
        self.last = _convolution(dims, WIDTHS[0], FEATURES)

    def forward(self, image: Tensor) -> Tensor:
        features, skips = image, []
        for level, convolution in enumerate(self.down):
            features = self.shrink[level - 1](features) if level else features
            features = functional.leaky_relu(convolution(features), 0.2)
            skips.append(features)
        features = functional.leaky_relu(self.deepest(skips.pop()), 0.2)
        for convolution in self.up:
            features = torch.cat([upsample(features, 2), skips.pop()], dim=1)
            features = functional.leaky_relu(convolution(features), 0.2)
        result: Tensor = self.last(features)
        return result


class MixedRelations(nn.Module):
    """Relations of each feature, mixed over the features by a table of weights."""

    def __init__(self, relations: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((relations, FEATURES), 1 / FEATURES))
        self.bias = nn.Parameter(torch.zeros(relations))

    def forward(self, features: Tensor) -> Tensor:
        ones = (1,) * (features.dim() - 2)
        tables = self.weight.view(1, -1, FEATURES, *ones).unbind(1)
        related: list[Tensor] = []
        for radius in RADII:
            distances = squared_differences(features, radius)
            mean = (sum(distances[1:], distances[0]) / len(distances)).clamp(min=1e-6)
            related += [torch.exp(-distance / mean) for distance in distances]
        mixed = [(r * table).sum(1, keepdim=True) for r, table in zip(related, tables, strict=True)]
        return torch.cat(mixed, dim=1) + self.bias.view(1, -1, *ones)


def dns(features: Tensor) -> Tensor:
    """Relations in (0, 1] of the neighbours of each voxel, ``(B, 24, ...)``; 8 in 2-D.

    ``exp(-d / mean(d))`` of the squared differences ``d``, summed over the features; the mean is over the
    pairs of one radius and at least 1e-6.
    """
    related = []
    for radius in RADII:
        squares = squared_differences(features, radius)
        distance = torch.cat([square.sum(1, keepdim=True) for square in squares], dim=1)
        related.append(torch.exp(-distance / distance.mean(1, keepdim=True).clamp(min=1e-6)))
    return torch.cat(related, dim=1)


def squared_differences(features: Tensor, radius: int) -> list[Tensor]:
    """Of the pairs of neighbours at squared distance ``2 * radius**2``, ``(B, features, ...)`` each."""
    shifted = shifts(features, radius)
    return [(shifted[a] - shifted[b]) ** 2 for a, b in offset_pairs(features.dim() - 2, radius)]


class BlurPool(nn.Module):
    """Half the resolution after a blur by 1, 3, 3, 1 along each axis (Zhang, ICML 2019); border continued."""

    taps: Tensor  # (channels, 1, 4)

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.dims, self.channels = dims, channels
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("taps", taps.repeat(channels, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        convolve = functional.conv3d if self.dims == 3 else functional.conv2d
        features = functional.pad(features, (1, 1) * self.dims, mode="replicate")
        for axis in range(self.dims):
            along = [other == axis for other in range(self.dims)]
            weight = self.taps.view(self.channels, 1, *(4 if this else 1 for this in along))
            stride = [2 if this else 1 for this in along]
            features = convolve(features, weight, stride=stride, groups=self.channels)
        return features


def _labels_at(label: Tensor | None, number: int, where: Tensor) -> Tensor:
    if label is None:
        raise ValueError("MASR-Net with labels learns from label maps; found a batch without.")
    return label[number].flatten()[where]


def _convolution(dims: int, inputs: int, outputs: int) -> nn.Module:
    return (nn.Conv3d if dims == 3 else nn.Conv2d)(inputs, outputs, 3, padding=1)


_LINEAR = {2: "bilinear", 3: "trilinear"}
