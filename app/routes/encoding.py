"""JSON as the service writes it: UTF-8 as it is, without spaces."""

from __future__ import annotations

import json
from typing import Any


def encode_json(body: Any) -> bytes:
    # A lone surrogate, which JSON input can smuggle in, comes out as its \uXXXX escape again.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
