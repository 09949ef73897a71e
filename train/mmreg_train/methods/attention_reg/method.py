"""Attention-Reg: rigid registration of an ultrasound and an MR scan by cross-modal attention.

Song et al., "Cross-modal attention for MRI and ultrasound volume registration", MICCAI 2021; with
contrastive pre-training: "Cross-modal attention for multi-modal image registration", MedIA 82, 2022.
Two convolutional branches process one image each; for both, every place of the *other* image attends to
places of this one (a non-local block, Wang et al., CVPR 2018, without scaled logits); a small head outputs
three shifts and three angles. 1,248,777 weights; 1,244,393 without attention.

Three things differ, and none changes a weight. Attention is computed without storing its map of 9216 x 9216
numbers. The numbers describe the motion of the moving image in the frame that both images are resampled to
(``Output``); those of the authors are in the space of the ultrasound scanner, which a network does not know.
Contrastive learning compares places related by the true transform of any start: it needs no second, aligned
pair, and equals the authors' version at the true transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.pose import move_points, rigid_matrices
from mmreg_train.losses.image import location_contrast
from mmreg_train.losses.rigid import surface_distance
from mmreg_train.methods.base import LEARNING, Batch, Method, Output, Window

WIDTH, INNER = 32, 16  # channels of the features, and of queries, keys and values
HEAD = (128, 32)
CHUNKS = 9  # parts of the queries in the exported network: its largest tensor is a ninth of the attention map
CENTRE_VOX = (0.5, 1.5, 1.5)  # centre of the first feature cell, in voxels of the image
STEP_VOX = (2, 4, 4)


@dataclass(frozen=True)
class LossOptions:
    """Terms and weights of both losses.

    Attributes:
        surface: Weight of the mean distance of surface points in mm, beside the error of the six numbers; 0
            as published. Needs batches with a surface.
        numbers: Weight of the mean squared error of the six numbers, in mm and degrees; 1 as published.
        locations: Number of places that contrastive learning compares in each pair.
        temperature: Of its softmax.
    """

    surface: float = 0.0
    numbers: float = 1.0
    locations: int = 1024
    temperature: float = 0.07

    def __post_init__(self) -> None:
        low = self.surface < 0 or self.numbers < 0 or self.surface + self.numbers == 0
        if low or self.locations < 2 or not self.temperature > 0:
            raise ValueError(
                "Attention-Reg needs weights >= 0, not both 0, locations >= 2 and temperature > 0; "
                f"found surface={self.surface!r}, numbers={self.numbers!r}, locations={self.locations!r}, "
                f"temperature={self.temperature!r}."
            )


LOSS = LossOptions()


class AttentionReg(Method):
    """The network with its two phases: contrastive pre-training of the branches, then registration.

    Args:
        size: Voxels of the window, multiples of 2, 4 and 4. The head has a weight for each cell of
            2 x 4 x 4 voxels, so the published number of weights needs the published size.
        spacing_mm: Of the window, along axes 0, 1, 2.
        attention: False is the ablation, 1,244,393 weights.
        pooled: Keys and values are the maximum over this many cells along each axis. (1, 1, 1) as published;
            with (1, 4, 4) attention costs a sixteenth, and the number of weights is the same.
        momentum: Fraction of a batch in the running statistics of batch normalisation. Smaller ones average
            more pairs: a tenth of the usual value suits batches of one or two.
        terms: Terms and weights of both losses.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "attention_reg"
    output_kind = "rigid"
    phases = ("contrastive", "registration")
    multiple = 4
    groups = {"terms": LOSS}

    def __init__(
        self,
        size: Sequence[int] = (32, 96, 96),
        spacing_mm: Sequence[float] = (3.0, 1.0, 1.0),
        attention: bool = True,
        pooled: Sequence[int] = (1, 1, 1),
        momentum: float = 0.1,
        terms: LossOptions = LOSS,
    ) -> None:
        super().__init__(3)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1; found {momentum!r}.")
        cells = cells_of(size)
        if len(pooled) != 3 or min(pooled) < 1 or any(n % p for n, p in zip(cells, pooled, strict=True)):
            raise ValueError(f"pooled must divide {', '.join(map(str, cells))}; found {tuple(pooled)!r}.")
        self.window: Window = Window((size[0], size[1], size[2]), tuple(spacing_mm))
        self.channels = 6
        self.terms = terms
        self.net = RigidNetwork(cells, attention, tuple(pooled), momentum)
        self.phase = self.phases[-1]

    def set_phase(self, phase: str) -> None:
        super().set_phase(phase)
        self.phase = phase
        for name, weight in self.net.named_parameters():
            weight.requires_grad = phase == "registration" or name.startswith(
                ("fixed_branch", "moving_branch")
            )

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """Return six numbers ``(B, 6)``; in the contrastive phase the features of both images."""
        if self.phase == "contrastive":
            return Output(LEARNING, self.net.features(fixed, moving))
        return Output("rigid", self.net(fixed, moving))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return ``numbers`` and, if weighted, ``surface_mm``; in the contrastive phase ``contrastive``.

        Draws the places of the contrastive phase from torch's default generator.

        Raises:
            ValueError: The batch has no true transform, or no surface.
        """
        if batch.rigid is None:
            raise ValueError("Attention-Reg needs the true rigid transform; the batch has none.")
        if isinstance(output.value, tuple):
            return self._contrastive(output.value, batch.rigid)
        terms = {"numbers": ((output.value - batch.rigid) ** 2).mean()}
        total = self.terms.numbers * terms["numbers"]
        if self.terms.surface > 0:
            terms["surface_mm"] = surface_distance(output.value, batch.rigid, batch.surface).mean()
            total = total + self.terms.surface * terms["surface_mm"]
        return {**terms, "total": total}

    def _contrastive(self, features: tuple[Tensor, Tensor], rigid: Tensor) -> dict[str, Tensor]:
        fixed, moving = (each.float() for each in features)
        spacing = torch.tensor(self.window.spacing_mm[::-1], device=fixed.device)
        cells = torch.tensor(fixed.shape[:1:-1], device=fixed.device)  # x, y, z
        where = torch.rand(len(fixed), self.terms.locations, 3, device=fixed.device)
        first = torch.floor(where * cells)  # whole cells of the fixed features
        centre = torch.tensor(CENTRE_VOX[::-1], device=fixed.device)
        step = torch.tensor(STEP_VOX[::-1], device=fixed.device)
        middle = (torch.tensor(self.window.size[::-1], device=fixed.device) - 1) / 2
        place_mm = (first * step + centre - middle) * spacing
        partner_mm = move_points(torch.linalg.inv(rigid_matrices(rigid.float())), place_mm)
        second = (partner_mm / spacing + middle - centre) / step
        seen = ((second >= 0) & (second <= cells - 1)).all(2)
        with torch.autocast(fixed.device.type, enabled=False):  # it is enabled in validation
            pairs = _sample(fixed, first, cells), _sample(moving, second, cells)
            loss, hit_rate = location_contrast(*pairs, seen, self.terms.temperature)
        return {"contrastive": loss, "retrieval": hit_rate, "total": loss}

    def required_targets(self) -> frozenset[str]:
        return frozenset(("rigid", "surface") if self.terms.surface > 0 else ("rigid",))

    def compilable_module(self, phase: str) -> nn.Module | None:
        return self.net if phase == self.phases[-1] else None

    def network(self) -> nn.Module:
        """Return a module ``forward(fixed, moving) -> (B, 6)`` for images ``(B, 1, *window.size)``."""
        return Chunked(self.net)


class RigidNetwork(nn.Module):
    """Two images (B, 1, D, H, W) to (B, 6): shifts along x, y, z in mm, angles about them in degrees.

    Args:
        cells: Feature cells along each axis, see ``cells_of``.
        attention, pooled, momentum: See ``AttentionReg``.
    """

    def __init__(
        self, cells: tuple[int, ...], attention: bool, pooled: tuple[int, ...], momentum: float
    ) -> None:
        super().__init__()
        self.fixed_branch, self.moving_branch = Branch(), Branch()
        self.to_fixed = CrossAttention(pooled) if attention else None
        self.to_moving = CrossAttention(pooled) if attention else None
        self.squeeze = nn.Sequential(
            nn.BatchNorm3d(2 * WIDTH),
            nn.Conv3d(2 * WIDTH, 16, 1),
            nn.ReLU(),
            nn.Conv3d(16, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(4, 1, 3, padding=1),
            nn.BatchNorm3d(1),
        )
        widths = (prod(cells), *HEAD)
        layers = [nn.Linear(a, b) for a, b in zip(widths, HEAD, strict=False)]
        self.head = nn.Sequential(
            nn.ReLU(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), nn.Linear(HEAD[-1], 6)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, nn.BatchNorm3d):
                module.momentum = momentum

    def features(self, fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of each image, (B, 32, cells ...), before attention."""
        return self.fixed_branch(fixed), self.moving_branch(moving)

    def forward(self, fixed: Tensor, moving: Tensor, chunks: int = 1) -> Tensor:
        """Return the six numbers; attention is computed in ``chunks`` parts, one after the other."""
        one, other = self.features(fixed, moving)
        if self.to_fixed is not None and self.to_moving is not None:
            one, other = self.to_fixed(one, other, chunks), self.to_moving(other, one, chunks)
        joined = self.squeeze(torch.cat([one, other], dim=1))
        return cast("Tensor", self.head(joined.flatten(1)))


