"""Scripts that prepare the data of benchmarks."""
