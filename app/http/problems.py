"""Turns every error into a body of application/problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.admission.options import explain_invalid
from app.errors import InvalidParameter, MethodNotAllowed, Unavailable, UnknownPath
from app.http.bodies.json import encode_json
from app.http.services import exchange_of
from app.observe.logs import log_unexpected
from artifact.errors import BadRequest, ConvserveError

MEDIA_TYPE = "application/problem+json"


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ConvserveError, _answer_own)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)


def describe_problem(error: ConvserveError, *, instance: str, request_id: str) -> dict[str, Any]:
    """The body of an error as RFC 9457 has it, for application/problem+json. `instance` is the request's path. The
    member `error` repeats `detail`: clients of the v2 protocol read it there.
    """
    return {
        "type": f"urn:convserve:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "error": error.detail,
        "code": error.code,
        "request_id": request_id,
    }


def write_problem(error: ConvserveError, path: str, request_id: str) -> bytes:
    """The body that says `error`, about a request to `path`."""
    return encode_json(describe_problem(error, instance=path, request_id=request_id))


def problem_response(request: Request, error: ConvserveError) -> Response:
    exchange = exchange_of(request)
    exchange.code = error.code
    body = write_problem(error, exchange.path, exchange.request_id)
    return Response(body, error.status, error.headers, media_type=MEDIA_TYPE)


def unexpected_response(request: Request, error: Exception) -> Response:
    """The answer to an unexpected exception: the trace goes to the log, the client gets a problem with the request's
    id.
    """
    return problem_response(request, log_unexpected(error, exchange_of(request)))


async def _answer_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConvserveError)
    return problem_response(request, error)


async def _answer_http(request: Request, error: Exception) -> Response:
    """What starlette itself refuses: unknown paths, wrong methods, malformed requests."""
    assert isinstance(error, HTTPException)
    exchange = exchange_of(request)
    if error.status_code == 404:
        return problem_response(
            request, UnknownPath(f"unknown address {exchange.path[:200]}: /docs lists every address")
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        allowed = allowed.replace("GET", "GET, HEAD")
        detail = f"{exchange.method} is not allowed at {exchange.path[:200]}, only {allowed}"
        return problem_response(request, MethodNotAllowed(detail, headers={"Allow": allowed}))
    kind = BadRequest if error.status_code < 500 else Unavailable
    return problem_response(request, kind(str(error.detail)))


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, InvalidParameter(explain_invalid(error.errors()[0])))
