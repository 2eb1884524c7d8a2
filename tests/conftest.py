"""Puts this folder on the path, so that every test can import `artifacts`; and what must be set before TensorFlow."""

import os

# As export/__init__.py does, for the tests that import Keras without it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
