"""Networks run by TensorRT and TensorRT-RTX: engines, their cache, and plugins for the warp."""
