"""Networks for the native pipeline: trust, size, time and output."""

from .network import Network

__all__ = ["Network"]
