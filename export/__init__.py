"""The export stage of convserve: train or load Keras networks, convert them to ONNX, prove it, publish artifacts."""
