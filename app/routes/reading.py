"""Reading a request's body: inflated as it streams in, and refused at the first byte over the limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from starlette.requests import Request

from app.errors import BadRequest, RequestTooLarge, TooLarge, UnsupportedType


async def read_body(request: Request, limit: int, too_large: TooLarge) -> bytes:
    """The whole body, inflated. Raises `too_large` as soon as it has more than `limit` bytes."""
    chunks = [chunk async for chunk in stream_body(request, limit, too_large)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def stream_body(request: Request, limit: int, too_large: TooLarge) -> AsyncIterator[bytes]:
    """Inflated chunks of the body, together at most `limit` bytes.

    Raises `too_large` beyond them (at once where Content-Length says so), UnsupportedType for an unknown
    Content-Encoding, BadRequest for a damaged one.
    """
    inflater = _inflater(request)
    declared = request.headers.get("content-length", "")
    if inflater is None and declared.isdigit() and int(declared) > limit:
        raise too_large
    total = 0
    async for chunk in request.stream():
        for piece in inflater.inflate(chunk) if inflater else (chunk,):
            total += len(piece)
            if total > limit:
                raise too_large
            if piece:
                yield piece
    if inflater:
        inflater.check_complete()


def request_too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request has more than {limit:,} bytes, the limit (max_request_bytes): send less at once or "
        "raise the limit"
    )


class _Inflater:
    """Inflates in steps, so that a small body that unpacks to gigabytes is stopped at the limit."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        # 32 + 15: zlib or gzip, told by the header ("deflate" means zlib's format in HTTP).
        self._stream = zlib.decompressobj(32 + 15)

    def inflate(self, chunk: bytes, step: int = 1 << 16) -> Iterator[bytes]:
        try:
            while chunk and not self._stream.eof:
                yield self._stream.decompress(chunk, step)
                chunk = self._stream.unconsumed_tail
        except zlib.error as error:
            raise self._damaged() from error

    def check_complete(self) -> None:
        if not self._stream.eof:
            raise self._damaged()

    def _damaged(self) -> BadRequest:
        return BadRequest(f"the body is not the {self._encoding} that Content-Encoding says: compress it again")


def _inflater(request: Request) -> _Inflater | None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return None
    if encoding in ("gzip", "deflate"):
        return _Inflater(encoding)
    raise UnsupportedType(f"Content-Encoding {encoding[:40]!r} is not supported, only gzip and deflate")
