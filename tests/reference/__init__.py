"""Slow float64 twins of the native operations, written independently of them."""
