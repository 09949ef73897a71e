"""Benchmarks; run each as ``python -m benchmarks.PACKAGE.NAME`` in the root of the repository."""
