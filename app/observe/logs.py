"""Logs: one line a record, as text or JSON, with the id of the request that it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar
from typing import NamedTuple

from app.errors import Unexpected

log = logging.getLogger(__name__)


class RequestIds(NamedTuple):
    """What ties log lines to a request: our id, and the trace that the client carries (W3C traceparent)."""

    request_id: str
    trace_id: str = ""


current_request: ContextVar[RequestIds | None] = ContextVar("current_request", default=None)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request_id, trace_id, trace, and `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (ids := current_request.get()) is not None:
            entry["request_id"] = ids.request_id
            if ids.trace_id:
                entry["trace_id"] = ids.trace_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """For people: time, level, message, and the request's id where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        ids = current_request.get()
        return text if ids is None else f"{text} [{ids.request_id}]"


def log_unexpected(error: Exception, request_id: str) -> Unexpected:
    """What to tell a client of an error that nobody foresaw, once the log has it."""
    log.error("request %s failed", request_id, exc_info=error)
    return Unexpected(f"an unexpected error; the server's log has it under {request_id}")


def set_up_logging(level: str, form: str) -> None:
    """Log to stderr from now on; `form` is text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
