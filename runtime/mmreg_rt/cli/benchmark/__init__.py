"""``mmreg benchmark``: latency on this machine, as a table and a picture."""

from .command import benchmark

__all__ = ["benchmark"]
