"""Journal: what is kept of every request, whichever road it takes: an id, counts, and a line of the access log."""

from __future__ import annotations

import itertools
import logging
import re
import secrets

from app.inference.model import LoadedModel
from app.observe.metrics import Metrics

log = logging.getLogger("convserve.access")

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# What a request is counted under whose client went away.
_NOBODY = 499


class Journal:
    def __init__(self, metrics: Metrics, access_log: bool) -> None:
        self._metrics = metrics
        self._access_log = access_log
        # A random prefix and a counter: unique over processes, and 20 times cheaper than a UUID for each
        # request.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    def find_id(self, given: str) -> str:
        """The client's own X-Request-ID where it is plain, otherwise a new one."""
        return given if given and _ACCEPTED_ID.fullmatch(given) else f"{self._prefix}-{next(self._numbers):x}"

    def record(
        self, method: str, path: str, status: int, seconds: float, model: LoadedModel | None, code: str = ""
    ) -> None:
        """Count an answer, `code` being that of its error; one that nobody waited for has status 0."""
        name = "" if model is None else model.name
        self._metrics.add("convserve_requests_total", name, str(status or _NOBODY))
        if status >= 400:
            self._metrics.add("convserve_rejections_total", name, code or str(status))
        if model is not None:
            if 200 <= status < 400:
                model.meters.requests.observe(seconds)
            else:
                model.meters.record_failure(seconds)
        if self._access_log:
            fields = {
                "method": method,
                "path": path,
                "status": status or _NOBODY,
                "ms": round(seconds * 1e3, 2),
                "model": name,
            }
            line = f"{method} {path} {status or _NOBODY} {seconds * 1e3:.1f} ms"
            log.info("%s", line, extra={"fields": fields})
