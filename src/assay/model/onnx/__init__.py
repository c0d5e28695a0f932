"""Facts of ONNX files; the ``onnx`` package reads the protocol buffers. No TVM here."""
