"""The segments of a JPEG (ITU-T T.81, annex B): its frame, its orientation, and how much its scans go over."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from artifact.errors import TooManyParts, UnsupportedType
from artifact.images.contents import Contents, check_parts, check_pixels, damaged
from artifact.images.limits import Limits
from artifact.images.metadata import UPRIGHT, find_orientation, read_exif

_JFIF, _APP1, _ADOBE, _SCAN, _END = 0xE0, 0xE1, 0xEE, 0xDA, 0xD9
_TABLES = frozenset((0xC4, 0xCC, 0xDB, 0xDD))  # Huffman, arithmetic and quantization tables, restart interval
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset((0xC0, 0xC1))
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_BEHIND_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a stuffed zero and a restart belong to the scan
_ADOBE_TO_TRANSFORM = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
_WHOLE_SPECTRUM = b"\0\x3f\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PLAIN_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
# A scan of few samples still has to set up its tables, which costs about as much as this many samples.
LEAST_SCANNED = 16_384


class Frame(NamedTuple):
    kind: int
    """Its marker."""
    width: int
    height: int
    components: bytes
    """Three bytes each: number, sampling, table."""


def read_jpeg(data: bytes, limits: Limits) -> Contents:
    """The contents of a JPEG file, without decoding it. Raises TooManyPixels, TooManyParts, UnsupportedType,
    UndecodableImage.
    """
    size, most, place, run, parts, frame = len(data), limits.max_parts, 2, 0, 0, None
    kept: list[bytes] = []  # what stands before `run`, where everything that stays begins that isn't in here
    exif = xmp = adobe = b""
    try:
        while True:
            start, marker, length = _SEGMENT.unpack_from(data, place)
            end = place + 2 + length
            parts += 1
            if parts > most:
                check_parts(parts, "segments", limits)
            if marker in _TABLES and start == 0xFF:
                place = end
                continue
            if start != 0xFF or marker in (0, 0xFF):  # junk, or bytes that fill up
                behind = _MARKER.search(data, place)
                end = behind.start() if behind else size
            elif marker == _JFIF and data.startswith(b"JFIF\0\1", place + 4) and length >= 16:
                place = end
                continue
            elif marker in _FRAMES and frame is None:
                frame = _read_frame(data, place, end, limits)
                place = end
                continue
            elif marker == _SCAN and frame is not None and length >= 6 and end <= size:
                break
            elif marker == _JFIF and data.startswith(b"JFIF\0", place + 4):
                kept += (data[run:place], _PLAIN_JFIF)
                run = place
            elif marker == _ADOBE and data.startswith(b"Adobe", place + 4) and length >= 14:
                adobe = data[place:end]
            elif marker == _APP1 and data.startswith(b"Exif\0\0", place + 4):
                exif = exif or data[place + 4 : end]
            elif marker == _APP1 and data.startswith(_XMP, place + 4):
                xmp = xmp or data[place + 4 : end]
            elif marker in _FRAMES or marker in (_SCAN, _END):
                raise damaged("JPEG", size, f"marker 0x{marker:02x} out of place")
            kept.append(data[run:place])
            run = place = end
    except struct.error:
        raise damaged("JPEG", size, "it ends before its scan") from None
    scans, channels = _count_scans(data, place, frame, parts, limits), len(frame.components) // 3
    if adobe:  # it says what the components are; a transform that doesn't exist is the usual one
        transform = adobe[15] if adobe[15] <= 2 else channels // 2
        kept += (data[run:place], _ADOBE_TO_TRANSFORM, bytes((transform,)))
        run = place
    if frame.kind in _SEQUENTIAL and data[end - 3 : end] != _WHOLE_SPECTRUM:  # some cameras write nonsense here
        kept += (data[run : end - 3], _WHOLE_SPECTRUM)
        run = end
    orientation = find_orientation(read_exif(exif), xmp) if exif or xmp else UPRIGHT
    clean = b"".join((*kept, data[run:])) if kept else data
    is_plain = orientation == UPRIGHT and channels in (1, 3)
    return Contents("JPEG", clean, orientation, frame.width, frame.height, channels, scans, is_plain)


def pad_scans(data: bytes, padding: bytes) -> bytes:
    """The JPEG `data` with `padding` behind what each scan holds: where all of a scan is there, it changes no pixel."""
    pieces: list[bytes] = []
    run, place = 0, 2
    while place + 4 <= len(data) and data[place + 1] != _END:
        is_scan = data[place + 1] == _SCAN
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
        if is_scan:
            behind = _BEHIND_SCAN.search(data, place)
            place = behind.start() if behind else len(data)
            pieces += (data[run:place], padding)
            run = place
    return b"".join((*pieces, data[run:]))


def _read_frame(data: bytes, place: int, end: int, limits: Limits) -> Frame:
    depth, height, width, components = _FRAME.unpack_from(data, place + 4)
    if depth != 8:
        raise UnsupportedType(f"the JPEG has {depth} bits a channel, only 8 are supported: save it so")
    stop = place + 10 + 3 * components
    if not width or not height or not 1 <= components <= 4 or end < stop or stop > len(data):
        raise damaged("JPEG", len(data), f"a frame of {width}x{height} and {components} channels")
    check_pixels(width, height, limits)
    return Frame(data[place + 1], width, height, data[place + 10 : stop])


def _count_scans(data: bytes, place: int, frame: Frame, parts: int, limits: Limits) -> int:
    """How many scans there are from the first one on, which begins at `place`.

    Raises TooManyParts where they go over too many samples, UndecodableImage where a component is in none of them.
    """
    if frame.kind not in _PROGRESSIVE and 3 * data[place + 4] == len(frame.components):
        return 1  # all samples are in the first scan, and the decoder stops behind it
    numbers, factors = frame.components[::3], frame.components[1::3]
    sampling = {number: (factor >> 4) * (factor & 15) for number, factor in zip(numbers, factors, strict=True)}
    most = max(factor >> 4 for factor in factors) * max(factor & 15 for factor in factors)
    if 3 * len(sampling) != len(frame.components) or not most:
        raise damaged("JPEG", len(data), "its components can't be told apart")
    share = frame.width * frame.height / most
    scanned, scans, missing = 0.0, 0, set(sampling)
    found: tuple[int, int] | None = (place, parts)
    while found is not None:
        place, parts = found
        components = data[place + 5 : place + 5 + 2 * data[place + 4] : 2]
        missing.difference_update(components)
        scans += 1
        scanned += max(LEAST_SCANNED, share * sum(sampling.get(number, 0) for number in components))
        if scanned > limits.max_scanned:
            raise TooManyParts(
                f"the {scans:,} scans of the JPEG go over {scanned:,.0f} samples or more, the limit (max_scanned) is "
                f"{limits.max_scanned:,}: save it as a baseline JPEG or raise the limit"
            )
        found = _find_next_scan(data, place, limits, parts)
    if missing:
        raise damaged("JPEG", len(data), f"{len(missing)} of its {len(sampling)} components are missing")
    return scans


def _find_next_scan(data: bytes, place: int, limits: Limits, parts: int) -> tuple[int, int] | None:
    """Where the scan behind the one at `place` begins, and the segments counted up to it; None behind the last one."""
    while True:
        length = int.from_bytes(data[place + 2 : place + 4])
        behind = _BEHIND_SCAN.search(data, place + 2 + length)
        if behind is None:
            return None
        place, parts = behind.start(), parts + 1
        check_parts(parts, "segments", limits)
        if data[place + 1] == _SCAN and place + 5 < len(data):
            return place, parts
        if data[place + 1] in (_SCAN, _END):
            return None
