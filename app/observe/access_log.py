"""Journal: what is kept of every request, whichever way it takes: an id, counts, and a line of the access log."""

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
# What a request is counted under whose client went away.
_NOBODY = 499


class RequestCounts(Protocol):
    """Where the requests to one version of a model are counted."""

    def record_request(self, seconds: float, answered: bool) -> None:
        """Count one request that took `seconds`; `answered` is False where it got an error."""


class ShareCounts(Protocol):
    """Where the requests are counted that a weighted alias has given to one of its models."""

    def record_request(self, seconds: float, status: int, code: str) -> None:
        """Count one request that took `seconds`, by its HTTP `status` and its error's `code`, "" where it has none."""


def _find_none(_: str) -> None:
    """Of a request whose headers aren't known."""


class Exchange:
    """One request and its answer. Whoever finds out what the request is about notes it here."""

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
        """A header of the request, by its name in lower case."""
        self.key = ""
        """The name of the key that it brought; empty where none is asked for."""
        self.model = ""
        """Its name; empty where the request concerns none."""
        self.counts: RequestCounts | None = None
        self.share: ShareCounts | None = None
        """Of a weighted alias; None where the request names none."""
        self.code = ""
        """Of the error that was answered."""

    def concerns(self, model: str, counts: RequestCounts) -> None:
        """The request is for one version of `model`."""
        self.model, self.counts = model, counts


class Journal:
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
        """A request begins, whose headers `find_header` knows by their names in lower case. Its id is the client's own
        X-Request-ID where that is plain, otherwise a new one; `traceparent` is the header of this name. Both are empty
        where there is none.
        """
        plain = given_id and _ACCEPTED_ID.fullmatch(given_id)
        request_id = given_id if plain else f"{self._prefix}-{next(self._numbers):x}"
        return Exchange(method, path, request_id, read_trace_id(traceparent) if traceparent else "", find_header)

    def close(self, exchange: Exchange, status: int) -> None:
        """It was answered with `status`; one that nobody waited for has status 0."""
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
