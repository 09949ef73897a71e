"""A network made ready for the native pipeline: trust, size, time, and what it gives."""

from .network import Network

__all__ = ["Network"]
