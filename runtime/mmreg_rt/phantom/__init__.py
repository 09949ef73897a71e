"""A digital head in two modalities, with an exactly known transform.

``phantom(seed)`` returns the pair. Its anatomy is a function of space (``anatomy``), painted in two contrasts
(``tissues``), moved by a known smooth map (``motion``) and scanned on two different grids (``scans``).
It needs only NumPy and takes seconds.
"""

from .motion import Flow, Truth
from .scans import CT_NOISE_HU, MR_SNR, Phantom, phantom, score
from .tissues import Tissue

__all__ = ["CT_NOISE_HU", "Flow", "MR_SNR", "Phantom", "Tissue", "Truth", "phantom", "score"]
