"""RootPath: serves the app below a path of a proxy, whether or not the proxy removes that path from requests."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """ASGI middleware that sets the scope's root_path to `root`."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app = app
        self._root = "/" + root.strip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path != self._root and not path.startswith(self._root + "/"):
                path = self._root + path  # ASGI wants the whole path, root_path included
            scope = {**scope, "root_path": self._root, "path": path}
        await self.app(scope, receive, send)
