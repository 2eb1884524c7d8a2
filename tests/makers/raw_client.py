"""A client that is a socket and nothing else: tests say every byte that it sends."""

from __future__ import annotations

import socket


def connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each piece is sent as it comes
    return client


def read_answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a Content-Length from a connection that may go on."""
    stream = client.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers["content-length"]))


def read_to_end(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while chunk := client.recv(65_536):
        found += chunk
    return found
