"""ImageReader: the bytes of the images that a list names, from files, web servers and buckets. Decodes nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import httpx2

from app.client.image_lists import scheme_of, split_address
from artifact.errors import InputError, StoreError
from artifact.lists.manifest import is_address
from artifact.stores.objects import open_objects

_THREADS = 8
_TIMEOUT_S = 20.0
_CONNECTIONS = 64


class UnreadableImage(Exception):
    """An image that can't be read; the text says why, without the image's name."""


class ImageReader:
    """Use it as an async context manager. Files are read in threads; all files that are asked for in the same turn of
    the event loop are read by one thread, since waking a thread takes as long as reading a small file.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="read")
        self._client: httpx2.AsyncClient | None = None
        self._asked: list[tuple[str, asyncio.Future[bytes]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            await self._client.aclose()

    async def read(self, name: str) -> bytes:
        """The bytes at a path or an address. Raises UnreadableImage."""
        if is_address(name) and scheme_of(name) in ("http", "https"):
            content = await self._fetch(name)
        else:
            content = await self._ask(name)
        if len(content) > self._max_bytes:
            raise UnreadableImage(
                f"has more than {self._max_bytes:,} bytes, the limit (max_image_bytes): use a smaller one, or set "
                "CONVSERVE_MAX_IMAGE_BYTES"
            )
        return content

    def _ask(self, name: str) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._start)
        self._asked.append((name, loop.create_future()))
        return self._asked[-1][1]

    def _start(self) -> None:
        asked, self._asked = self._asked, []

        def tell(done: asyncio.Future[list[bytes | Exception]]) -> None:
            if done.cancelled():  # the reader was closed before a thread came to it
                for _, future in asked:
                    future.cancel()
                return
            for (_, future), found in zip(asked, done.result(), strict=True):
                if future.done():  # nobody waits any more
                    continue
                if isinstance(found, bytes):
                    future.set_result(found)
                else:
                    future.set_exception(found)

        names = [name for name, _ in asked]
        asyncio.get_running_loop().run_in_executor(self._threads, self._read_all, names).add_done_callback(tell)

    def _read_all(self, names: list[str]) -> list[bytes | Exception]:
        """What each one's reading comes to, whatever that is: somebody waits for each."""
        found: list[bytes | Exception] = []
        for name in names:
            try:
                found.append(self._read(name))
            except Exception as error:
                found.append(error)
        return found

    def _read(self, name: str) -> bytes:
        try:
            if is_address(name):
                root, path = split_address(name)
                return open_objects(root).read(path, self._max_bytes)
            with open(name, "rb") as file:
                return file.read(self._max_bytes + 1)
        except OSError as error:
            raise UnreadableImage(f"can't be read: {error.strerror}") from error
        except StoreError as error:
            raise UnreadableImage(f"can't be read: {error.detail}") from error
        except (InputError, ValueError) as error:  # as open() says that a path has a null byte
            raise UnreadableImage(f"can't be read: {error}") from error

    async def _fetch(self, address: str) -> bytes:
        """The body at a web address; what is beyond the limit isn't waited for."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(_TIMEOUT_S, pool=None),
                limits=httpx2.Limits(max_connections=_CONNECTIONS),
                follow_redirects=True,
            )
        content = bytearray()
        try:
            async with self._client.stream("GET", address) as response:
                if not response.is_success:
                    raise UnreadableImage(f"can't be fetched: the server answered {response.status_code}")
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > self._max_bytes:
                        break
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise UnreadableImage(f"can't be fetched: {error or type(error).__name__}") from error
        return bytes(content)
