"""Parses JSON from clients, within limits on its commas and brackets, and writes JSON."""

from __future__ import annotations

import json
from typing import Any

from app.errors import BadJson
from artifact.errors import ConvserveError
from artifact.json import read_json


def parse_json(body: bytes, shape: str, *, most_brackets: int, most_commas: int, too_many: ConvserveError) -> Any:
    """The parsed body; `shape` tells a sender of something else what to send.

    A comma or bracket can cost a hundred times its size in memory, so a body with more of them than an
    honest one can have isn't parsed. Raises BadJson, or `too_many` for too many commas.
    """
    if body.count(b",") > most_commas:
        raise too_many
    if body.count(b"[") + body.count(b"{") > most_brackets:
        raise BadJson(f"the JSON is nested too deeply or has values that are not images: {shape}")
    try:
        return read_json(body)
    except ValueError as error:
        raise BadJson(f"the body is not JSON ({str(error)[:200]}): {shape}") from error


def encode_json(body: Any) -> bytes:
    """UTF-8 as it is, without spaces."""
    # A lone surrogate, which JSON input can smuggle in, comes out as its \uXXXX escape again.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
