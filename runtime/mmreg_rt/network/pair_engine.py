"""The network for one pair of scans: where it looks, and where it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..preprocess.window import centre_mm

if TYPE_CHECKING:
    from .._native import EngineSpec
    from ..geometry import Float64
    from ..input_validation import CheckedPair
    from .network import Network


def pair_engine(network: Network, pair: CheckedPair, same_space: bool) -> tuple[EngineSpec, Float64 | None]:
    """Return a network as the native pipeline runs it, and the map that a rigid one starts from.

    Args:
        network: The network.
        pair: The scans. The window of a rigid network lies around the centre of the fixed mask, or of the
            fixed scan without one.
        same_space: The headers share one coordinate system. A rigid network then starts from them, unless
            both masks are given; else their centres are aligned first.

    Returns:
        The network, and ``(4, 4)``, fixed to moving points, RAS+ mm; None for networks that output no rigid
        transform.
    """
    if network.manifest.rigid is None:
        return network.engine_spec(pair.fixed.grid), None
    fixed, moving = (
        centre_mm(pair.fixed.grid, pair.fixed_mask),
        centre_mm(pair.moving.grid, pair.moving_mask),
    )
    start = np.eye(4)
    masked = pair.fixed_mask is not None and pair.moving_mask is not None
    if masked or not same_space:
        start[:3, 3] = moving - fixed
    return network.engine_spec(pair.fixed.grid, fixed), start
