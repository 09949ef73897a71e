"""Base class and loss of methods that output a field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmreg_train.layers import warp
from mmreg_train.losses import image as losses
from mmreg_train.methods.base import Batch, Method, Output

IMAGE_TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": losses.mse,
    "ncc": losses.local_ncc,
    "mi": losses.mutual_information,
    "nmi": lambda fixed, warped: -losses.normalised_mutual_information(fixed, warped),
    "mind": losses.mind,
}


@dataclass(frozen=True)
class Objective:
    """Loss of a field: terms and weights.

    Attributes:
        image: "mse", "ncc", "mi", "nmi", "mind" between fixed and warped moving, or None.
        dice: Weight of 1 - soft Dice of the label maps.
        smoothness: Weight of the squared gradient of the field, in voxels per voxel.
        dice_labels: Labels in the Dice term; None takes all except 0 in the batch.
        known: Weight of the mean distance in voxels to the true displacement, over labelled voxels, for
            batches that know it: synthetic pairs of one label map.
        labels: Weight of ``losses.label_mismatch``, about the fraction of mislabelled voxels. It weights
            labels by their size, where Dice weights them equally.
    """

    image: str | None = "ncc"
    dice: float = 0.0
    smoothness: float = 1.0
    dice_labels: Sequence[int] | None = None
    known: float = 0.0
    labels: float = 0.0

    def __post_init__(self) -> None:
        if self.image is not None and self.image not in IMAGE_TERMS:
            raise ValueError(
                f"The image term must be one of {', '.join(IMAGE_TERMS)} or None; found {self.image!r}."
            )
        if self.image is None and not any(weight > 0 for weight in (self.dice, self.known, self.labels)):
            raise ValueError("The loss has no term that compares the pair: set image, dice, labels or known.")

    def required_targets(self) -> frozenset[str]:
        """Return the fields of ``Batch`` that the terms compare, besides the images."""
        needed: set[str] = set()
        if self.dice > 0 or self.labels > 0:
            needed |= {"fixed_label", "moving_label"}
        elif self.known > 0 and self.image is None:  # other terms can do without
            needed.add("displacement")
        return frozenset(needed)

    def __call__(
        self, batch: Batch, displacement: Tensor, field: Tensor, factor: int, warped: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compute the terms by name and their weighted "total".

        Args:
            batch: Images, and label maps if ``dice`` or ``labels`` is above 0.
            displacement: ``(B, dims, ...)`` in voxels, on the grid of the images.
            field: The field to regularise, in full-grid voxels on the grid of ``factor``.
            factor: Grid of ``field``: 1 full, 2 half.
            warped: The warped moving image, if already computed.

        Raises:
            ValueError: ``dice`` or ``labels`` is above 0 and the batch has no labels.
        """
        terms = {"smoothness": losses.squared_gradient(field, factor)}
        total = self.smoothness * terms["smoothness"]
        if self.image is not None:
            warped = warp(batch.moving, displacement) if warped is None else warped
            terms["image"] = IMAGE_TERMS[self.image](batch.fixed, warped)
            total = total + terms["image"]
        if self.dice > 0:
            terms["dice"] = self._dice(batch, displacement)
            total = total + self.dice * terms["dice"]
        if self.labels > 0:
            terms["labels"] = losses.label_mismatch(*_label_maps(batch, "labels"), displacement)
            total = total + self.labels * terms["labels"]
        if self.known > 0 and batch.displacement is not None:
            terms["distance_vox"] = _distance_vox(batch, displacement)
            total = total + self.known * terms["distance_vox"]
        return {**terms, "total": total}

    def _dice(self, batch: Batch, displacement: Tensor) -> Tensor:
        """Return 1 - soft Dice of the fixed labels and the linearly warped moving ones."""
        fixed, moving = _label_maps(batch, "dice")
        values = self._label_values(fixed, moving)
        shares = losses.one_hot(fixed, values), losses.one_hot(moving, values)
        return losses.soft_dice(shares[0], warp(shares[1], displacement))

    def _label_values(self, fixed: Tensor, moving: Tensor) -> Tensor:
        if self.dice_labels is not None:
            return torch.tensor(tuple(self.dice_labels), device=fixed.device)
        present = torch.bincount(torch.cat([fixed.flatten(), moving.flatten()]))
        present[0] = 0
        return present.nonzero().flatten()


def _label_maps(batch: Batch, term: str) -> tuple[Tensor, Tensor]:
    if batch.fixed_label is None or batch.moving_label is None:
        raise ValueError(
            f"The {term} term needs label maps and the batch has none. Add them, or set {term}=0."
        )
    return batch.fixed_label, batch.moving_label


def _distance_vox(batch: Batch, displacement: Tensor) -> Tensor:
    assert batch.displacement is not None
    squares = ((displacement - batch.displacement) ** 2).sum(1)
    return losses.labelled_mean((squares + 1e-6).sqrt(), batch.fixed_label)


class FieldMethod(Method):
    """A method whose network takes both images and outputs one field.

    Attributes:
        flow: ``forward(fixed, moving)`` returns the field, see ``Output``.
        objective: The loss.
    """

    flow: nn.Module
    objective: Objective

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        return Output(self.output_kind, self.flow(fixed, moving))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert isinstance(output.value, Tensor)
        return self.objective(batch, self.displacement(output), output.value, self.factor)

    def required_targets(self) -> frozenset[str]:
        return self.objective.required_targets()

    def network(self) -> nn.Module:
        return self.flow
