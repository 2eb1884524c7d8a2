"""Networks deeper than Python's recursion limit: Keras walks a graph by recursion."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deep_recursion(limit: int = 50_000) -> Iterator[None]:
    """Raise the recursion limit inside the block: building, loading or converting resnet1001 needs it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, limit))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
