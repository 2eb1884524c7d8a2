"""What the fuzzer takes for a fault."""

import json

import pytest

from app.client.load.connection import Answer
from bench.fuzz import find_fault

ID = {"x-request-id": "1"}


def make_problem(status: int, said: int | None = None) -> Answer:
    return Answer(
        status, {"content-type": "application/problem+json", **ID}, json.dumps({"status": said or status}).encode()
    )


@pytest.mark.parametrize("answer", [Answer(200, ID, b"{}"), *map(make_problem, (400, 404, 413, 503, 504))])
def test_a_prediction_or_a_problem_is_no_fault(answer: Answer) -> None:
    assert not find_fault(answer)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(204, ID, b""), "status 204"),
        (Answer(307, ID, b""), "status 307"),
        (make_problem(500), "status 500"),
        (make_problem(501), "status 501"),
        (make_problem(404, 400), "another status"),
        (Answer(404, {"content-type": "text/html", **ID}, b""), "as text/html"),
        (Answer(200, {}, b"{}"), "no X-Request-ID"),
    ],
)
def test_anything_else_is_a_fault(answer: Answer, fault: str) -> None:
    assert fault in find_fault(answer)
