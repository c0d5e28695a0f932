"""From an ONNX file to a Relax module with its weights as constants."""
