"""`convserve serve` that loses its device at SIGUSR2: `python -m bench.gpu.doomed_server INDEX serve ...`."""

from __future__ import annotations

import signal
import sys
import threading

from app.cli.main import main
from bench.gpu.driver import Driver


def _lose(index: int) -> None:
    print(f"lost the device: error {Driver(index).lose_device()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    gpu = int(sys.argv[1])
    # A thread: the loop must go on, and the driver's context is that of a thread.
    signal.signal(signal.SIGUSR2, lambda *_: threading.Thread(target=_lose, args=(gpu,)).start())
    sys.exit(main(sys.argv[2:]))
