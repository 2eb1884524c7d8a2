"""A service of our own to load: `convserve serve` with a settings file, in a process of its own, at a free port of
loopback.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import urlopen

from app.child_process import find_ourselves, name_module

_START_S, _STOP_S, _ANSWER_S = 300.0, 20.0, 10.0
_LOOK_S = 0.02
_READY, _NOT_READY = 200, 503
_ADDRESS = re.compile(r" at http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
_WORKERS = re.compile(r"^convserve_workers (\d+)", re.MULTILINE)


class ServiceFailed(Exception):
    """A service that ended, refused its model or stands still. The message is one line."""


class Service:
    """A running service whose model is loaded. The environment's own settings don't count: the file says all."""

    def __init__(self, settings: str, model: str, folder: Path, cache_dir: Path) -> None:
        """Start it with these settings, as TOML, and wait until it is ready; `folder` gets the file and the log. Raises
        ServiceFailed, leaving nothing behind.
        """
        file, self._log, self._model = folder / "settings.toml", folder / "service.log", model
        file.write_text(settings, encoding="utf-8")
        words = ("serve", "--settings", str(file), "--host", "127.0.0.1", "--port", "0", "--drain-timeout-s", "1")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                name_module("app", *words, "--cache-dir", str(cache_dir)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=find_ourselves(kept),
                start_new_session=True,  # Ctrl-C at the terminal is ours: we end it
            )
        try:
            self.port = int(self._wait_for(self._find_port))
            self._wait_for(self._find_ready)
        except BaseException:
            self.stop()
            raise

    def describe(self) -> dict[str, Any]:
        """What it says of its model's version. Raises ServiceFailed where it was refused."""
        version = self._read_version()
        if version["state"] != "loaded":
            self._fail(version)
        return version

    def count_workers(self) -> int:
        """Processes that serve. Raises ServiceFailed where it doesn't answer."""
        _, metrics = self._get("/metrics")
        found = _WORKERS.search(metrics)
        return int(found.group(1)) if found else 1

    def check(self) -> None:
        """Raises ServiceFailed where it has ended."""
        if (status := self._process.poll()) is not None:
            raise ServiceFailed(f"convserve serve ended with status {status}: {self._last_line()}")

    def stop(self) -> None:
        """End it, with what it accepted or, where that takes too long, without."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its workers notice, and end
            self._process.wait()

    def _wait_for(self, find: Callable[[], str]) -> str:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if found := find():
                return found
            self.check()
            time.sleep(_LOOK_S)
        raise ServiceFailed(f"convserve serve isn't ready after {_START_S:.0f} s: {self._last_line()}")

    def _find_port(self) -> str:
        found = _ADDRESS.search(self._log.read_text(encoding="utf-8", errors="replace"))
        return found.group(1) if found else ""

    def _find_ready(self) -> str:
        try:
            status, said = self._get("/health/ready")
        except ServiceFailed:  # a worker that doesn't listen yet
            return ""
        if status == _READY:
            return said
        if status != _NOT_READY:
            raise ServiceFailed(f"convserve serve answers {status} at /health/ready")
        if (version := self._read_version())["state"] == "refused":
            self._fail(version)
        return ""

    def _fail(self, version: dict[str, Any]) -> NoReturn:
        raise ServiceFailed(version.get("reason") or f"{self._model} is {version['state']}")

    def _read_version(self) -> dict[str, Any]:
        """Of the first version of its model, or the model itself where none is known yet; "state" is there."""
        status, said = self._get(f"/models/{self._model}")
        if status != _READY:
            return {"state": "not known"}
        model: dict[str, Any] = json.loads(said)
        return dict((model["versions"] or [model])[0])

    def _get(self, path: str) -> tuple[int, str]:
        """Status and text. Raises ServiceFailed where there is no answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=_ANSWER_S) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:  # an answer, too
                return error.code, error.read().decode()
        except (OSError, HTTPException) as error:
            raise ServiceFailed(f"convserve serve gives no answer at {path}: {error}") from error

    def _last_line(self) -> str:
        lines = [
            line.strip()
            for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip()
        ]
        return lines[-1][:300] if lines else "it printed nothing"
