"""The errors of artifacts and of encoded images. app/errors.py draws the whole tree, of which this is a part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


def near_miss(word: str, known: Iterable[str]) -> str:
    """For the end of a complaint about an unknown word: the nearest known one as a question, else nothing."""
    import difflib  # nobody who is right needs it

    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class InputError(Exception):
    """Words, or a list, that name no images; the text says what would."""


class ConvserveError(Exception):
    """A failure whose text is for the person who caused it: it names the value, the limit and the remedy."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}


class BadRequest(ConvserveError):
    status, code, title = 400, "bad_request", "Bad request"


class UndecodableImage(BadRequest):
    code, title = "undecodable_image", "The image can't be decoded"


class EmptyBody(BadRequest):
    code, title = "empty_body", "The request has no image"


class TooLarge(ConvserveError):
    status, code, title = 413, "too_large", "Too large"


class ImageTooLarge(TooLarge):
    code, title = "image_too_large", "The image has too many bytes"


class TooManyPixels(TooLarge):
    code, title = "too_many_pixels", "The image has too many pixels"


class TooManyParts(TooLarge):
    """More segments, chunks, blocks, strips or frames, or JPEG scans over more samples, than the limits allow."""

    code, title = "too_many_parts", "The image has too many parts"


class UnsupportedType(ConvserveError):
    status, code, title = 415, "unsupported_type", "Unsupported type"


class ArtifactError(ConvserveError):
    """A folder of the repository that can't be served, with the reason."""

    code, title = "artifact_refused", "The artifact was refused"


class StoreError(ArtifactError):
    """A store that can't be reached, or that refuses; not the fault of one artifact."""

    code, title = "store_unavailable", "The store is not available"


class NotWhole(ArtifactError):
    """A version whose files in a store are missing, or differ from its card."""

    code, title = "not_whole", "The version is incomplete"
