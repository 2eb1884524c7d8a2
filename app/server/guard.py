"""Checks that the installed uvicorn has the private names which ServiceProtocol and DrainingServer use."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

SUPPORTED = "0.54"
"""The minor version that pyproject.toml names."""

# Methods that are called or overridden, with their parameters.
_METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "protocol": {
        "connection_made": ("self", "transport"),
        "connection_lost": ("self", "exc"),
        "data_received": ("self", "data"),
        "on_message_begin": ("self",),
        "on_header": ("self", "name", "value"),
        "on_headers_complete": ("self",),
        "on_body": ("self", "body"),
        "on_message_complete": ("self",),
        "on_response_complete": ("self",),
        "shutdown": ("self",),
        "_unset_keepalive_if_required": ("self",),
    },
    "flow": {"resume_reading": ("self",)},
    "server": {
        "handle_exit": ("self", "sig", "frame"),
        "capture_signals": ("self",),
        "startup": ("self", "sockets"),
        "shutdown": ("self", "sockets"),
        "_serve": ("self", "sockets"),
    },
}
# What their constructors set.
_ATTRIBUTES = {
    "protocol": ("connections", "cycle", "flow", "parser", "pipeline", "scope", "server_state", "timeout_keep_alive"),
    "cycle": ("body", "disconnected", "keep_alive", "message_event", "more_body", "response_complete"),
    "state": ("connections", "default_headers", "tasks", "total_requests"),
    "server": ("should_exit", "started"),
}
_CLASSES: dict[str, type] = {
    "protocol": HttpToolsProtocol,
    "cycle": RequestResponseCycle,
    "flow": FlowControl,
    "server": Server,
    "state": ServerState,
}


class UnsupportedServer(Exception):
    """uvicorn has renamed or removed a private name that this service uses."""


def check_uvicorn(classes: dict[str, type] | None = None) -> None:
    """Raises UnsupportedServer naming what has moved and the version that is supported."""
    if moved := ", ".join(_find_moved({**_CLASSES, **(classes or {})})):
        raise UnsupportedServer(
            f"uvicorn {version('uvicorn')} isn't supported, it has moved {moved}: install "
            f"'uvicorn>={SUPPORTED},<{_next_minor()}'"
        )


def _find_moved(classes: dict[str, type]) -> Iterator[str]:
    for kind, methods in _METHODS.items():
        for name, parameters in methods.items():
            method: Any = getattr(classes[kind], name, None)
            if method is None or tuple(inspect.signature(method).parameters) != parameters:
                yield f"{classes[kind].__name__}.{name}"
    for kind, names in _ATTRIBUTES.items():
        set_there = classes[kind].__init__.__code__.co_names  # type: ignore[misc]  # read, not called
        yield from (f"{classes[kind].__name__}.{name}" for name in names if name not in set_there)


def _next_minor() -> str:
    major, minor = SUPPORTED.split(".")
    return f"{major}.{int(minor) + 1}"
