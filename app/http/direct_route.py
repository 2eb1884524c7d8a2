"""DirectRoute: an address whose function takes the request as it is, and reads from it what it needs.

FastAPI works out the parameters and dependencies of a function anew for each request, which takes longer than a tiny
network. It is told here what such an address takes, for /openapi.json alone.
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
    """Nothing is checked before its function is called, neither a key nor a parameter."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself: FastAPI wraps it in what solves parameters and writes answers."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def takes(body: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a direct route that needs a key to predict."""
    return {"security": [{"HTTPBearer": []}], "parameters": list(parameters), "requestBody": body}


def describe_options(options: type[Options]) -> list[dict[str, Any]]:
    """The parameters behind the question mark of an address."""
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
