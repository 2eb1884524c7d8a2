"""Decoder: where encoded images leave the event loop for threads.

Pillow drops the GIL, so threads use all cores. An idle runner's thread decodes what it will run; all else waits in the
order of app.batching.fair_queue.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar

from app.batching.entry import resolve
from app.batching.fair_queue import DEFAULT_CLASS, FairQueue, QueueClass
from artifact.errors import ConvserveError, ImageTooLarge, UndecodableImage
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image, decode_small, is_small
from artifact.images.frame import Pixels
from artifact.images.limits import Limits

Encoded = bytes | str
"""The bytes of an image file, or their base64 text (a data: URL too)."""

# Up to here JSON is parsed, and base64 undone, about as soon as a thread has woken up.
_SMALL_TEXT = 16_384
# Files up to here are decoded within a few milliseconds, as a rule.
_QUICK_BYTES = 262_144

_STANDARD_ALPHABET = str.maketrans("-_", "+/")

T = TypeVar("T")


class _Job(Generic[T]):
    """Work that waits for a thread, for whoever awaits `future`, which is there until the work begins."""

    __slots__ = ("_context", "_loop", "_work", "future", "queue_class", "turn")

    def __init__(self, work: Callable[[], T], queue_class: QueueClass) -> None:
        self._work = work
        self._context = copy_context()  # so that what is logged there names the request
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.queue_class = queue_class
        self.turn = 0

    def run(self) -> None:
        """In a thread, unless nobody waits any more. Only once."""
        future = self.future
        del self.future  # whose exception will know, by its traceback, this frame and those that it was called by
        if future.cancelled():
            return
        try:
            result: T | Exception = self._context.run(self._work)
        except Exception as error:
            result = error
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve, future, result)
        del future, result


class Decoder:
    def __init__(self, threads: int, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._jobs: FairQueue[_Job[Any]] = FairQueue()
        self._lock = Lock()  # of the jobs

    def start(
        self,
        image: Encoded,
        policy: ImagePolicy,
        idle_threads: Executor | None = None,
        queue_class: QueueClass = DEFAULT_CLASS,
    ) -> Pixels | asyncio.Future[Pixels]:
        """uint8 [height, width, channels]: at once where that takes less than a thread's waking, from a thread
        otherwise: of a file that is no trouble, one of `idle_threads`, where there are any. The future raises what
        `decode_image` raises.
        """
        if (pixels := self._decode_small(image, policy)) is not None:
            return pixels
        job = _Job(partial(self._decode, image, policy), queue_class)
        future = job.future
        if idle_threads is None or len(image) > _QUICK_BYTES:
            self._queue(job)
        else:
            idle_threads.submit(job.run)
        return future

    def _queue(self, job: _Job[Any]) -> None:
        with self._lock:
            self._jobs.add(job)
        self._threads.submit(self._run_next)

    def _run_next(self) -> None:
        """In a thread: whichever job is first by now. There is one for each call."""
        with self._lock:
            job = self._jobs.take_first()
        job.run()

    def _decode(self, image: Encoded, policy: ImagePolicy) -> Pixels:
        return decode_image(to_bytes(image, self.limits), policy, self.limits)

    def _decode_small(self, image: Encoded, policy: ImagePolicy) -> Pixels | None:
        """What `decode_small` gives, of short texts too; None for one that isn't base64."""
        if isinstance(image, str):
            if len(image) > _SMALL_TEXT or not is_small(policy):
                return None
            try:
                image = to_bytes(image, self.limits)
            except ConvserveError:
                return None
        return decode_small(image, policy, self.limits)

    def set_threads(self, threads: int) -> None:
        """Use so many threads from now on; what was begun ends in those before."""
        before, self._threads = self._threads, ThreadPoolExecutor(threads, thread_name_prefix="decode")
        before.shutdown(wait=False)

    async def parse(self, body: bytes, parse: Callable[[bytes], T], queue_class: QueueClass = DEFAULT_CLASS) -> T:
        """`parse(body)`: at once for a short body, otherwise in a thread."""
        return parse(body) if len(body) <= _SMALL_TEXT else await self.call(lambda: parse(body), queue_class)

    async def call(self, function: Callable[[], T], queue_class: QueueClass = DEFAULT_CLASS) -> T:
        """Run other work in these threads."""
        job = _Job(function, queue_class)
        future = job.future
        self._queue(job)
        return await future

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for job in self._jobs.items:
                job.future.cancel()


def to_bytes(image: Encoded, limits: Limits) -> bytes:
    """The bytes of an image file.

    Raises UndecodableImage for broken base64, ImageTooLarge before decoding it.
    """
    if isinstance(image, bytes):
        return image
    text = image.partition(",")[2] if image[:5].lower() == "data:" else image
    if len(text) * 3 // 4 > limits.max_image_bytes + 2:
        raise ImageTooLarge(
            f"the image has about {len(text) * 3 // 4:,} bytes, the limit (max_image_bytes) is "
            f"{limits.max_image_bytes:,}: send a smaller one or raise the limit"
        )
    try:
        # Line breaks are common (the base64 command wraps at 76) and harmless, so are the alphabet for addresses and
        # missing padding; anything else foreign is an error.
        plain = "".join(text.split()).translate(_STANDARD_ALPHABET).rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableImage(
            f"the text beginning {text[:20]!r} is not base64 ({error}): encode the bytes of the image file"
        ) from error
