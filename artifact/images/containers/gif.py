"""The blocks of a GIF (89a) up to its first image, which alone is kept."""

from __future__ import annotations

from artifact.images.contents import Contents, check_parts, damaged
from artifact.images.limits import Limits

_CONTROL = 0xF9  # says which color is transparent


def read_gif(data: bytes, limits: Limits) -> Contents:
    """The contents of a GIF file, without decoding it. Raises TooManyParts, UndecodableImage."""
    parts, control = 0, b""
    try:
        place = start = 13 + _table_bytes(data[10])
        while (introducer := data[place]) != ord(","):
            if introducer != ord("!"):
                raise damaged("GIF", len(data), "it has no image")
            end, parts = _skip_blocks(data, place + 2, parts, limits)
            if data[place + 1] == _CONTROL and data[place + 2] == 4:
                control = data[place : place + 7] + b"\0"
            place = end
        pixels = place + 11 + _table_bytes(data[place + 9])
        end, _ = _skip_blocks(data, pixels, parts, limits)
    except IndexError:
        raise damaged("GIF", len(data), "it ends early") from None
    return Contents("GIF", b"".join((data[:start], control, data[place:end], b";")))


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, place: int, parts: int, limits: Limits) -> tuple[int, int]:
    """The place behind the sub-blocks at `place`, and how many parts there are by then."""
    while size := data[place]:
        place += size + 1
        parts += 1
        if parts > limits.max_parts:
            break
    check_parts(parts + 1, "blocks", limits)
    return place + 1, parts + 1
