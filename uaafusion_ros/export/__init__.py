"""Writes realtime mode as one ONNX graph, and refuses one that differs from PyTorch."""
