"""Tools shared by all benchmarks: timer, machine, scores, intervals and peers."""
