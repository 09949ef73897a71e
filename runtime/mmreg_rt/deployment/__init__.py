"""Deployments: a verified network for one pair of grids, one engine and one precision.

``write_deployment`` makes the folder from a bundle, ``check_deployment`` checks one by the rules that
libmmreg follows, and measures its latency. ``docs/deployment_folder.md`` is the specification of the format.
"""

from .check import Check, check_deployment
from .folder import Deployment, open_deployment
from .grids import grid_of
from .write import write_deployment

__all__ = ["Check", "Deployment", "check_deployment", "grid_of", "open_deployment", "write_deployment"]
