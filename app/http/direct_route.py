"""DirectRoute: a route whose function takes the raw request and reads from it what it needs.

FastAPI resolves a function's parameters and dependencies for each request, which takes longer than a tiny network. What
such a route takes is therefore described here, for /openapi.json only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.admission.options import Options, PredictOptions

MODEL: dict[str, Any] = {
    "name": "model",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "title": "Model"},
}
VERSION: dict[str, Any] = {
    "name": "version",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "title": "Version"},
}


class DirectRoute(APIRoute):
    """A route without FastAPI's checks: its function itself checks the key and the parameters."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself, without FastAPI's wrapper that resolves parameters and serializes answers."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def takes(body: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a direct route that needs a key to predict."""
    return {"security": [{"HTTPBearer": []}], "parameters": list(parameters), "requestBody": body}


def describe_options(options: type[Options]) -> list[dict[str, Any]]:
    """The query parameters of `options`, as OpenAPI describes them."""
    found = []
    for name, schema in options.model_json_schema()["properties"].items():
        del schema["default"]  # None: nothing was said
        found.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": schema,
                "description": schema["description"],
            }
        )
    return found


def read_version(request: Request) -> PredictOptions:
    """The options of an address that names at most a version, in its path. Raises InvalidParameter."""
    named = request.path_params.get("version")
    return PredictOptions() if named is None else PredictOptions.read({"version": named})
