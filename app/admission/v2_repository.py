"""What the Open Inference Protocol v2 says of a repository, and what it may ask of one, whatever carries it."""

from __future__ import annotations

from collections.abc import Iterable

from app.catalog.catalog import Catalog
from app.errors import InvalidParameter

# Triton's words for our states.
_STATES = {
    "loaded": "READY",
    "loading": "LOADING",
    "arriving": "LOADING",
    "refused": "UNAVAILABLE",
    "unloaded": "UNAVAILABLE",
}


def list_repository(catalog: Catalog, only_ready: bool = False) -> list[dict[str, str]]:
    """Every model and version that was tried, with its state and the reason where it doesn't serve."""
    rows = [row for name in catalog.names() for row in _describe(catalog, name)]
    return [row for row in rows if row["state"] == "READY"] if only_ready else rows


def refuse_parameters(names: Iterable[str]) -> None:
    """Of a load or unload. Raises InvalidParameter for the first that would mean something."""
    if given := sorted(set(names) - {"unload_dependents"}):
        raise InvalidParameter(
            f"the parameter {given[0][:40]!r} is not supported: models are configured by their cards, the server by "
            "its settings"
        )


def _describe(catalog: Catalog, name: str) -> list[dict[str, str]]:
    versions = [
        {"name": name, "version": str(v.number), "state": _STATES[v.state], "reason": _reason(v.state, v.reason)}
        for v in catalog.versions(name)
    ]
    if versions:
        return versions
    return [{"name": name, "version": "", "state": "UNAVAILABLE", "reason": catalog.refusal(name)}]


def _reason(state: str, reason: str) -> str:
    return "unloaded" if state == "unloaded" else reason
