"""Journal: gives every request an id, counts it, and writes its line of the access log."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from app.observe.logs import on_behalf_of
from app.observe.metrics import Metrics
from app.observe.tracing import read_trace_id

log = logging.getLogger("convserve.access")

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# The status under which a request is counted whose client went away (nginx's).
_NOBODY = 499


class RequestCounts(Protocol):
    """Counts the requests to one version of a model."""

    def record_request(self, seconds: float, answered: bool) -> None:
        """Count one request that took `seconds`; `answered` is False where it got an error."""


class ShareCounts(Protocol):
    """Counts the requests that a weighted alias has given to one of its models."""

    def record_request(self, seconds: float, status: int, code: str) -> None:
        """Count one request that took `seconds`, by its HTTP `status` and its error's `code`, "" where it has none."""


def _find_none(_: str) -> None:
    """The find_header of a request without known headers."""


class Exchange:
    """The record of one request: each part that handles it sets what it finds out."""

    __slots__ = (
        *("code", "counts", "find_header", "key", "method", "model", "path", "request_id", "share", "started"),
        "trace_id",
    )

    def __init__(
        self,
        method: str,
        path: str,
        request_id: str,
        trace_id: str,
        find_header: Callable[[str], str | None] = _find_none,
    ) -> None:
        self.started = time.perf_counter()
        self.method = method
        self.path = path
        self.request_id = request_id
        self.trace_id = trace_id
        self.find_header = find_header
        """Gives a header of the request by its name in lower case, or None."""
        self.key = ""
        """The name of its API key; empty where none is needed."""
        self.model = ""
        """The name of the model; empty if the request is for none."""
        self.counts: RequestCounts | None = None
        self.share: ShareCounts | None = None
        """The counts of the weighted alias that it names; None if it names none."""
        self.code = ""
        """The code of the error that was answered; empty without one."""

    def concerns(self, model: str, counts: RequestCounts) -> None:
        """Note that the request is for one version of `model`."""
        self.model, self.counts = model, counts


class Journal:
    """Opens a record for each request and counts and logs it when it is closed. One per process."""

    def __init__(self, metrics: Metrics, access_log: bool) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._answered: dict[tuple[str, int], list[float]] = {}  # the series of each model and status
        # A random prefix and a counter: unique over processes, and 20 times cheaper than a UUID for each request.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    def open(
        self,
        method: str,
        path: str,
        given_id: str,
        traceparent: str,
        find_header: Callable[[str], str | None] = _find_none,
    ) -> Exchange:
        """Begin a request. `given_id` and `traceparent` are the headers X-Request-ID and traceparent, empty if missing;
        an id of 1 to 128 letters, digits, dots, dashes and underscores is kept, otherwise a new one is made.
        `find_header` gives other headers by their names in lower case.
        """
        plain = given_id and _ACCEPTED_ID.fullmatch(given_id)
        request_id = given_id if plain else f"{self._prefix}-{next(self._numbers):x}"
        return Exchange(method, path, request_id, read_trace_id(traceparent) if traceparent else "", find_header)

    def close(self, exchange: Exchange, status: int) -> None:
        """Count and log a request that was answered with `status`; 0 if the client went away."""
        seconds, model = time.perf_counter() - exchange.started, exchange.model
        answered = self._answered.get((model, status))
        if answered is None:
            answered = self._metrics.series("convserve_requests_total", model, str(status or _NOBODY))
            self._answered[model, status] = answered
        answered[0] += 1
        if status >= 400:
            self._metrics.add("convserve_rejections_total", model, exchange.code or str(status))
        if exchange.counts is not None:
            exchange.counts.record_request(seconds, 200 <= status < 400)
        if exchange.share is not None:
            exchange.share.record_request(seconds, status, exchange.code)
        if self._access_log:
            fields = {
                "method": exchange.method,
                "path": exchange.path,
                "status": status or _NOBODY,
                "ms": round(seconds * 1e3, 2),
                "model": model,
                "request_id": exchange.request_id,
            }
            if exchange.key:
                fields["key"] = exchange.key
            line = f"{exchange.method} {exchange.path} {status or _NOBODY} {seconds * 1e3:.1f} ms"
            with on_behalf_of(exchange):
                log.info("%s", line, extra={"fields": fields})
