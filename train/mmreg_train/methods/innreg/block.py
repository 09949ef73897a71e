"""A step of the invertible network: a mixing of two channels and a coupling between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmreg_train.methods.innreg.subnetworks import subnetwork

Pair = tuple[Tensor, Tensor]  # the two channels, (B, 1, ...) each
STRONGEST = 0.8  # largest logarithm of the factor of a coupling


class Block(nn.Module):
    """A mixing of both channels and a coupling, in which each is changed depending on the other.

    ``y1 = x1 + F(x2)`` and ``y2 = x2 exp(s(y1)) + G(y1)``, where ``s = 0.8 (2 sigmoid(H(y1)) - 1)``.
    """

    def __init__(self, dims: int, name: str, width: int, kernel: int) -> None:
        super().__init__()
        self.mixing = Mixing()
        self.add, self.shift, self.scale = (
            subnetwork(name, dims, width, kernel) for _ in range(3)
        )  # F, G, H

    def forward(self, pair: Pair) -> Pair:
        one, other = self.mixing(pair)
        one = one + self.added(other)
        shift, log_scale = self.coupled(one)
        return one, other * log_scale.exp() + shift

    def inverse(self, pair: Pair) -> Pair:
        """Return the input of ``forward`` from its output."""
        one, other = pair
        shift, log_scale = self.coupled(one)
        other = (other - shift) * (-log_scale).exp()
        one = one - self.added(other)
        return self.mixing.inverse((one, other))

    def added(self, other: Tensor) -> Tensor:
        """Return ``F(other)``, in its precision: mixed precision stays inside the sub-networks."""
        added: Tensor = self.add(other).to(other.dtype)
        return added

    def coupled(self, one: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``G`` and ``s``."""
        shift, strength = self.shift(one).to(one.dtype), self.scale(one).to(one.dtype)
        return shift, STRONGEST * (2 * torch.sigmoid(strength) - 1)


class Mixing(nn.Module):
    """An invertible 1 x 1 convolution of two channels, ``W = P L (U + diag(sign exp(log_size)))``.

    ``P`` (a permutation) and the signs are constant; ``L`` has ones on its diagonal. The initial ``W`` is a
    random rotation or reflection.
    """

    permutation: Tensor  # (2, 2)
    sign: Tensor  # (2,)

    def __init__(self) -> None:
        super().__init__()
        start, _ = torch.linalg.qr(torch.randn(2, 2))
        permutation, lower, upper = torch.linalg.lu(start)
        diagonal = upper.diagonal()
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_size = nn.Parameter(diagonal.abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())

    def forward(self, pair: Pair) -> Pair:
        return mix(self.matrix(), pair)

    def inverse(self, pair: Pair) -> Pair:
        return mix(self.inverse_matrix(), pair)

    def matrix(self) -> Tensor:
        """Return ``W``, (2, 2), from sums of products: mixed precision would round a matrix product."""
        size, lower, upper = self.sign * self.log_size.exp(), self.lower[1, 0], self.upper[0, 1]
        rows = torch.stack([size[0], upper, lower * size[0], lower * upper + size[1]]).view(2, 1, 2)
        return self.permutation[:, :1] * rows[0] + self.permutation[:, 1:] * rows[1]

    def inverse_matrix(self) -> Tensor:
        """Return the inverse of ``W`` in closed form; the determinant is that of its factors."""
        a, b, c, d = self.matrix().flatten().unbind(0)
        p, q, r, s = self.permutation.flatten().unbind(0)
        determinant = (p * s - q * r) * self.sign.prod() * self.log_size.sum().exp()
        return torch.stack([d, -b, -c, a]).view(2, 2) / determinant


def mix(matrix: Tensor, pair: Pair) -> Pair:
    """Multiply both channels by a matrix (2, 2)."""
    (a, b), (c, d) = (row.unbind(0) for row in matrix.unbind(0))
    one, other = pair
    return a * one + b * other, c * one + d * other
