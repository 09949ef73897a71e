"""Preprocessing of scans."""

from .spec import PreprocessSpec, network_grid, normalise

__all__ = ["PreprocessSpec", "network_grid", "normalise"]
