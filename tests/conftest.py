"""What must be set before TensorFlow is imported, and put back after each test."""

import logging
import os
from collections.abc import Iterator

import pytest

# As export/__init__.py does, for the tests that import Keras without it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A test that serves within this process sets up logging to its own stderr, which later tests don't have."""
    level, before = logging.root.level, list(logging.root.handlers)
    yield
    logging.root.setLevel(level)
    for handler in logging.root.handlers[:]:
        if handler not in before:
            logging.root.removeHandler(handler)
