"""Finds the folder of a version for commands that load it themselves instead of asking a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.catalog.mirror import fill
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import list_models, list_versions


def find_version(settings: Settings, model: str, version: int | None = None, *, beside: Sequence[str] = ()) -> Path:
    """The folder of a model's `version`, by default the newest. If the repository is a store, the version is copied
    first, as are the versions of those models of `beside` that exist. Raises ArtifactError if there is no such model.
    """
    only = {"load": [model, *beside], **({"versions": str(version)} if version else {})}
    fill(settings.model_copy(update=only))
    versions = list_versions(settings.folder / model)
    if not versions:
        there = ", ".join(list_models(settings.folder)) or "none"
        raise ArtifactError(f"{settings.repository} has no model {model!r}; there are: {there}")
    return settings.folder / model / str(version or max(versions))
