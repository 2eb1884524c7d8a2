"""Classifies many images by one service, several at once, and yields the answers in the order of the list."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from app.client.connect import RequestFailed, Service
from app.client.image_reader import UnreadableImage

# The images that may be under way are read in this many parts, each in one go by one thread.
_PARTS = 4

T = TypeVar("T")


async def classify_all(
    service: Service,
    model: str,
    images: Iterable[T],
    read: Callable[[T], Awaitable[bytes]],
    options: Mapping[str, int],
) -> AsyncIterator[tuple[T, dict[str, Any]]]:
    """Yield each image with its answer, the JSON of POST /predict. `read` gives an image's bytes or raises
    UnreadableImage. The answer of an image that failed is {"error": message}, with "status", the HTTP status, if the
    service refused it.
    """

    async def ask(image: T) -> dict[str, Any]:
        try:
            return await service.predict(model, await read(image), options)
        except UnreadableImage as error:
            return {"error": str(error)}
        except RequestFailed as error:
            return {"error": str(error), "status": error.status}

    waiting: deque[tuple[T, asyncio.Task[dict[str, Any]]]] = deque()
    left = iter(images)
    together = max(1, service.at_once // _PARTS)
    try:
        while True:
            room = service.at_once - len(waiting)
            more = islice(left, room if room >= together else 0)
            waiting.extend((image, asyncio.create_task(ask(image))) for image in more)
            if not waiting:
                return
            image, answer = waiting[0]
            yield image, await answer
            waiting.popleft()
    finally:
        for _, unwanted in waiting:
            unwanted.cancel()
        await asyncio.gather(*(unwanted for _, unwanted in waiting), return_exceptions=True)
