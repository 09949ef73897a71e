"""Whole registrations: time, memory and accuracy, compared with peers."""
