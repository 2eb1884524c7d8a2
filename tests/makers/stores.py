"""Stand-ins for stores: a web server that can be held up or go away, the few calls of the hub that huggingface_hub
makes, and a store in this process.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from artifact.errors import StoreError
from artifact.stores.store import Entry, Files, Listing, group_files
from tests.makers.waiting import LONGEST_S


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class StandIn:
    """A server at one port, which can go away and come back. Halfway through a file whose path matches `held` it waits
    for `go_on`; one whose path matches `lost` it doesn't have.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.held = ""
        self.holding = threading.Event()
        self.go_on = threading.Event()
        self.lost = ""
        self._server: ThreadingHTTPServer | None = None
        self.open()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self.holding.clear()
        self.go_on.clear()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.command == "GET" and outer.lost and re.search(outer.lost, unquote(self.path)):
                    self.send_error(404)
                else:
                    outer.answer(self)

            do_HEAD = do_PUT = do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self.release()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def release(self) -> None:
        """Hold nothing up any more."""
        self.held = ""
        self.go_on.set()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def send(
        self, request: BaseHTTPRequestHandler, content: bytes, headers: Mapping[str, str], status: int = 200
    ) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        half = len(content) // 2 if self.held and re.search(self.held, unquote(request.path)) else len(content)
        request.wfile.write(content[:half])
        if half < len(content):
            request.wfile.flush()
            self.holding.set()
            assert self.go_on.wait(LONGEST_S)
            try:
                request.wfile.write(content[half:])
            except OSError:
                request.close_connection = True  # whoever read it was killed


class WebStandIn(StandIn):
    """A folder behind a plain web server; with `password` it asks for one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = ""
        super().__init__()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.password and self.password not in request.headers.get("Authorization", ""):
            request.send_error(401)
            return
        path = self.folder / request.path.lstrip("/")
        if not path.is_file():
            request.send_error(404)
            return
        self.send(request, path.read_bytes(), {"Last-Modified": request.date_time_string(path.stat().st_mtime)})


class HubStandIn(WebStandIn):
    """The hub, which holds one model, owner/digits: the folder as it is now is the head of its branch main."""

    @property
    def commit(self) -> str:
        names = sorted(f"{path}{path.stat().st_mtime_ns}" for path in self.folder.rglob("*"))
        return hashlib.sha1("".join(names).encode()).hexdigest()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if found := re.fullmatch(r"/owner/digits/resolve/\w+/(.*)", path):
            file = self.folder / found[1]
            if not file.is_file():
                self._refuse(request, "EntryNotFound")
                return
            content = file.read_bytes()
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.commit}
            self.send(request, content, headers)
        elif re.fullmatch(r"/api/models/owner/digits(/revision/main)?", path):
            files = sorted(path for path in self.folder.rglob("*") if path.is_file())
            siblings = [
                {
                    "rfilename": file.relative_to(self.folder).as_posix(),
                    "size": file.stat().st_size,
                    "blobId": hashlib.sha1(file.read_bytes()).hexdigest(),
                }
                for file in files
            ]
            answer = {"id": "owner/digits", "sha": self.commit, "siblings": siblings, "tags": [], "downloads": 0}
            content = json.dumps({**answer, "private": False, "likes": 0}).encode()
            self.send(request, content, {"Content-Type": "application/json"})
        else:
            self._refuse(request, "RevisionNotFound" if "/digits/revision/" in path else "RepoNotFound")

    def _refuse(self, request: BaseHTTPRequestHandler, code: str) -> None:
        request.send_response(404)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()


class FolderStore:
    """A WritableStore over a folder. It is `away` where the test says so, and remembers what was copied."""

    def __init__(self, folder: Path) -> None:
        self.address = "s3://stand-in/models"
        self.folder = folder
        self.away = False
        self.copied: list[str] = []

    def list(self) -> Listing:
        if self.away:
            raise StoreError(f"the repository {self.address} can't be reached")
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return group_files((path.relative_to(self.folder).as_posix(), _describe(path)) for path in files)

    def find(self, name: str, number: int, listed: Files, paths: Iterable[str]) -> Files:
        return {path: listed[path] for path in paths if path in listed}

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        if is_stopped():
            raise InterruptedError
        self.copied.append(path)
        target.write_bytes(self.read(path))

    def write(self, path: str, content: bytes | Path) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(content if isinstance(content, bytes) else content.read_bytes())

    def claim(self, path: str, content: bytes | Path) -> bool:
        if (self.folder / path).exists():
            return False
        self.write(path, content)
        return True


def _describe(path: Path) -> Entry:
    return Entry(path.stat().st_size, str(path.stat().st_mtime_ns))