class Branch(nn.Sequential):
    """An image (B, 1, D, H, W) to features (B, 32, D / 2, H / 4, W / 4)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(1, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm3d(WIDTH),
            nn.ReLU(),
            nn.MaxPool3d(3, 2, 1),
            nn.Conv3d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm3d(WIDTH),
            nn.ReLU(),
            nn.MaxPool3d(3, (1, 2, 2), 1),
        )


class CrossAttention(nn.Module):
    """Features T of this image, plus the result of attention by each place of the other image O.

    ``out_i = relu(T_i + BN(W sum_j softmax_j(phi(O_i) . theta(T_j)) g(T_j)))``: the query is the other image,
    key, value and residual are this one; logits are not scaled.
    """

    def __init__(self, pooled: tuple[int, ...]) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv3d(WIDTH, INNER, 1) for _ in range(3))
        self.out = nn.Conv3d(INNER, WIDTH, 1)
        self.normalise = nn.BatchNorm3d(WIDTH)
        self.pool = nn.MaxPool3d(pooled) if max(pooled) > 1 else nn.Identity()

    def forward(self, this: Tensor, other: Tensor, chunks: int = 1) -> Tensor:
        query, key, value = self._query_key_value(this, other)
        parts = [
            functional.scaled_dot_product_attention(part, key, value, scale=1.0)
            for part in query.chunk(chunks, dim=2)
        ]
        attended = torch.cat(parts, dim=2) if chunks > 1 else parts[0]
        gathered = attended[:, 0].transpose(1, 2).reshape(-1, INNER, *this.shape[2:])
        return functional.relu(this + self.normalise(self.out(gathered)))

    def weights(self, this: Tensor, other: Tensor, cell: tuple[int, int, int]) -> Tensor:
        """Return the attention of one cell of the other image: (B, cells of the keys ...), with sum 1."""
        query, key, _ = self._query_key_value(this, other)
        number = (cell[0] * this.shape[3] + cell[1]) * this.shape[4] + cell[2]
        logits = key[:, 0] @ query[:, 0, number, :, None]
        shape = self.pool(this).shape[2:]
        return torch.softmax(logits[..., 0], dim=1).reshape(-1, *shape)

    def _query_key_value(self, this: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value as one head: (B, 1, cells, 16) each."""
        key, value = self.pool(self.theta(this)), self.pool(self.g(this))
        query, key, value = (
            each.flatten(2).transpose(1, 2)[:, None] for each in (self.phi(other), key, value)
        )
        return query, key, value


