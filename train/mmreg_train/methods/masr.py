"""MASR-Net: a contrast-independent descriptor of each voxel, for registration by the solver.

Mok, Li, et al., "Modality-agnostic structural image representation learning for deformable multi-modality
medical image registration", CVPR 2024 (arXiv 2402.18933). The authors published no code; the network follows
the channel sequence of the paper. A small U-Net computes four features; the deep neighbourhood
self-similarity (DNS) compares their neighbours as MIND-SSC compares intensities, near and dilated; two
convolutions reduce the relations to a unit vector. It is trained on single scans: a voxel of a scan and the
same voxel of the scan with remapped intensities are positives, all other voxels negatives.

Our decisions, where the paper gives no detail: blur-pooling and upsampling follow the rule of cell centres
(taps 1, 3, 3, 1; without aligned corners), so that a descriptor does not depend on its place in the grid; the
dilated radius is 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import warp, warp_labels
from mmreg_train.layers.self_similarity import DescriptorNetwork
from mmreg_train.losses.contrastive import (
    LabelDirections,
    location_loss,
    remap_intensities,
    sample_foreground,
    shift_loss,
)
from mmreg_train.methods.base import Batch, Method, Output

Views = tuple[Tensor, Tensor, Tensor, Tensor | None]
MULTIPLE = 8  # of the sizes of images


@dataclass(frozen=True)
class ViewOptions:
    """Views and locations of a scan that are compared.

    Attributes:
        locations: Number of voxels per scan to distinguish.
        temperature: Of the softmax over the locations.
        foreground: Locations are drawn from voxels above this intensity.
        warp_sd_vox: Largest sd of a smooth displacement of the second view, in voxels; positives are then
            corresponding points, and the descriptor becomes robust to deformation. 0 as published.
        warp_scale_vox: Distance of the values that this displacement is interpolated from, in voxels.
        across: ``fixed`` and ``moving`` show the same voxels in two contrasts, or voxels with a known
            displacement, as synthetic pairs of one label map. Positives are between the two, in both
            directions, and nothing is remapped. This also teaches contrasts that change from tissue to
            tissue, which remapping of one scan cannot show.
        shift_vox: In training each image is cropped by this, a multiple of 8, at a random place. Otherwise
            both views share their borders, whose distance identifies locations whatever the contrast; a
            network that learns this learns nothing else.
        chunk: Locations whose scores are in memory at a time.
    """

    locations: int = 8196
    temperature: float = 0.07
    foreground: float = 0.02
    warp_sd_vox: float = 0.0
    warp_scale_vox: int = 16
    across: bool = False
    shift_vox: int = 0
    chunk: int = 512

    def __post_init__(self) -> None:
        if self.shift_vox < 0 or self.shift_vox % MULTIPLE:
            raise ValueError(f"shift_vox must be a multiple of {MULTIPLE}; found {self.shift_vox}.")
        if self.across and self.warp_sd_vox > 0:
            raise ValueError(
                "MASR-Net compares two contrasts (across) or deformed views (warp_sd_vox), not both."
            )
        if self.locations < 2 or self.chunk < 1 or self.warp_sd_vox < 0 or self.warp_scale_vox < 1:
            raise ValueError(
                "MASR-Net needs chunk and warp_scale_vox >= 1, locations >= 2 and warp_sd_vox >= 0; "
                f"found {self.chunk}, {self.warp_scale_vox}, {self.locations} and {self.warp_sd_vox}."
            )


@dataclass(frozen=True)
class TermOptions:
    """Terms and weights of the loss.

    Attributes:
        location_weight: Weight of distinguishing locations.
        near_weight: Weight of distinguishing small shifts, see ``shift_loss``; 0 as published.
        near_temperature: Of the softmax over the shifts.
        labels: Label ids that the descriptor also learns to distinguish in any contrast (our addition). Each
            id, or list of ids, has a direction that descriptors of its voxels are drawn to; this weight is
            used in training only and not exported. Other ids are ignored; () is as published.
        label_weight: Weight of that term.
    """

    location_weight: float = 1.0
    near_weight: float = 0.0
    near_temperature: float = 0.03
    labels: Sequence[int | Sequence[int]] = ()
    label_weight: float = 1.0


VIEWS, TERMS = ViewOptions(), TermOptions()


class Masr(Method):
    """The descriptor network with its contrastive loss; 324,508 weights, 324,628 with relation "mixed".

    ``fixed`` and ``moving`` of a batch are two scans that need not correspond, of one or of two patients and
    modalities: each is only compared with a second view of itself. If both are the same tensor, they are one
    scan, which is processed once.

    Args:
        dims: 2 or 3.
        channels: Of the descriptor: 24 as published, 12 makes the solver twice as fast.
        relation: "sum" adds the squared differences over the features before computing relations; "mixed"
            computes relations of each feature and mixes them with learned weights. The paper allows both.
        views: Views and locations that are compared.
        terms: Terms and weights of the loss.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "masr"
    output_kind = "descriptor"
    multiple = MULTIPLE
    groups = {"views": VIEWS, "terms": TERMS}

    def __init__(
        self,
        dims: int = 3,
        channels: int = 24,
        relation: str = "sum",
        views: ViewOptions = VIEWS,
        terms: TermOptions = TERMS,
    ) -> None:
        super().__init__(dims)
        if relation not in ("sum", "mixed"):
            raise ValueError(f"relation must be 'sum' or 'mixed'; found {relation!r}.")
        if channels < 1:
            raise ValueError(f"MASR-Net needs channels >= 1; found {channels}.")
        self.channels, self.views, self.terms = channels, views, terms
        self.describe = DescriptorNetwork(dims, channels, relation == "mixed")
        self.anatomy = LabelDirections(terms.labels, channels, views.temperature) if terms.labels else None

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """Return descriptors; in training with ``shift_vox``, zeros outside the crop."""
        described = self._describe(fixed)
        return Output("descriptor", (described, described if moving is fixed else self._describe(moving)))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return ``contrastive`` and, if enabled, ``near`` and ``label``; ``*_found`` are hit rates.

        Draws views and locations from torch's default generator of the device.
        """
        assert isinstance(output.value, tuple)
        fixed, moving = output.value
        if self.views.across and batch.displacement is not None:
            moved = _warp_descriptors(moving, batch.displacement)
            scans = [(batch.fixed, *views, batch.fixed_label) for views in ((fixed, moved), (moved, fixed))]
        elif self.views.across:
            scans = [
                (batch.fixed, fixed, moving, batch.fixed_label),
                (batch.moving, moving, fixed, batch.moving_label),
            ]
        else:
            scans = [self._views(batch.fixed, fixed, batch.fixed_label)]
            if batch.moving is not batch.fixed:
                scans.append(self._views(batch.moving, moving, batch.moving_label))
        per_scan = [self._scan_terms(*views) for views in scans]
        terms = {name: torch.stack([scan[name] for scan in per_scan]).mean() for name in per_scan[0]}
        weights = {
            "contrastive": self.terms.location_weight,
            "near": self.terms.near_weight,
            "label": self.terms.label_weight,
        }
        total = sum(weight * terms[name] for name, weight in weights.items() if name in terms)
        return {**terms, "total": torch.as_tensor(total)}

    def required_targets(self) -> frozenset[str]:
        return frozenset(("fixed_label",)) if self.anatomy else frozenset()

    def network(self) -> nn.Module:
        return self.describe

    def _describe(self, image: Tensor) -> Tensor:
        if not self.training or self.views.shift_vox == 0:
            described: Tensor = self.describe(image)
            return described
        before = torch.randint(0, self.views.shift_vox + 1, (self.dims,)).tolist()
        size = image.shape[2:]
        seen = (slice(b, b + n - self.views.shift_vox) for b, n in zip(before, size, strict=True))
        window = (slice(None), slice(None), *seen)
        described = self.describe(image[window].contiguous())
        around = [side for b in reversed(before) for side in (b, self.views.shift_vox - b)]
        return functional.pad(described, around)

    def _views(self, image: Tensor, described: Tensor, label: Tensor | None) -> Views:
        """Return an image, its descriptors, those of a remapped view, and labels; deformed if enabled."""
        if self.views.warp_sd_vox > 0:
            field = self._displacement(image)
            image = warp(image, field)
            described = functional.normalize(warp(described, field, padding="border"), dim=1, eps=1e-6)
            label = None if label is None else warp_labels(label, field)
        return image, described, self._describe(remap_intensities(image)), label

    def _scan_terms(
        self, view: Tensor, described: Tensor, second: Tensor, label: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the terms of ``loss`` for images (B, 1, ...) and two descriptors of the same voxels."""
        per_image = []
        for n, (image, a, b) in enumerate(zip(view, described, second, strict=True)):
            seen_twice = ((a**2).sum(0) > 0) & ((b**2).sum(0) > 0)
            terms = self._far_terms(image * seen_twice, a, b, None if label is None else label[n])
            if self.terms.near_weight > 0:
                box = (slice(None), *_bounding_box(seen_twice))
                inside = (image[box] > self.views.foreground).float()
                near = shift_loss(a[box][None], b[box][None], inside[None], self.terms.near_temperature)
                terms["near"], terms["near_found"] = near
            per_image.append(terms)
        return {name: torch.stack([terms[name] for terms in per_image]).mean() for name in per_image[0]}

    def _far_terms(self, image: Tensor, a: Tensor, b: Tensor, label: Tensor | None) -> dict[str, Tensor]:
        """Return the terms of locations and labels, at voxels drawn from the whole image."""
        where = sample_foreground(image, self.views.foreground, self.views.locations)
        a, b = a.flatten(1)[:, where].T, b.flatten(1)[:, where].T
        terms = dict(
            zip(
                ("contrastive", "retrieval"),
                location_loss(a, b, self.views.temperature, self.views.chunk),
                strict=True,
            )
        )
        if self.anatomy:
            if label is None:
                raise ValueError("MASR-Net with `labels` needs label maps; the batch has none.")
            known = label.flatten()[where].repeat(2)
            terms["label"], terms["label_found"] = self.anatomy(torch.cat([a, b]), known)
        return terms

    def _displacement(self, image: Tensor) -> Tensor:
        """Draw a smooth displacement, ``(B, dims, ...)`` in voxels, with an sd drawn for each scan."""
        size = image.shape[2:]
        coarse = [max(2, -(-n // self.views.warp_scale_vox) + 1) for n in size]
        values = torch.randn(image.shape[0], self.dims, *coarse, device=image.device)
        sd_vox = self.views.warp_sd_vox * torch.rand(
            image.shape[0], *(1,) * (self.dims + 1), device=image.device
        )
        values = sd_vox * values
        return functional.interpolate(values, size, mode=_LINEAR[self.dims], align_corners=True)


def _warp_descriptors(described: Tensor, displacement: Tensor) -> Tensor:
    """Warp unit vectors; 0 where one of the interpolated voxels was outside the crop."""
    seen = (described**2).sum(1, keepdim=True) > 0
    moved, share = warp(described, displacement), warp(seen.to(described.dtype), displacement)
    return functional.normalize(moved, dim=1, eps=1e-6) * (share > 0.999)


def _bounding_box(inside: Tensor) -> tuple[slice, ...]:
    """Return the smallest box around True voxels, or the whole grid if there are none."""
    where = inside.nonzero()
    if not len(where):
        return tuple(slice(None) for _ in inside.shape)
    corners = zip(where.amin(0).tolist(), where.amax(0).tolist(), strict=True)
    return tuple(slice(int(first), int(last) + 1) for first, last in corners)


_LINEAR = {2: "bilinear", 3: "trilinear"}
