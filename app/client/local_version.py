"""The folder of a version that a command works with itself, where no service is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.catalog.mirror import fill
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import list_models, list_versions


def find_version(settings: Settings, model: str, version: int | None = None, *, beside: Sequence[str] = ()) -> Path:
    """The newest version of a model, or the one asked for. From a repository which is no folder it is copied, and so
    are those of the models `beside` it that are there. Raises ArtifactError where there is no such model or version.
    """
    only = {"load": [model], **({"versions": str(version)} if version else {})}
    fill(settings.model_copy(update=only), beside)
    versions = list_versions(settings.folder / model)
    if not versions or (version and version not in versions):
        there = ", ".join(list_models(settings.folder)) or "none"
        asked = f"{model} version {version}" if version else f"model {model!r}"
        raise ArtifactError(f"{settings.repository} has no {asked}; there are: {there}")
    return settings.folder / model / str(version or max(versions))
