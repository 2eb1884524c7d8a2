"""What the commands print for people, on terminals and into pipes that know nothing but ASCII; how to end one."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from app.observe.logs import escape


def survive_any_encoding() -> None:
    """A character that the output has no code for is written as \\u2588 from now on, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def draw_bar(length: int) -> str:
    """As many blocks, or number signs where there are no blocks."""
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * length
    return "█" * length


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns. Control characters, which a service might send, are escaped."""
    printable = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*printable, strict=True)]
    for row in printable:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def end_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP (a closed terminal) raise KeyboardInterrupt in the main thread, as Ctrl-C does, so that
    cleanup runs. A context manager or a decorator.
    """
    # A signal that the parent process set to be ignored (nohup) stays ignored.
    asked = (signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
