"""Requests that are almost right: sound bodies of every form, then cut, flipped, spliced, mislabeled. Seeded."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np
from PIL import Image

from app.client.load.connection import Request

_BOUNDARY = "d1b2c3"


def sound_requests() -> list[Request]:
    """To a model `tiny` of 8x8 gray pixels: one request at least of every form that the service takes, all of them
    answered with 200.
    """
    images = _images()
    png = images["PNG"]
    plain = "/predict/tiny"
    texts = [base64.b64encode(image).decode() for image in images.values()]
    rows = np.arange(2 * 8 * 8, dtype=np.int64).reshape(2, 8, 8, 1)
    v2, as_json = "/v2/models/tiny/infer", {"Content-Type": "application/json"}
    return [
        *(Request(plain, image, {"Content-Type": f"image/{kind.lower()}"}) for kind, image in images.items()),
        Request(f"{plain}?top_k=2", png, {"Content-Type": "application/octet-stream"}),
        Request(plain, gzip.compress(png), {"Content-Type": "image/png", "Content-Encoding": "gzip"}),
        Request(plain, _form(list(images.values())), {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}),
        Request(plain, json.dumps({"images": texts}).encode(), as_json),
        Request(v2, _v2_json("UINT8", list(rows.shape), rows.tolist()), as_json),
        Request(v2, _v2_json("BYTES", [1], texts[:1]), as_json),
        _v2_binary(v2, "UINT8", list(rows.shape), rows.astype(np.uint8).tobytes()),
        _v2_binary(v2, "BYTES", [2, 1], b"".join(struct.pack("<I", len(png)) + png for _ in range(2))),
        Request("/v1/models/tiny:predict", json.dumps({"instances": [{"b64": texts[0]}]}).encode(), as_json),
    ]


def mutate(sound: list[Request], random: Random) -> Request:
    """A sound request with one to four faults."""
    request = random.choice(sound)
    for _ in range(random.randint(1, 4)):
        request = random.choice(_FAULTS)(request, sound, random)
    return request


Fault = Callable[[Request, list[Request], Random], Request]


def _truncate(request: Request, sound: list[Request], random: Random) -> Request:
    return replace(request, body=request.body[: random.randint(0, len(request.body))])


def _flip_bits(request: Request, sound: list[Request], random: Random) -> Request:
    body = bytearray(request.body)
    for _ in range(random.randint(1, 8) if body else 0):
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return replace(request, body=bytes(body))


def _cut_out(request: Request, sound: list[Request], random: Random) -> Request:
    start = random.randint(0, len(request.body))
    return replace(request, body=request.body[:start] + request.body[start + random.randint(1, 64) :])


def _insert(request: Request, sound: list[Request], random: Random) -> Request:
    start = random.randint(0, len(request.body))
    junk = random.choice(
        [random.randbytes(random.randint(1, 64)), b"[" * 2000, b"\0" * 3000, b"\xff\xff\xff\xff", b'"']
    )
    return replace(request, body=request.body[:start] + junk + request.body[start:])


def _splice(request: Request, sound: list[Request], random: Random) -> Request:
    other = random.choice(sound).body
    return replace(
        request, body=request.body[: random.randint(0, len(request.body))] + other[random.randint(0, len(other)) :]
    )


def _replace_number(request: Request, sound: list[Request], random: Random) -> Request:
    number = random.choice([b"-1", b"99999999999999999999", b"1e999", b"null", b"0", b"[[[]]]", b'"x"', b"true"])
    places = [place for place, byte in enumerate(request.body[:4000]) if 48 <= byte <= 57]
    if not places:
        return request
    place = random.choice(places)
    return replace(request, body=request.body[:place] + number + request.body[place + 1 :])


def _mislabel(request: Request, sound: list[Request], random: Random) -> Request:
    other = random.choice([*(other.headers for other in sound), {}, {"Content-Type": "text/plain"}])
    return replace(request, headers=other)


def _misencode(request: Request, sound: list[Request], random: Random) -> Request:
    encoding = random.choice(["gzip", "deflate", "br", "identity", "gzip, gzip"])
    body = random.choice([request.body, zlib.compress(request.body), gzip.compress(request.body)])
    return replace(request, body=body, headers={**request.headers, "Content-Encoding": encoding})


def _misstate_length(request: Request, sound: list[Request], random: Random) -> Request:
    length = random.choice(["0", "1", "-1", "99999999999", "x", str(random.randint(0, len(request.body)))])
    return replace(request, headers={**request.headers, "Inference-Header-Content-Length": length})


def _misdirect(request: Request, sound: list[Request], random: Random) -> Request:
    path = random.choice(
        [
            random.choice(sound).path,
            "/predict/tiny?top_k=-1",
            "/predict/tiny?version=99999999999999999999",
            "/predict/tiny?timeout_ms=0",
            "/predict/tiny?coverage=nan",
            "/predict/%2e%2e%2fetc",
            "/explain/tiny?class=3",
            "/v2/models/tiny/versions/0/infer",
            "/v2/repository/models/tiny/load",
        ]
    )
    return replace(request, path=path)


def _repeat(request: Request, sound: list[Request], random: Random) -> Request:
    """A part of the body many times more: scans, segments, chunks, blocks."""
    start = random.randint(0, len(request.body))
    part = request.body[start : start + random.randint(1, 300)]
    return replace(request, body=request.body[:start] + part * random.randint(2, 3000) + request.body[start:])


def _chunk(request: Request, sound: list[Request], random: Random) -> Request:
    return replace(request, chunked=True)


_FAULTS: list[Fault] = [
    *(_truncate, _flip_bits, _flip_bits, _cut_out, _insert, _repeat, _splice, _replace_number),
    *(_mislabel, _misencode, _misstate_length, _misdirect, _chunk),
]


def _images() -> dict[str, bytes]:
    picture = Image.effect_noise((24, 20), 80)
    found = {}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"):
        buffer = io.BytesIO()
        # A progressive JPEG has what a baseline one lacks: scans. The others pass options over that aren't theirs.
        (picture if kind != "WEBP" else picture.convert("RGB")).save(buffer, kind, progressive=True)
        found[kind] = buffer.getvalue()
    return found


def _form(images: list[bytes]) -> bytes:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{place}.png"\r\n\r\n'.encode()
        + image
        + b"\r\n"
        for place, image in enumerate(images)
    ]
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def _v2_json(datatype: str, shape: list[int], data: Sequence[object]) -> bytes:
    return json.dumps({"inputs": [{"name": "image", "datatype": datatype, "shape": shape, "data": data}]}).encode()


def _v2_binary(path: str, datatype: str, shape: list[int], data: bytes) -> Request:
    image = {"name": "image", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    outputs = [{"name": "probabilities", "parameters": {"classification": 3, "binary_data": True}}]
    head = json.dumps({"inputs": [image], "outputs": outputs}).encode()
    return Request(path, head + data, {"Inference-Header-Content-Length": str(len(head))})
