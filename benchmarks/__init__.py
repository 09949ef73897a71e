"""Benchmarks: run each as ``python -m benchmarks.ROOM.NAME`` in the root of the repository."""
