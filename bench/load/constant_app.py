"""The least that an HTTP answer costs in Python: raw ASGI, the body read, always the same bytes sent.

uvicorn bench.load.constant_app:app
"""

from __future__ import annotations

from typing import Any

BODY = b'{"predictions":[{"classes":[{"label":"constant","index":0,"probability":1.0}]}]}'
LABEL = "constant"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
