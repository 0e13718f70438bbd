"""onnxruntime's own operators."""
