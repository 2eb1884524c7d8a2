"""Inflating what came compressed: whole, within the limit, and no more work than bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image

WHITE = gray_image(255)
EMPTY = gzip.compress(b"")
HALVES = gzip.compress(WHITE[:60]), gzip.compress(WHITE[60:])

GOOD = {
    "gzip": ("gzip", gzip.compress(WHITE)),
    "x-gzip": ("x-gzip", gzip.compress(WHITE)),
    "two members": ("gzip", b"".join(HALVES)),
    "a member a byte, between empty ones": ("gzip", EMPTY.join(gzip.compress(b"%c" % byte) for byte in WHITE)),
    "zeros behind it": ("gzip", gzip.compress(WHITE) + bytes(600)),
    "zeros between": ("x-gzip", bytes(9).join(HALVES)),
    "deflate": ("deflate", zlib.compress(WHITE)),
}
BAD = {
    "a second member cut off": ("gzip", b"".join(HALVES)[:-9], "is not the gzip"),
    "words behind it": ("gzip", gzip.compress(WHITE) + b"words", "is not the gzip"),
    "zlib behind it": ("gzip", gzip.compress(WHITE) + zlib.compress(WHITE), "is not the gzip"),
    "words behind deflate": ("deflate", zlib.compress(WHITE) + b"words", "is not the deflate"),
    "members without end": ("gzip", gzip.compress(b"") * 10_001, "more than 10,000 gzip members"),
}


def ask(client: TestClient, coding: str, body: bytes, piece: int) -> dict[str, object]:
    def pieces() -> Iterator[bytes]:
        yield from (body[start : start + piece] for start in range(0, len(body), piece))

    headers = {"Content-Encoding": coding, "Content-Type": "image/png"}
    answer: dict[str, object] = client.post("/predict/tiny", content=pieces(), headers=headers).json()
    return answer


@pytest.mark.parametrize("piece", [1, 1000, 1 << 20])
@pytest.mark.parametrize(("coding", "body"), GOOD.values(), ids=GOOD.keys())
def test_a_compressed_body_is_read_whole(client: TestClient, coding: str, body: bytes, piece: int) -> None:
    plain = client.post("/predict/tiny", content=WHITE, headers={"Content-Type": "image/png"}).json()
    assert ask(client, coding, body, piece)["predictions"] == plain["predictions"]


@pytest.mark.parametrize("piece", [1000, 1 << 20])
@pytest.mark.parametrize(("coding", "body", "words"), BAD.values(), ids=BAD.keys())
def test_a_damaged_one_says_so(client: TestClient, coding: str, body: bytes, words: str, piece: int) -> None:
    answer = ask(client, coding, body, piece)
    assert answer["status"] == 400
    assert words in str(answer["detail"])
