"""Synthetic training data, networks, training and ONNX export."""
