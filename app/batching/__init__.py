"""Rows in, results out, in batches. Knows no HTTP, no ONNX and no images."""
