"""The repository on disk: which models and versions it holds.

Reads names only, never an artifact's content.
"""

from __future__ import annotations

import re
from pathlib import Path

from app.card import CARD_FILE, NAME_PATTERN
from app.errors import ArtifactError


def list_models(repository: Path) -> list[str]:
    """Names of the models in the repository, sorted. Hidden folders (artifacts being written) and files are
    passed over.

    Raises ArtifactError where there is no such folder.
    """
    try:
        return sorted(path.name for path in repository.iterdir() if path.is_dir() and re.match(NAME_PATTERN, path.name))
    except OSError as error:
        raise ArtifactError(
            f"the repository {repository} can't be read ({error.strerror}): fill it with convserve-export, "
            "or name another with --repository"
        ) from error


def list_versions(model_folder: Path) -> list[int]:
    """Versions of one model, oldest first."""
    try:
        return sorted(
            int(path.name)
            for path in model_folder.iterdir()
            if re.fullmatch(r"[1-9]\d{0,17}", path.name) and path.is_dir()
        )
    except FileNotFoundError:
        return []


def find_foreign_graph(model_folder: Path) -> Path | None:
    """A lone .onnx file that nobody brought in: in the model's folder or in a version of it that has no
    card.
    """
    for folder in (model_folder, *(model_folder / str(version) for version in list_versions(model_folder))):
        if not (folder / CARD_FILE).exists():
            for path in sorted(folder.glob("*.onnx")):
                return path
    return None


def choose_versions(available: list[int], wanted: str) -> list[int]:
    """Those of the available versions that the setting `versions` (latest, all or 1,3) asks for."""
    if wanted == "all":
        return available
    if wanted == "latest":
        return available[-1:]
    return [version for version in available if version in {int(number) for number in wanted.split(",")}]


def explain_foreign(path: Path, repository: Path) -> str:
    """Why a lone .onnx isn't served, with the one command that brings it in."""
    return (
        f"{path.relative_to(repository)} has no {CARD_FILE}: bring it in with: "
        f"convserve-export adopt {path} --repository {repository}"
    )
