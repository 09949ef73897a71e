"""From a checkpoint to a bundle: ONNX, lower precisions, parity in mm, and the file that is served."""
