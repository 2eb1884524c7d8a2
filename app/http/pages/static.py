"""The page at / and its files: static, from this package, with headers that forbid every outside address."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parent.parent / "web"

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked again each time, answered 304 while unchanged
}


class WebFiles(StaticFiles):
    """The files of web/ with the page's headers."""

    def __init__(self) -> None:
        super().__init__(directory=WEB)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(n.lower().encode(), v.encode()) for n, v in PAGE_HEADERS.items()]
            await send(message)

        await super().__call__(scope, receive, send_with_headers)


@router.get("/")
async def index() -> FileResponse:
    return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)
