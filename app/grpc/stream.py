"""ModelStreamInfer: many requests by one call, one answer each, in their order."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from app.admission.services import Services
from app.errors import Draining
from app.grpc.envelope import Call, Envelope
from app.grpc.infer import infer
from app.grpc.messages import find_class, parse
from artifact.errors import ConvserveError

# Requests of one stream that are under way at once. The next one is left to HTTP/2, which makes the client wait.
_AT_ONCE = 32

_REQUEST, _RESPONSE = find_class("ModelInferRequest"), find_class("ModelStreamInferResponse")


class Streams:
    """The streams of one server."""

    def __init__(self, services: Services, envelope: Envelope, draining: asyncio.Event) -> None:
        """Once `draining` is set nothing more is read: what was read is answered, and the streams end."""
        self._services = services
        self._envelope = envelope
        self._draining = draining

    async def answer(self, path: str, context: Any) -> None:
        """Answer the calls of one stream in their order, until the client ends it or the server drains. `path` is the
        method's, `context` grpc.aio's ServicerContext. A key that isn't valid ends the stream with UNAUTHENTICATED.
        """
        stream = self._envelope.open(path, context)
        try:
            stream.exchange.key = self._services.keys.check_predict(stream.authorization)
        except ConvserveError as error:
            await self._envelope.turn_away(stream, error)
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_AT_ONCE)

        async def read() -> None:
            try:
                while (data := await context.read()) is not grpc.aio.EOF:
                    call = self._envelope.open(path, context)
                    call.exchange.key = stream.exchange.key
                    await answers.put(group.create_task(self._answer_one(call, data)))
            finally:
                await answers.put(None)

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            stopping = group.create_task(self._stop(reading))
            while (answer := await answers.get()) is not None:
                await context.write(await answer)
            stopping.cancel()
        if self._draining.is_set():
            await stream.refuse(Draining("the server is shutting down: open the stream again"))

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        await self._draining.wait()
        reading.cancel()

    async def _answer_one(self, call: Call, data: bytes) -> bytes:
        """A ModelStreamInferResponse, which is the place of its error, too."""
        request, response = _REQUEST(), _RESPONSE()
        try:
            with self._envelope.counted(call):
                request = parse(_REQUEST, data)
                response = _RESPONSE(infer_response=await infer(self._services, request, call))
        except ConvserveError as error:
            response.error_message = error.detail
            response.infer_response.id = request.id
            parameters = response.infer_response.parameters
            parameters["status"].int64_param = error.status
            parameters["code"].string_param = error.code
            parameters["request_id"].string_param = call.exchange.request_id
        response.infer_response.parameters["triton_final_response"].bool_param = True
        written: bytes = response.SerializeToString()
        return written
