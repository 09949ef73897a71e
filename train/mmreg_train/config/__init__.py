"""What a training is asked to do: TOML in, checked values out."""
