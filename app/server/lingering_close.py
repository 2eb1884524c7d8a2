"""LingeringClose: closing a connection whose client may still be sending, so that it reads the answer.

A socket that is closed with bytes unread is reset, and the client loses what was sent to it. So our side is closed
first, and what still comes is read and dropped, for a bounded time and up to a bounded number of bytes.
"""

from __future__ import annotations

import asyncio

# The bounds: seconds in all, seconds after which a client that sends nothing has nothing more to send, and bytes.
LONGEST_S = 10.0
QUIET_S = 1.0
MOST_BYTES = 64_000_000


class LingeringClose:
    """Used in place of a transport by whoever only writes and closes."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._end = 0.0  # by the loop's clock
        self._left = MOST_BYTES
        self._came = False  # anything since the timer was set

    @property
    def lingers(self) -> bool:
        """Whether our side is closed, and the client's isn't yet."""
        return self._timer is not None

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._timer is not None or self._transport.is_closing()

    def close(self) -> None:
        """Write nothing more; the connection is closed once the client has closed, is quiet, or has had its time."""
        if self.is_closing():
            return
        if not self._transport.can_write_eof():  # TLS: closing says it to the other side
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._end = self._loop.time() + LONGEST_S
        self._timer = self._loop.call_later(QUIET_S, self._look)

    def drop(self, data: bytes) -> None:
        """Drop what still came; too much of it closes the connection."""
        self._came = True
        self._left -= len(data)
        if self._left < 0:
            self._transport.close()

    def end(self) -> None:
        """The connection is closed: cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if not self._came or self._loop.time() > self._end:
            self._transport.close()
            return
        self._came = False
        self._timer = self._loop.call_later(QUIET_S, self._look)
