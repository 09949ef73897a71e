"""The training run: phases, optimiser, validation, checkpoints and progress."""
