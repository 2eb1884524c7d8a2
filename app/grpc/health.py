"""gRPC's own health protocol: what probes and balancing clients ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from app.admission.services import Services
from app.errors import UnknownService
from app.grpc.envelope import Call, Envelope
from app.grpc.messages import Message, fill, find_class
from app.grpc.protocol import HEALTH, INFERENCE
from artifact.errors import ConvserveError

# Seconds between checks of readiness for clients that watch it: there is no event to wait for.
_LOOK_S = 1.0
_SERVICES = ("", INFERENCE.name, HEALTH.name)


class Health:
    """The state of one server."""

    def __init__(self, services: Services, envelope: Envelope, draining: asyncio.Event) -> None:
        self._control = services.control
        self._patience_s = services.settings.body_timeout_s
        self._envelope = envelope
        self._draining = draining

    async def check(self, request: Message, call: Call) -> Message:
        """A HealthCheckResponse: SERVING where every process is ready. Raises UnknownService."""
        if request.service not in _SERVICES:
            raise UnknownService(f"there is no service {request.service[:80]!r}, only {INFERENCE.name}")
        return fill("HealthCheckResponse", {"status": await self._find_status(request.service)})

    async def watch(self, path: str, context: Any) -> None:
        """A HealthCheckResponse at once, and at every change until the server stops; `context` is grpc.aio's."""
        call, told = self._envelope.open(path, context), ""
        try:
            service = (await call.read(find_class("HealthCheckRequest"), self._patience_s)).service
        except ConvserveError as error:
            await self._envelope.turn_away(call, error)
        while not self._draining.is_set():
            if (status := await self._find_status(service)) != told:
                await context.write(fill("HealthCheckResponse", {"status": status}).SerializeToString())
                told = status
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._draining.wait()
        await context.write(fill("HealthCheckResponse", {"status": "NOT_SERVING"}).SerializeToString())

    async def _find_status(self, service: str) -> str:
        if service not in _SERVICES:
            return "SERVICE_UNKNOWN"
        ready = not self._draining.is_set() and not await self._control.explain_unready()
        return "SERVING" if ready else "NOT_SERVING"
