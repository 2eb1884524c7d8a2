"""multipart/form-data to images, part by part as it streams in, in memory and within limits.

On python-multipart itself: starlette's form() spools large files to disk and has no limit on the bytes of a
file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadForm, too_many_images
from artifact.errors import ImageTooLarge


class FormReader:
    """Collects the file parts of one form, in order."""

    def __init__(self, content_type: str, *, max_images: int, max_image_bytes: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise BadForm("the Content-Type has no boundary: let the client set it, as curl -F file=@image.jpg does")
        self.max_images = max_images
        self.max_image_bytes = max_image_bytes
        self._images: list[bytearray] = []
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_content,
                    "on_part_data": self._add_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadForm(f"the form's boundary can't be used: {error}") from error

    async def read(self, chunks: AsyncIterator[bytes]) -> list[bytes]:
        """The images of the form. Raises BadForm, TooManyImages, ImageTooLarge at the byte that shows it."""
        async for chunk in chunks:
            self.feed(chunk)
        return self.finish()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises as `read` does."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadForm(f"the form can't be read: {error}") from error

    def finish(self) -> list[bytes]:
        """The images, after the last byte. Raises BadForm for a form that goes on."""
        if not self._ended:
            raise BadForm("the form ends before its last boundary: send it again, whole")
        return [bytes(image) for image in self._images]

    def _begin_part(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _begin_content(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"filename" not in options:
            field = options.get(b"name", b"").decode("latin-1")
            raise BadForm(
                f"the form field {field[:40]!r} is no file: send images as files (curl -F file=@image.jpg), "
                "options in the address (?top_k=3)"
            )
        if len(self._images) >= self.max_images:
            raise too_many_images(self.max_images)
        self._images.append(bytearray())

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        image = self._images[-1]
        if len(image) + end - start > self.max_image_bytes:
            raise ImageTooLarge(
                f"image {len(self._images)} has more than {self.max_image_bytes:,} bytes, the limit "
                "(max_image_bytes): send a smaller one or raise the limit"
            )
        image += data[start:end]

    def _end(self) -> None:
        self._ended = True
