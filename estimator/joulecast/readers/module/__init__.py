"""Any torch module, traced on fake tensors: the same rows as its ONNX file gives."""
