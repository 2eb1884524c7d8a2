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
    first, as are the versions of those models of `beside` that exist. Raises ArtifactError if there is no such model or
    version.
    """
    only = {"load": [model], **({"versions": str(version)} if version else {})}
    fill(settings.model_copy(update=only), beside)
    versions = list_versions(settings.folder / model)
    if not versions or (version and version not in versions):
        there = ", ".join(list_models(settings.folder)) or "none"
        asked = f"{model} version {version}" if version else f"model {model!r}"
        raise ArtifactError(f"{settings.repository} has no {asked}; there are: {there}")
    return settings.folder / model / str(version or max(versions))
