"""What a Content-Type says of a body: one rule for requests, for parts of forms, and for the fast path."""

from __future__ import annotations

OCTETS = "application/octet-stream"
FORM = "multipart/form-data"
JSON = "application/json"
# Whatever they hold: an image, or its decoding says what it is.
_BYTES = (OCTETS, "binary/octet-stream", "application/x-image")


def read_kind(content_type: str) -> str:
    """The type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def holds_image(kind: str) -> bool:
    """Whether a body of this type is an image file itself."""
    return kind.startswith("image/") or kind in _BYTES
