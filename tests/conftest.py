"""What must be set before TensorFlow is imported and put back after each test, and what tests of several folders
share.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.makers.buckets import AzureStandIn, GoogleStandIn, S3StandIn

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


@pytest.fixture(scope="module")
def s3() -> Iterator[S3StandIn]:
    """A server that speaks as S3 does, without a bucket."""
    pytest.importorskip("moto", reason="moto isn't installed: make test has it")
    from tests.makers.buckets import S3StandIn  # which takes a second

    stand_in = S3StandIn()
    yield stand_in
    stand_in.end()


@pytest.fixture(scope="module")
def az() -> Iterator[AzureStandIn]:
    from tests.makers.buckets import AzureStandIn

    stand_in = AzureStandIn()
    yield stand_in
    stand_in.end()


@pytest.fixture(scope="module")
def gs() -> Iterator[GoogleStandIn]:
    from tests.makers.buckets import GoogleStandIn

    stand_in = GoogleStandIn()
    yield stand_in
    stand_in.end()
