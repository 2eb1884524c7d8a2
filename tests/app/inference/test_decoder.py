"""Decoder: in which threads images are decoded."""

import asyncio
import base64
import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.batching.fair_queue import HIGHEST, NORMAL, get_queue_class
from app.inference.decoder import Decoder
from artifact.errors import UndecodableImage
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image
from artifact.images.limits import Limits
from tests.makers.artifacts import gray_image

POLICY = ImagePolicy(height=224, width=224, channels=3, fit="crop", resize="antialias")


class CountingThreads(ThreadPoolExecutor):
    """Counts what it was given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.given = 0

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        self.given += 1
        return super().submit(*arguments, **options)


def make_photo(side: int) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def decode(image: bytes, idle_threads: ThreadPoolExecutor | None) -> np.ndarray:
    async def scene() -> np.ndarray:
        decoder = Decoder(1, Limits())
        decoding = decoder.start(image, POLICY, idle_threads)
        assert isinstance(decoding, asyncio.Future)
        pixels = await decoding
        decoder.close()
        return pixels

    return asyncio.run(scene())


@pytest.mark.parametrize(("side", "given"), [(200, 1), (900, 0)])
def test_an_idle_runner_decodes_small_files_and_is_not_troubled_with_large_ones(side: int, given: int) -> None:
    image, idle_threads = make_photo(side), CountingThreads()
    assert np.array_equal(decode(image, idle_threads), decode_image(image, POLICY))
    assert idle_threads.given == given
    assert np.array_equal(decode(image, None), decode_image(image, POLICY))


def test_a_damaged_image_is_an_error_in_whatever_thread() -> None:
    damaged = make_photo(200)[:2000]
    for idle_threads in (None, CountingThreads()):
        with pytest.raises(UndecodableImage):
            decode(damaged, idle_threads)


def test_a_decoder_that_gets_neighbors_goes_on_with_its_part_of_the_threads() -> None:
    image = make_photo(600)

    async def scene() -> list[np.ndarray]:
        decoder = Decoder(4, Limits())
        before = decoder.start(image, POLICY)
        decoder.set_threads(1)
        after = [decoder.start(image, POLICY) for _ in range(3)]
        assert all(isinstance(decoding, asyncio.Future) for decoding in (before, *after))
        pixels = await asyncio.gather(before, *after)
        assert sum(thread.name.startswith("decode") for thread in threading.enumerate()) <= 2
        decoder.close()
        return pixels

    for pixels in asyncio.run(scene()):
        np.testing.assert_array_equal(pixels, decode_image(image, POLICY, Limits()))


def test_short_texts_of_small_images_are_decoded_at_once_and_long_ones_in_a_thread() -> None:
    policy = ImagePolicy(height=8, width=8, channels=1)
    small = gray_image(90)

    async def scene() -> None:
        decoder = Decoder(1, Limits())
        text = base64.b64encode(small).decode()
        for short in (text, f"data:image/png;base64,{text}"):
            assert np.array_equal(decoder.start(short, policy), decode_image(small, policy))
        decoding = decoder.start(text + "\n" * 20_000, policy)
        assert isinstance(decoding, asyncio.Future)
        assert np.array_equal(await decoding, decode_image(small, policy))
        decoder.close()

    asyncio.run(scene())


def test_a_short_text_that_is_no_base64_is_refused_like_a_long_one() -> None:
    async def scene() -> None:
        decoder = Decoder(1, Limits())
        for text in ("what?", "what?" * 10_000):
            decoding = decoder.start(text, POLICY)
            assert isinstance(decoding, asyncio.Future)
            with pytest.raises(UndecodableImage, match="is not base64"):
                await decoding
        decoder.close()

    asyncio.run(scene())


def test_long_bodies_are_parsed_in_a_thread_and_short_ones_at_once() -> None:
    async def scene() -> None:
        decoder = Decoder(1, Limits())
        names = [
            await decoder.parse(body, lambda _: threading.current_thread().name) for body in (b"[]", b" " * 20_000)
        ]
        assert names[0] == threading.current_thread().name
        assert names[1].startswith("decode")
        decoder.close()

    asyncio.run(scene())


def test_what_waits_for_a_thread_is_served_by_class_and_key() -> None:
    async def scene() -> None:
        decoder, gate, order = Decoder(1, Limits()), threading.Event(), list[str]()

        def wait() -> None:
            assert gate.wait(30)

        running = asyncio.create_task(decoder.call(wait))
        await asyncio.sleep(0)
        bulk = [
            asyncio.create_task(decoder.call(lambda: order.append("bulk"), get_queue_class(NORMAL, "bulk")))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        others = [
            asyncio.create_task(decoder.call(lambda: order.append("other"), get_queue_class(NORMAL, "other"))),
            asyncio.create_task(decoder.call(lambda: order.append("first"), get_queue_class(HIGHEST, "bulk"))),
        ]
        await asyncio.sleep(0)
        bulk[1].cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(running, *others, bulk[0], bulk[2])
        assert order == ["first", "other", "bulk", "bulk"]
        decoder.close()

    asyncio.run(scene())
