"""Reads the small JSON object of a management request, after the key was checked. (FastAPI itself would read it without
a limit and before that check, and would ask for a Content-Type, which tritonclient doesn't send.)
"""

from __future__ import annotations

from typing import Any

from fastapi import Request

from app.errors import BadJson, RequestTooLarge
from app.http.bodies.json import parse_json
from app.http.bodies.stream import BodyLimit, read_body

_LIMIT = BodyLimit("request", "of management", 10_000, RequestTooLarge)


async def read_order(request: Request, shape: str) -> dict[str, Any]:
    """The object; an empty one where the body was left out. `shape` tells a sender of something else what to send."""
    body = await read_body(request, _LIMIT)
    if not body:
        return {}
    too_many = BadJson(f"the JSON has more keys than this request takes: {shape}")
    parsed = parse_json(body, shape, most_brackets=64, most_commas=64, too_many=too_many)
    if not isinstance(parsed, dict):
        raise BadJson(f"the JSON is not an object: {shape}")
    return parsed
