"""Types and shapes of one node's outputs: ONNX's inference, and rules where it has none or a wrong one."""
