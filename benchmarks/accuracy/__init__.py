"""Accuracy on one kind of data at a time."""
