"""Spans by OpenTelemetry's API with a provider of the test's own, as its SDK would be."""

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from app.observe import tracing


class FakeSpan(NonRecordingSpan):
    def __init__(self, name: str, parent: SpanContext, start: int | None) -> None:
        super().__init__(SpanContext(parent.trace_id, parent.span_id + 1, False, TraceFlags(1)))
        self.name, self.start, self.ended = name, start, 0
        self.attributes: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def end(self, end_time: int | None = None) -> None:
        self.ended = end_time or 1


class FakeTracer(trace.NoOpTracer):
    def __init__(self) -> None:
        self.spans: list[FakeSpan] = []

    def start_span(self, name: str, context: Any = None, start_time: int | None = None, **options: Any) -> FakeSpan:
        self.spans.append(FakeSpan(name, trace.get_current_span(context).get_span_context(), start_time))
        return self.spans[-1]

    def start_as_current_span(self, name: str, context: Any = None, **options: Any) -> Any:  # type: ignore[override]
        return trace.use_span(self.start_span(name, context), end_on_exit=True)


class FakeProvider(trace.NoOpTracerProvider):
    def __init__(self) -> None:
        self.tracer = FakeTracer()

    def get_tracer(self, *names: Any, **options: Any) -> FakeTracer:
        return self.tracer


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> FakeTracer:
    provider = FakeProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return provider.tracer


def test_a_request_is_a_span_under_the_client_s_trace_and_its_stages_under_it(tracer: FakeTracer) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with tracing.trace_request("POST /predict/tiny", {"traceparent": parent}, {}) as span:
        span.set_attribute("http.response.status_code", 200)
        tracing.trace_stages(0.001, 0.002, 0.003)
    request, decode, queue, infer = tracer.spans
    trace_id = int("0af7651916cd43dd8448eb211c80319c", 16)
    assert {span.get_span_context().trace_id for span in tracer.spans} == {trace_id}
    assert (request.name, decode.name, queue.name, infer.name) == ("POST /predict/tiny", "decode", "queue", "infer")
    assert decode.ended == queue.start
    assert queue.ended == infer.start
    assert request.ended


def test_without_a_provider_nothing_is_traced() -> None:
    with tracing.trace_request("GET /", {}, {}) as span:
        assert span is None
        tracing.trace_stages(0, 0, 0)
