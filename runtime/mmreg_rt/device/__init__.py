"""CUDA devices: their memory and streams, arrays that lie there, and results that stay there."""
