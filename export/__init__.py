"""The export stage of convserve: train or load Keras networks, convert them to ONNX, prove it, publish artifacts."""

import os

# TensorFlow reads it when it is imported. By itself it switches oneDNN on only on CPUs with AVX512; without it grouped
# convolutions have no gradient on a CPU, and training takes twice the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
