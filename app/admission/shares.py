"""ShareMeters: what is counted of the requests that a weighted alias gives to one of its models."""

from __future__ import annotations

from app.observe.families import ALIAS_FAULTS, ALIAS_SECONDS
from app.observe.metrics import Metrics

# Errors below 500 that say something of the model or the machine, not of what the client sent.
_FAULTS = frozenset(("overloaded", "row_failed"))


class ShareMeters:
    """The metrics of one target of a weighted alias: its answered requests and its faults."""

    __slots__ = ("_alias", "_metrics", "_target")

    def __init__(self, metrics: Metrics, alias: str, target: str) -> None:
        self._metrics = metrics
        self._alias = alias
        self._target = target

    def record_request(self, seconds: float, status: int, code: str) -> None:
        """Count a request answered with `status`; `code` is an error's. Errors of the client are not counted."""
        if 200 <= status < 400:
            self._metrics.histogram(ALIAS_SECONDS, self._alias, self._target).observe(seconds)
        elif status >= 500 or code in _FAULTS:
            self._metrics.add(ALIAS_FAULTS, self._alias, self._target)
