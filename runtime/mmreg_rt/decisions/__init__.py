"""The decision log: one line for each registration, chained by hashes, for the records of a device.

A line is a JSON object without names of people or files and without voxels; ``docs/decision_log.md`` lists
what it holds.
"""

from __future__ import annotations

from .check import Check, check_log
from .entry import Decisions, Entry

__all__ = ["Check", "Decisions", "Entry", "check_log"]
