"""The command convserve, also as python -m app. It sets the signal handlers of a server before anything else: process 1
of a container never gets a signal without a handler, and the imports of the rest take a while.
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
