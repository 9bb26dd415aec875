"""Networks that the tracker can run, by name; all leave as ONNX with the same metadata."""
