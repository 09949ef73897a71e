"""Whole registrations: time, memory and accuracy beside peers."""
