"""A version in a repository, by its name. Needs nothing of the export extra."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from artifact.card import ModelCard, read_card
from artifact.errors import ArtifactError
from artifact.layout import list_versions
from export.errors import DataError, UsageError


@dataclass(frozen=True)
class Published:
    """A version's folder and its card."""

    folder: Path
    card: ModelCard


def open_published(repository: Path, name: str) -> Published:
    """The newest version of `name`, or `name/version`. Raises UsageError naming what there is, DataError if damaged."""
    model, _, wanted = name.partition("/")
    versions = list_versions(repository / model)
    if not versions:
        there = sorted(entry.name for entry in repository.glob("[!.]*") if list_versions(entry))
        raise UsageError(f"{repository} has no model {model!r}: there are {', '.join(there) or 'none'}")
    version = versions[-1] if not wanted else int(wanted) if wanted.isdigit() else -1
    if version not in versions:
        raise UsageError(f"{model} has no version {wanted!r}: there are {', '.join(map(str, versions))}")
    folder = repository / model / str(version)
    try:
        return Published(folder, read_card(folder))
    except ArtifactError as error:
        raise DataError(str(error)) from error
