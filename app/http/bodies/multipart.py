"""multipart/form-data to images, part by part as it streams in, in memory and within limits.

The parser is the package `multipart`, which gives the same parts of a body however it is cut into pieces: starlette's
form() spools large files to disk and has no limit on the bytes of a file.
"""

from __future__ import annotations

from collections.abc import Collection

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.errors import BadForm, too_many_images
from app.http.bodies.content_type import holds_image
from artifact.errors import ImageTooLarge

# Of one line of a part's header: names of files may be long.
_MOST_HEADER_BYTES = 16_384
_MOST_HEADERS = 32
_MOST_PARTS = 1_000
_MOST_OPTION_BYTES = 256


class FormReader:
    """Collects the images of one form, in order, and the text fields that are options.

    A part is an image where it has a file name, or a type that says so. Other parts are passed over.
    """

    def __init__(self, content_type: str, max_images: int, max_image_bytes: int, options: Collection[str] = ()) -> None:
        self._max_images = max_images
        self._max_image_bytes = max_image_bytes
        self._options = options
        self._images: list[bytearray] = []
        self._texts: dict[str, bytearray] = {}
        self._text: str | None = None
        """The option that the part at hand is."""
        self._is_image = False
        boundary = parse_options_header(content_type)[1].get("boundary")
        if not boundary:
            raise BadForm("the Content-Type has no boundary: let the client set it, as curl -F file=@image.jpg does")
        if len(boundary) > 70:
            raise BadForm(f"the form's boundary has {len(boundary)} characters, RFC 2046 allows 70")
        try:
            self._parser = PushMultipartParser(
                boundary,
                max_header_size=_MOST_HEADER_BYTES,
                max_header_count=_MOST_HEADERS,
                max_segment_count=_MOST_PARTS,
                header_charset="latin-1",  # whatever bytes a file name holds
            )
        except MultipartError as error:
            raise BadForm(f"the form's boundary can't be used: {error}") from error
        self._opening = b"\r\n--" + self._parser.boundary
        self._preamble: bytearray | None = bytearray(b"\r\n")
        """The end of what came before the first boundary, which says nothing; None behind it."""

    @property
    def options(self) -> dict[str, str]:
        """The text fields that are options, by name."""
        return {name: text.decode("utf-8", "replace") for name, text in self._texts.items()}

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BadForm, TooManyImages, ImageTooLarge at the byte that shows it."""
        if self._parser.closed:
            return  # what follows the last boundary says nothing
        if self._preamble is not None:
            chunk = self._skip_preamble(chunk)
        if not chunk:
            return  # to the parser it would be the end
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif event is not None:
                    self._add_data(event)
        except MultipartError as error:
            raise BadForm(f"the form can't be read: {error}") from self._forget(error)

    def finish(self) -> list[bytes]:
        """The images, after the last byte. Raises BadForm for a form that ends before its last boundary."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise BadForm("the form ends before its last boundary: send it again, whole") from self._forget(error)
        return [bytes(image) for image in self._images]

    def _forget(self, error: MultipartError) -> MultipartError:
        """The error alone: the parser keeps it, and its traceback leads to all that the form holds, and back."""
        self._parser.error = None
        return error.with_traceback(None)

    def _skip_preamble(self, chunk: bytes) -> bytes:
        """What begins with the first boundary: at the start, or of a line. The parser's own search takes what looks
        like it within a line for an error, but not where it comes in pieces.
        """
        assert self._preamble is not None
        if len(self._preamble) == 2 and chunk.startswith(self._opening[2:]):
            self._preamble = None
            return chunk
        self._preamble += chunk
        start = self._preamble.find(self._opening)
        if start < 0:
            del self._preamble[: -len(self._opening)]
            return b""
        found = bytes(self._preamble[start + 2 :])
        self._preamble = None
        return found

    def _begin_part(self, part: MultipartSegment) -> None:
        if any("\n" in value for _, value in part.headerlist):  # the parser sees it only where it comes in pieces
            raise BadForm("the form can't be read: a line of a part's header ends without a carriage return")
        self._text = None
        self._is_image = _is_file(part) or holds_image(part.content_type or "")
        if self._is_image:
            if len(self._images) >= self._max_images:
                raise too_many_images(self._max_images)
            self._images.append(bytearray())
        elif part.name in self._options:
            if part.name in self._texts:
                raise BadForm(f"the form has the field {part.name} twice: send it once")
            self._text = part.name
            self._texts[part.name] = bytearray()

    def _add_data(self, data: bytes | bytearray) -> None:
        if self._is_image:
            image = self._images[-1]
            if len(image) + len(data) > self._max_image_bytes:
                raise ImageTooLarge(
                    f"image {len(self._images)} has more than {self._max_image_bytes:,} bytes, the limit "
                    "(max_image_bytes): send a smaller one or raise the limit"
                )
            image += data
        elif self._text is not None:
            text = self._texts[self._text]
            if len(text) + len(data) > _MOST_OPTION_BYTES:
                raise BadForm(
                    f"the form field {self._text} has more than {_MOST_OPTION_BYTES} bytes: it is an option, images go "
                    "as files (curl -F file=@image.jpg)"
                )
            text += data


def _is_file(part: MultipartSegment) -> bool:
    """`filename*` (RFC 5987), which forms must not use and some clients do, isn't read by the parser."""
    return part.filename is not None or "filename*=" in str(part.header("Content-Disposition", "")).lower()
