"""What must be set before TensorFlow is imported."""

import os

# As export/__init__.py does, for the tests that import Keras without it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
