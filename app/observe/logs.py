"""Logs: one line a record, as text or JSON, with the id of the request that it belongs to.

Python's warnings and uncaught exceptions are logged, too. Line ends and control characters in a record, much of which
comes from clients, are escaped.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol

from app.errors import Unexpected

log = logging.getLogger(__name__)


class RequestIds(Protocol):
    """What ties log lines to a request."""

    request_id: str
    trace_id: str
    """That the client carries (W3C traceparent); empty without one."""


current_request: ContextVar[RequestIds | None] = ContextVar("current_request", default=None)


@contextmanager
def on_behalf_of(request: RequestIds) -> Iterator[None]:
    """Within the block, and in threads and tasks started there, log records get the ids of `request`."""
    token = current_request.set(request)
    try:
        yield
    finally:
        current_request.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, pid, logger, message, request_id, trace_id, trace, and `extra`
    fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": read_message(record),
        }
        if (ids := current_request.get()) is not None:
            entry["request_id"] = ids.request_id
            if ids.trace_id:
                entry["trace_id"] = ids.trace_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return escape(json.dumps(entry, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """For people: time, level, message, and the request's id where there is one. A trace stands below, indented, so
    that no line of it can pass for one of the log's.
    """

    def __init__(self, who: str = "") -> None:
        """`who` writes, where several processes do: begins every message."""
        super().__init__()
        self._who = f"{who}: " if who else ""

    def format(self, record: logging.LogRecord) -> str:
        ids = current_request.get()
        request = "" if ids is None else f" [{ids.request_id}]"
        text = f"{self.formatTime(record)} {record.levelname} {self._who}{read_message(record)}{request}"
        lines = [text, *(self.formatException(record.exc_info).splitlines() if record.exc_info else ())]
        return "\n  ".join(map(escape, lines))


def read_message(record: logging.LogRecord) -> str:
    """The record's words. A library may give them the wrong arguments: they are shown beside each other then."""
    try:
        return record.getMessage().strip()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


def escape(text: str) -> str:
    """`text` with all that doesn't print (ends of lines, a terminal's control codes, turns of the writing's direction)
    as JSON writes it: \\n, \\u001b.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def log_unexpected(error: Exception, request: RequestIds) -> Unexpected:
    """Log an unexpected error with its trace; returns the error for the client."""
    with on_behalf_of(request):
        log.error("request %s failed", request.request_id, exc_info=error)
    return Unexpected(f"an unexpected error: see the server's log under {request.request_id}")


def set_up_logging(level: str, form: str, who: str = "") -> None:
    """Log to stderr from now on; `form` is text or json. `who` is for the text of a process that is one of several."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(who))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda raised: _log_uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
    sys.unraisablehook = lambda raised: _log_uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        log.error("an uncaught exception", exc_info=(kind, error or kind(), trace))
