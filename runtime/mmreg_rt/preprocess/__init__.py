"""What is done to scans before anything is computed from them."""

from .spec import PreprocessSpec, network_grid, normalise

__all__ = ["PreprocessSpec", "network_grid", "normalise"]
