"""Export of checkpoints to bundles: ONNX, lower precisions, comparison with torch, packing."""
