"""The command convserve, also as python -m app. Its first act is to take the signals for a server: to be process 1 of a
container means to lose those that nobody takes, and the rest of the program takes its time to load.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command that the process was given; its exit status."""
    if sys.argv[1:2] == ["serve"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing was read yet that could be read again
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
    from app.cli.main import main as run  # takes a second

    return run()


def _end(number: int, frame: object) -> None:
    """Nothing was accepted yet, so there is nothing to finish. The server puts its drain in this one's place."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
