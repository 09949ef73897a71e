"""``mmreg benchmark``: latency on this machine, as a table and a picture."""
