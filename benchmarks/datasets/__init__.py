"""Scripts that prepare benchmark data."""
