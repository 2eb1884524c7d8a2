"""Handlers: each path of a call to the function that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from app.admission.services import Services
from app.errors import UnknownCall
from app.grpc.calls import Plain, list_calls
from app.grpc.envelope import Call, Envelope
from app.grpc.health import Health
from app.grpc.messages import Message, find_class
from app.grpc.protocol import HEALTH, INFERENCE, Service
from app.grpc.stream import Streams
from artifact.errors import ConvserveError


def _refuse(call: Call) -> None:
    raise UnknownCall(
        f"unknown call {call.exchange.path[:200]}: this server has those of {INFERENCE.name}, except "
        "shared memory, tracing and log settings"
    )


async def _answer_nothing(request: Message, call: Call) -> Message:
    """Never asked: what every message is refused is refused before."""
    return request


_NOTHING = Plain(_answer_nothing, _refuse)

Stream = Callable[[str, Any], Awaitable[None]]
"""Answers a call to a path by what grpc.aio calls its context."""


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """What answers each path: where there is nothing else, what says so."""

    def __init__(self, services: Services, envelope: Envelope, draining: asyncio.Event) -> None:
        """Streams end once `draining` is set."""
        self._envelope = envelope
        self._patience_s = services.settings.body_timeout_s
        health = Health(services, envelope, draining)
        plain = {_path(INFERENCE, name): (INFERENCE.calls[name][0], how) for name, how in list_calls(services).items()}
        plain[_path(HEALTH, "Check")] = HEALTH.calls["Check"][0], Plain(health.check)
        streams: dict[str, Stream] = {
            _path(INFERENCE, "ModelStreamInfer"): Streams(services, envelope, draining).answer,
            _path(HEALTH, "Watch"): health.watch,
        }
        self._handlers = {path: self._handle(path, *found) for path, found in plain.items()}
        self._handlers |= {path: _handle_stream(path, answer) for path, answer in streams.items()}

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """As grpc calls it, before anything of the call but its head is read."""
        path = details.method
        return self._handlers.get(path) or self._handle(path, "ServerLiveRequest", _NOTHING)

    def _handle(self, path: str, request: str, plain: Plain) -> grpc.RpcMethodHandler:
        """One message in, one out. On the wire that is a stream with one message: so the head is seen before it."""
        kind = find_class(request)

        async def answer(_: object, context: Any) -> bytes:
            call = self._envelope.open(path, context)
            try:
                with self._envelope.counted(call):
                    if plain.check is not None:
                        plain.check(call)
                    message = await plain.answer(await call.read(kind, self._patience_s), call)
                    written: bytes = message.SerializeToString()
            except ConvserveError as error:
                await call.refuse(error)
            call.accept()
            return written

        return grpc.stream_unary_rpc_method_handler(answer)


def _handle_stream(path: str, answer: Stream) -> grpc.RpcMethodHandler:
    async def handle(_: object, context: Any) -> None:
        await answer(path, context)

    return grpc.stream_stream_rpc_method_handler(handle)


def _path(service: Service, call: str) -> str:
    return f"/{service.name}/{call}"
