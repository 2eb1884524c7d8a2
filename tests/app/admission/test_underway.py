import asyncio
from collections.abc import Callable

import pytest

from app.admission.underway import Image, ImageResult, SeveralUnderway
from app.batching.fair_queue import DEFAULT_CLASS
from app.batching.sliced_work import SlicedWork
from app.errors import Unexpected
from app.inference.attempt import Prediction
from artifact.errors import UndecodableImage

IMAGES = [bytes([number]) for number in range(20)]


class Request:
    request_id = "r-1"
    trace_id = ""


class Attempts:
    """What was begun, as attempts that end when a test says so."""

    def __init__(self) -> None:
        self.begun: list[Image] = []
        self.take: list[Callable[[Prediction | Exception], None]] = []
        self.abandoned = 0

    def begin(self, image: Image, take: Callable[[Prediction | Exception], None]) -> "Attempts":
        self.begun.append(image)
        self.take.append(take)
        return self

    def abandon(self) -> None:
        self.abandoned += 1


def set_out(attempts: Attempts, images: list[bytes]) -> tuple[SeveralUnderway, list[list[ImageResult]]]:
    told: list[list[ImageResult]] = []
    return SeveralUnderway(images, attempts.begin, told.append, SlicedWork(), DEFAULT_CLASS, Request()), told


def test_images_are_begun_eight_in_a_turn() -> None:
    async def check() -> None:
        attempts = Attempts()
        set_out(attempts, IMAGES)
        begun = []
        for _ in range(4):
            begun.append(len(attempts.begun))
            await asyncio.sleep(0)
        assert (begun, attempts.begun) == ([0, 8, 16, 20], IMAGES)

    asyncio.run(check())


def test_results_come_once_in_the_order_of_the_images() -> None:
    async def check() -> None:
        attempts = Attempts()
        _, told = set_out(attempts, IMAGES[:3])
        await asyncio.sleep(0)
        refusals = [UndecodableImage(f"the image {number} can't be decoded") for number in range(3)]
        for number in (2, 0):
            attempts.take[number](refusals[number])
        assert told == []
        attempts.take[1](refusals[1])
        assert told == [refusals]

    asyncio.run(check())


def test_what_is_abandoned_is_begun_no_further_and_told_to_nobody() -> None:
    async def check() -> None:
        attempts = Attempts()
        several, told = set_out(attempts, IMAGES)
        await asyncio.sleep(0)
        several.abandon()
        for _ in range(3):
            await asyncio.sleep(0)
        for take in attempts.take:
            take(UndecodableImage("too late"))
        assert (len(attempts.begun), attempts.abandoned, told) == (8, 8, [])

    asyncio.run(check())


def test_a_failure_that_nobody_foresaw_is_told_without_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        attempts = Attempts()
        _, told = set_out(attempts, IMAGES[:1])
        await asyncio.sleep(0)
        attempts.take[0](ZeroDivisionError("secret"))
        ((result,),) = told
        assert isinstance(result, Unexpected)
        assert "secret" not in result.detail

    asyncio.run(check())
    assert "secret" in caplog.text
