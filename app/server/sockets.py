"""The sockets that servers listen on."""

from __future__ import annotations

import socket


def open_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket at host:port; port 0 takes a free one. Raises OSError where it can't be had.

    A `shared` one is one of several at this port, among which the kernel spreads connections; it listens
    only once a server takes it, because connections to it would wait from then on.
    """
    family, _, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With its protocol named: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it every
    # answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, protocol or socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        if not shared:
            listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket, *, tls: bool, scheme: str = "http") -> str:
    """The address of a listening socket, to print."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
