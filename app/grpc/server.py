"""GrpcServer: grpc.aio's server in the event loop of the HTTP server."""

from __future__ import annotations

import asyncio

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from app.admission.services import Services
from app.grpc.envelope import Envelope
from app.grpc.handlers import Handlers
from app.grpc.messages import POOL
from app.grpc.protocol import HEALTH, INFERENCE
from app.settings import Settings

POOL.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)  # which tells of itself, too

# Calls of one connection that the client may have under way; further ones wait there.
_CALLS = 1024


class GrpcServer:
    """Listens once it is bound, answers once it is started."""

    def __init__(self, services: Services, *, shared: bool) -> None:
        """`shared`: one of several processes that listen at grpc_port. To be made in the event loop."""
        settings = services.settings
        self._envelope = Envelope(services.journal)
        self._draining = asyncio.Event()
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", settings.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", _CALLS),
            ],
        )
        names = (INFERENCE.name, HEALTH.name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, POOL)
        self._server.add_generic_rpc_handlers([Handlers(services, self._envelope, self._draining)])
        self._settings = settings

    @property
    def unanswered(self) -> int:
        """Requests that are being answered."""
        return self._envelope.unanswered

    def bind(self) -> int:
        """Listen at grpc_port. Gives the port. Raises RuntimeError where it can't be had."""
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{host}:{settings.grpc_port}"
        if settings.ssl_certfile is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, _read_credentials(settings)))

    async def start(self) -> None:
        """Answer."""
        await self._server.start()

    async def close(self, patience_s: float) -> None:
        """Take no more calls, and finish what was accepted, within `patience_s`."""
        self._draining.set()
        await self._server.stop(patience_s)


def _read_credentials(settings: Settings) -> grpc.ServerCredentials:
    certificate = settings.ssl_certfile
    assert certificate is not None
    key = settings.ssl_keyfile or certificate
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
