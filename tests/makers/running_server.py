"""`convserve serve` in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.makers.sources import ROOT


class RunningServer:
    """A ready server; `wait_for` reads its log until a line matches. `cwd` is where the command is given: as by the
    console script, nothing is imported from there. `program` is another convserve than that of these sources.
    """

    def __init__(
        self,
        *flags: str,
        port: int = 0,
        python: Sequence[str] = (),
        program: Sequence[str | Path] = (),
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if cwd is not None:
            python = ("-P", *python)
        started = program or (sys.executable, *python, "-m", "app")
        command = [*started, "serve", "--port", str(port), *flags]
        ours = {} if cwd is None or program else {"PYTHONPATH": str(ROOT)}
        variables = {**os.environ, **ours, **(environment or {})}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cwd, env=variables)
        self.lines: list[str] = []
        self.port = int(self.wait_for(r"at https?://127\.0\.0\.1:(\d+)").group(1))
        self.wait_for(r'[ "]ready("\})?$')  # in text and in JSON

    def wait_for(self, pattern: str) -> re.Match[str]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(pattern, line.rstrip()):
                return match
        self.end()
        raise AssertionError(f"the server ended without saying {pattern}: {''.join(self.lines)}")

    def find(self, pattern: str) -> re.Match[str]:
        """In a line that was read already."""
        (found,) = [match for line in self.lines if (match := re.search(pattern, line))]
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and give back its exit status."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        self.lines.append(rest)
        return self.process.returncode

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def run_serve(*flags: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What became of a server that ends by itself."""
    variables = {**os.environ, **(environment or {})}
    command = [sys.executable, "-m", "app", "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables)
