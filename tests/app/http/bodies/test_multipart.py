"""Forms as clients write them: the same images and options, whole and byte by byte."""

from __future__ import annotations

import pytest

from app.errors import BadForm
from app.http.bodies.multipart import FormReader
from artifact.errors import ConvserveError, ImageTooLarge

NAME = b'Content-Disposition: form-data; name="file"'
FILE = NAME + b'; filename="a.png"\r\n'
DATA = b"\x89PNG\r\n--c\r\n\r\n--\r\n"  # what looks like boundaries and is none


def form(*parts: bytes, before: bytes = b"", end: bytes = b"--b--\r\n") -> bytes:
    return before + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


def text(name: bytes, value: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value


WHOLE = {
    "a file": form(FILE + b"\r\n" + DATA),
    "a type instead of a file name": form(NAME + b"\r\nContent-Type: image/png\r\n\r\n" + DATA),
    "octets instead of a file name": form(NAME + b"\r\ncontent-type: application/octet-stream\r\n\r\n" + DATA),
    "an empty file name": form(NAME + b'; filename=""\r\n\r\n' + DATA),
    "filename*": form(NAME + b"; filename*=UTF-8''a%20b.png\r\n\r\n" + DATA),
    "a file name in Latin-1": form(NAME + b'; filename="\xe4.png"\r\n\r\n' + DATA),
    "a file name with an escaped quote": form(NAME + b'; filename="a\\"b.png"\r\n\r\n' + DATA),
    "a text field before it": form(text(b"note", b"hello"), FILE + b"\r\n" + DATA),
    "a long text field behind it": form(FILE + b"\r\n" + DATA, text(b"note", b"x" * 10_000)),
    "text before the first boundary": form(FILE + b"\r\n" + DATA, before=b"This is a form.\r\n"),
    "an empty line before the first boundary": form(FILE + b"\r\n" + DATA, before=b"\r\n"),
    "an empty line and text before it": form(FILE + b"\r\n" + DATA, before=b"\r\nThis is a form.\r\n"),
    "a boundary within a line before it": form(FILE + b"\r\n" + DATA, before=b"x--b\r\n" + FILE + b"\r\n"),
    "text behind the last boundary": form(FILE + b"\r\n" + DATA, end=b"--b--\r\nThat was a form.\r\n"),
    "no line end behind the last boundary": form(FILE + b"\r\n" + DATA, end=b"--b--"),
    "a folded header": form(b'Content-Disposition: form-data;\r\n name="file";\r\n\tfilename="a"\r\n\r\n' + DATA),
    "a long header line": form(b"X-Note: " + b"x" * 9_000 + b"\r\n" + FILE + b"\r\n" + DATA),
}


def read(body: bytes, piece: int, max_images: int = 4, max_image_bytes: int = 1_000) -> FormReader:
    reader = FormReader("multipart/form-data; boundary=b", max_images, max_image_bytes, ("top_k", "coverage"))
    for start in range(0, len(body), piece):
        reader.feed(body[start : start + piece])
    return reader


@pytest.mark.parametrize("piece", [1 << 20, 1, 7])
@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE.keys())
def test_a_form_holds_the_same_image_however_it_is_cut(body: bytes, piece: int) -> None:
    assert read(body, piece).finish() == [DATA]


@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_text_fields_that_are_options_are_given_and_others_are_passed_over(piece: int) -> None:
    image = FILE + b"\r\n" + DATA
    reader = read(form(text(b"top_k", b"3"), image, text(b"user", b"me"), text(b"coverage", b"0.9")), piece)
    assert reader.finish() == [DATA]
    assert reader.options == {"top_k": "3", "coverage": "0.9"}


BROKEN = {
    "nothing": b"",
    "no boundary at all": b"hello",
    "no last boundary": form(FILE + b"\r\n" + DATA, end=b""),
    "cut within a header": form(FILE + b"\r\n" + DATA)[:30],
    "line feeds alone": form(FILE + b"\r\n" + DATA).replace(b"\r\n", b"\n"),
    "a line feed within a header": form(FILE.replace(b";", b"\n;", 1) + b"\r\n" + DATA),
    "no disposition": form(b"Content-Type: image/png\r\n\r\n" + DATA),
    "a header that is none": form(b"hello\r\n" + FILE + b"\r\n" + DATA),
    "a header of 20 kB": form(b"X-Note: " + b"x" * 20_000 + b"\r\n" + FILE + b"\r\n" + DATA),
    "a long option": form(text(b"top_k", b"3" * 300)),
    "a thousand parts": form(*[NAME + b"\r\n\r\nx"] * 1_001),
}


@pytest.mark.parametrize("piece", [1 << 20, 1])
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_form_is_refused_however_it_is_cut(body: bytes, piece: int) -> None:
    with pytest.raises(BadForm):
        read(body, piece).finish()


def test_limits_are_held_at_the_byte_that_shows_it() -> None:
    with pytest.raises(ImageTooLarge, match="image 1 has more than 10 bytes"):
        read(form(FILE + b"\r\n" + b"x" * 11), 1, max_image_bytes=10)
    with pytest.raises(ConvserveError, match="max_images"):
        read(form(*[FILE + b"\r\nx"] * 3), 1 << 20, max_images=2)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", f"a/b; boundary={'x' * 71}"])
def test_a_boundary_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(BadForm, match="boundary"):
        FormReader(kind, 1, 1)
