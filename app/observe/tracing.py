"""OpenTelemetry spans where its SDK is set up (opentelemetry-instrument, or OTEL_* and a provider); nothing otherwise.

Every request is a span under the client's traceparent, every prediction's stages are spans under it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import propagate, trace
except ImportError:  # its API comes with FastAPI from 0.120 on; without it there is nothing to trace with
    trace = propagate = None  # type: ignore[assignment]  # asked for None before each use

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def is_on() -> bool:
    """Whether anybody records spans."""
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def read_trace_id(traceparent: str) -> str:
    """The trace id of a W3C traceparent header; empty where it isn't one."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or traceparent.startswith("ff") or not int(match[1], 16) or not int(match[2], 16):
        return ""
    return match[1]


@contextmanager
def trace_request(name: str, headers: Mapping[str, str], attributes: Mapping[str, Any]) -> Iterator[Any]:
    """A server span around a request; gives the span, or None where nobody records."""
    if not is_on():
        yield None
        return
    context = propagate.extract(dict(headers))
    tracer = trace.get_tracer("convserve")
    with tracer.start_as_current_span(
        name, context, kind=trace.SpanKind.SERVER, attributes=dict(attributes), record_exception=False
    ) as span:
        yield span


def trace_stages(decode_s: float, queue_s: float, infer_s: float) -> None:
    """Spans of one image's stages, which have just ended, under the request's."""
    if trace is None or not trace.get_current_span().is_recording():
        return
    tracer = trace.get_tracer("convserve")
    moment = time.time_ns() - int((decode_s + queue_s + infer_s) * 1e9)
    for stage, seconds in (("decode", decode_s), ("queue", queue_s), ("infer", infer_s)):
        span = tracer.start_span(stage, start_time=moment)
        moment += int(seconds * 1e9)
        span.end(moment)
