"""Pairs with a known rigid motion."""
