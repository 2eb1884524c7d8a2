"""A server in a process of its own, without anything that only tests have: rented machines lack pytest."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Large networks are unpacked, loaded, warmed at every batch size and replayed within this.
_PATIENCE_S = 300.0
_END_S = 60.0


class ServerFailed(Exception):
    """A server that ended, or wasn't ready in time; with the end of its log."""


class Server:
    """`port` and `process` of a server that is ready; `lines` are its log so far."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.port = 0
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Raises ServerFailed."""
        end = time.monotonic() + _PATIENCE_S
        while not self._ready.wait(0.02):
            if self.process.poll() is not None or time.monotonic() > end:
                raise ServerFailed(f"the server isn't ready: {''.join(self.lines[-5:]).strip()[-600:]}")

    def end(self) -> None:
        """SIGTERM, and SIGKILL where that isn't enough; the log is read to its end."""
        self.process.terminate()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        """To the end: a full pipe would stop the server."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(r"at http://127\.0\.0\.1:(\d+)", line):
                self.port = int(match.group(1))
            if re.search(r"INFO (\d+ workers: all )?ready$", line.rstrip()):
                self._ready.set()


@contextmanager
def serving(*flags: str, module: Sequence[str] = ("app",)) -> Iterator[Server]:
    """`python -m <module> serve --port 0 <flags>`, ready. Raises ServerFailed."""
    server = Server([sys.executable, "-m", *module, "serve", "--port", "0", *flags])
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.end()
