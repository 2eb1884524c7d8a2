"""Decoder: decodes images, in threads where that would hold up the event loop.

Pillow releases the GIL, so threads use all cores. An idle runner's thread decodes what it will run; all else waits in
the order of app.batching.fair_queue.
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

# JSON and base64 up to this length are parsed in about the time that waking a thread takes.
_SMALL_TEXT = 16_384
# Files of up to this many bytes are decoded within a few milliseconds, as a rule.
_QUICK_BYTES = 262_144

_STANDARD_ALPHABET = str.maketrans("-_", "+/")

T = TypeVar("T")


class _Job(Generic[T]):
    """Work that waits for a thread. `future` gets its result or exception; the attribute is there until the work
    begins.
    """

    __slots__ = ("_context", "_loop", "_work", "future", "queue_class", "turn")

    def __init__(self, work: Callable[[], T], queue_class: QueueClass) -> None:
        self._work = work
        self._context = copy_context()  # so that what is logged there names the request
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.queue_class = queue_class
        self.turn = 0

    def run(self) -> None:
        """Do the work, in a thread, unless its future was canceled. Called once."""
        future = self.future
        del self.future  # its exception's traceback refers to this frame and its callers: no cycle
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
    """Decodes images, and does other long work, in `threads` threads of its own. Used in the event loop; the threads
    take the waiting work in the order of its queue classes.
    """

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
        """Decode an image to uint8 [height, width, channels], as `policy` has it. Returns the pixels themselves where
        decoding takes less time than waking a thread, otherwise a future of them.

        The work behind the future is done in one of `idle_threads`, where they are given and the file isn't large, and
        otherwise in the decoder's own threads. The future raises what `decode_image` and `to_bytes` raise.
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
        """In a thread: do whichever job is first now. Submitted once for each job."""
        with self._lock:
            job = self._jobs.take_first()
        job.run()

    def _decode(self, image: Encoded, policy: ImagePolicy) -> Pixels:
        return decode_image(to_bytes(image, self.limits), policy, self.limits)

    def _decode_small(self, image: Encoded, policy: ImagePolicy) -> Pixels | None:
        """What `decode_small` returns, for short base64 texts too; None for a text that isn't base64."""
        if isinstance(image, str):
            if len(image) > _SMALL_TEXT or not is_small(policy):
                return None
            try:
                image = to_bytes(image, self.limits)
            except ConvserveError:
                return None
        return decode_small(image, policy, self.limits)

    def set_threads(self, threads: int) -> None:
        """Use `threads` threads from now on; the previous ones finish what was given to them."""
        before, self._threads = self._threads, ThreadPoolExecutor(threads, thread_name_prefix="decode")
        before.shutdown(wait=False)

    async def parse(self, body: bytes, parse: Callable[[bytes], T], queue_class: QueueClass = DEFAULT_CLASS) -> T:
        """`parse(body)`: at once for a short body, otherwise in a thread. Raises what `parse` raises."""
        return parse(body) if len(body) <= _SMALL_TEXT else await self.call(lambda: parse(body), queue_class)

    async def call(self, function: Callable[[], T], queue_class: QueueClass = DEFAULT_CLASS) -> T:
        """Run `function` in one of the threads and return its result. Raises what it raises."""
        job = _Job(function, queue_class)
        future = job.future
        self._queue(job)
        return await future

    def close(self) -> None:
        """Cancel all work that waits; the threads end with the work that they have begun, which isn't waited for."""
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
