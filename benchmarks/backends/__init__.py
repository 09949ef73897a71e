"""Networks on each backend."""
