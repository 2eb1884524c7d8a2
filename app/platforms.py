"""What SageMaker and Vertex AI call settings, and which addresses they may choose. Knows nothing of the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SAGEMAKER_FOLDER = Path("/opt/ml/model")
"""Where SageMaker lays the files of a model, if it has any."""
SAGEMAKER_PORT = 8080

# Setting by variable. The first that is there overrides the others.
_VARIABLES = {
    "SAGEMAKER_BIND_TO_PORT": "port",
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
    "AIP_STORAGE_URI": "repository",
}
OWN_HEALTH_ROUTES = ("/health/live", "/health/ready", "/ping", "/v2/health/live", "/v2/health/ready")
OWN_ROUTES = (
    *("/aliases", "/docs", "/embed", "/explain", "/feedback", "/health", "/hf", "/invocations", "/metrics"),
    *("/models", "/openapi.json", "/ping", "/predict", "/predictions", "/shadows", "/v1/models", "/v2"),
    "/web",
)
"""Every address of the service is one of these, or below one, but for the page at /."""
_ROUTE = re.compile(r"(/[A-Za-z0-9._~:@-]+)+/?")


class Demand(NamedTuple):
    """What a platform asks of one setting."""

    value: str | int
    source: str
    """The variable or folder that says so."""


def read_demands(environment: Mapping[str, str]) -> dict[str, Demand]:
    """By setting, what the platform that started this process asks for; nothing on any other machine."""
    found: dict[str, Demand] = {}
    for variable, setting in _VARIABLES.items():
        if value := environment.get(variable, ""):
            found.setdefault(setting, Demand(value, variable))
    if _holds_anything(SAGEMAKER_FOLDER):
        folder = str(SAGEMAKER_FOLDER)
        found.setdefault("repository", Demand(folder, folder))
        found.setdefault("port", Demand(SAGEMAKER_PORT, folder))
    return found


def check_predict_route(route: str) -> str:
    """An address to predict at, without a slash at its end: /predict, or none of the service's. Raises ValueError."""
    route = _check_form(route)
    return route if route == "/predict" else _check_strange(route, "/predict")


def check_health_route(route: str) -> str:
    """An address that says whether the service is ready: one of its own that do, or none of its. Raises ValueError."""
    route = _check_form(route)
    return route if is_own_health_route(route) else _check_strange(route, ", ".join(OWN_HEALTH_ROUTES))


def is_own_health_route(route: str) -> bool:
    """Whether every service has it, whatever the settings are."""
    return route in OWN_HEALTH_ROUTES


def is_own(route: str) -> bool:
    """Whether an address is one of the service's, or may be."""
    return route == "/" or any(route == own or route.startswith(f"{own}/") for own in OWN_ROUTES)


def _check_form(route: str) -> str:
    if not _ROUTE.fullmatch(route):
        raise ValueError("a route is a path of letters, digits and -._~:@ between slashes, such as /my/predict")
    return route.rstrip("/")


def _check_strange(route: str, allowed: str) -> str:
    if is_own(route):
        raise ValueError(f"the service already uses {route}: take {allowed}, or an address of your own")
    return route


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
