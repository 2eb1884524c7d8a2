"""The plain calls of the Open Inference Protocol: one message in, one out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from app.admission import v2
from app.admission.services import Services
from app.grpc.envelope import Call
from app.grpc.infer import infer, read_version
from app.grpc.messages import Message, fill
from artifact.errors import ConvserveError

Answer = Callable[[Message, Call], Awaitable[Message]]
Check = Callable[[Call], None]


class Plain(NamedTuple):
    """How one call is answered, and whom it is refused before the message is read."""

    answer: Answer
    check: Check | None = None


def list_calls(services: Services) -> dict[str, Plain]:
    """By the protocol's names."""
    catalog, control, keys = services.catalog, services.control, services.keys

    def check_predict(call: Call) -> None:
        call.exchange.key = keys.check_predict(call.authorization)

    def check_admin(call: Call) -> None:
        keys.check_admin(call.authorization)

    async def tell_live(request: Message, call: Call) -> Message:
        return fill("ServerLiveResponse", {"live": True})

    async def tell_ready(request: Message, call: Call) -> Message:
        return fill("ServerReadyResponse", {"ready": not await control.explain_unready()})

    async def tell_model_ready(request: Message, call: Call) -> Message:
        version, ready = read_version(request.version), True
        try:
            if version is None:
                services.admission.check(request.name)
            else:
                catalog.resolve(request.name, version)
        except ConvserveError:  # as Triton has it: asked so, no model is an answer
            ready = False
        return fill("ModelReadyResponse", {"ready": ready})

    async def describe_server(request: Message, call: Call) -> Message:
        return fill("ServerMetadataResponse", v2.describe_server())

    async def describe_model(request: Message, call: Call) -> Message:
        described = v2.describe_model(catalog, request.name, read_version(request.version))
        return fill("ModelMetadataResponse", described)

    async def configure_model(request: Message, call: Call) -> Message:
        model = catalog.resolve(request.name, read_version(request.version))
        return fill("ModelConfigResponse", {"config": v2.configure_model(model)})

    async def count_statistics(request: Message, call: Call) -> Message:
        models = v2.find_models(catalog, request.name, read_version(request.version))
        return fill("ModelStatisticsResponse", v2.count_statistics(models, await control.snapshot()))

    async def list_models(request: Message, call: Call) -> Message:
        return fill("RepositoryIndexResponse", {"models": v2.list_repository(catalog, request.ready)})

    async def load(request: Message, call: Call) -> Message:
        v2.refuse_parameters(request.parameters)
        await control.load(request.model_name)
        return fill("RepositoryModelLoadResponse", {})

    async def unload(request: Message, call: Call) -> Message:
        v2.refuse_parameters(request.parameters)
        await control.unload(request.model_name)
        return fill("RepositoryModelUnloadResponse", {})

    return {
        "ServerLive": Plain(tell_live),
        "ServerReady": Plain(tell_ready),
        "ModelReady": Plain(tell_model_ready),
        "ServerMetadata": Plain(describe_server),
        "ModelMetadata": Plain(describe_model),
        "ModelConfig": Plain(configure_model),
        "ModelStatistics": Plain(count_statistics),
        "ModelInfer": Plain(partial(infer, services), check_predict),
        "RepositoryIndex": Plain(list_models),
        "RepositoryModelLoad": Plain(load, check_admin),
        "RepositoryModelUnload": Plain(unload, check_admin),
    }
