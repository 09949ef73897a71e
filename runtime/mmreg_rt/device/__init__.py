"""CUDA devices: their memory and streams, arrays in device memory, and results that stay there."""
