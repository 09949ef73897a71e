"""Accuracy benchmarks, each on one kind of data."""