class Chunked(nn.Module):
    """The exported network: attention in parts, so that the whole map is never stored."""

    def __init__(self, net: RigidNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        return cast("Tensor", self.net(fixed, moving, CHUNKS))


def cells_of(size: Sequence[int]) -> tuple[int, ...]:
    """Return the number of feature cells of a window along each axis.

    Raises:
        ValueError: The window is not made of whole cells, or has fewer than ``CHUNKS`` in all.
    """
    if len(size) != 3 or any(n < 1 or n % step for n, step in zip(size, STEP_VOX, strict=False)):
        raise ValueError(
            f"A window needs whole cells of {' x '.join(map(str, STEP_VOX))} voxels; "
            f"found size={tuple(size)!r}."
        )
    cells = tuple(n // step for n, step in zip(size, STEP_VOX, strict=True))
    if prod(cells) < CHUNKS:
        raise ValueError(f"A window needs {CHUNKS} cells or more; found size={tuple(size)!r}.")
    return cells


def _sample(features: Tensor, cells_xyz: Tensor, counts: Tensor) -> Tensor:
    """Interpolate features (B, C, d, h, w) at places (B, N, 3) in cells, x first: (B, N, C)."""
    grid = 2 * cells_xyz / (counts - 1) - 1
    sampled = functional.grid_sample(features, grid[:, None, None], align_corners=True, padding_mode="border")
    return sampled[:, :, 0, 0].transpose(1, 2)
