"""/openapi.json is true: schemathesis asks every address for what the document allows, and for what it forbids."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from app.admission.keys import hash_key
from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import make_artifact
from tests.makers.threaded_server import serve_in_thread

KEY = "a key for everything"
# No schema can say which bytes are an image, and 503 and 504 are honest answers: 500 is documented nowhere, so that
# the conformance of the status finds it.
LEFT_OUT = ("positive_data_acceptance", "not_a_server_error", "max_response_time")

# Too many images are 413, too many bytes as well: schemathesis knows no such refusal by itself.
REFUSALS = [400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429]
CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}})

# What allows nothing that could be forbidden: an address without a body, its parameters any text or none.
NOTHING_TO_FORBID = {
    "GET /aliases",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /models",
    "GET /models/{model}",
    "GET /ping",
    "GET /shadows",
    "GET /v1/models/{model}",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/stats",
    "GET /v2/models/{model}",
    "GET /v2/models/{model}/config",
    "GET /v2/models/{model}/ready",
    "GET /v2/models/{model}/stats",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("repository")
    make_artifact(repository, "lenet5")
    keys = [hash_key(KEY)]
    with serve_in_thread(Settings(repository=repository, api_keys=keys, admin_keys=keys)) as port:
        yield f"http://127.0.0.1:{port}"


def list_operations() -> list[Any]:
    document = create_app(Settings()).openapi()
    schema = schemathesis.openapi.from_dict(document, config=CONFIG)
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "forbidden"])
@pytest.mark.parametrize("operation", list_operations(), ids=lambda operation: operation.label)
def test_every_address_keeps_what_the_document_says(address: str, operation: Any, mode: GenerationMode) -> None:
    checks = [check for check in CHECKS.get_all() if check.__name__ not in LEFT_OUT]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def check(case: schemathesis.Case) -> None:
        case.headers["Authorization"] = f"Bearer {KEY}"
        if "model" in case.path_parameters and len(str(case.path_parameters["model"])) % 4:
            case.path_parameters["model"] = "lenet5"
        response = case.call(base_url=address)
        case.validate_response(response, checks=checks)

    nothing = mode is GenerationMode.NEGATIVE and operation.label in NOTHING_TO_FORBID
    with pytest.raises(Unsatisfiable) if nothing else nullcontext():
        check()


def test_every_address_with_nothing_to_forbid_is_one_of_the_document() -> None:
    assert {operation.label for operation in list_operations()} >= NOTHING_TO_FORBID


def test_every_status_that_the_service_gives_has_an_example() -> None:
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    body = answer["content"]["application/problem+json"]
                    assert body["example"]["status"] == int(status), (method, path)
