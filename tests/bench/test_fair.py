from collections.abc import Sequence

import pytest

from app.client.load.connection import Answer
from app.http.bodies.multipart import FormReader
from bench.fair import IMAGES, Call, Seen, read_stages, report, write_form
from tests.makers.artifacts import gray_image


def make_seen(
    ms: float, *, status: int = 200, bulk_wrong: int = 0, batches_ms: Sequence[float] = (8.0, 10.0, 12.0)
) -> Seen:
    stages = {"decode": 0.1, "queue": 1.0, "infer": 5.0, "total": ms}
    return Seen([Call(ms, status, stages)] * 10, bulk_wrong, 100.0, batches_ms)


def judge(own: Seen, first: Seen) -> int:
    situations = {
        "alone": make_seen(6.0, batches_ms=()),
        "with the bulk's key": make_seen(900.0),
        "with its own key": own,
        "with the highest class": first,
    }
    return report({"a network": situations})


def test_the_caller_may_wait_for_one_batch_and_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(make_seen(21.0), make_seen(20.0)) == 0
    assert "21.0 ok" in capsys.readouterr().out, "6 alone, 10 of a batch, 5 of a run"


@pytest.mark.parametrize(
    "own", [make_seen(21.1), make_seen(9.0, status=429), make_seen(9.0, bulk_wrong=1)], ids=["late", "wrong", "bulk"]
)
def test_what_is_late_or_wrong_fails(own: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(own, make_seen(9.0)) == 1
    assert capsys.readouterr().out.count("FAILED") == 1


def test_stages_are_read_from_the_answer() -> None:
    headers = {"server-timing": "decode;dur=0.10, queue;dur=2.00, infer;dur=7.25, total;dur=10.00"}
    assert read_stages(Answer(200, headers, b"")) == {"decode": 0.1, "queue": 2.0, "infer": 7.25, "total": 10.0}
    assert read_stages(Answer(429, {}, b"")) == {}


def test_the_bulk_senders_form_holds_that_many_images() -> None:
    image = gray_image(150)
    body, kind = write_form(image, "image/png", IMAGES)
    form = FormReader(kind, IMAGES, len(image), frozenset())
    form.feed(body)
    assert form.finish() == [image] * IMAGES
