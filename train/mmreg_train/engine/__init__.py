"""Runs a training: phases, optimiser, validation, checkpoints and what is shown meanwhile."""
