"""Whether a version's folder is complete, by its card. Both stages use it.

`find_missing` compares sizes only and is cheap; `check_files` also hashes every file that is served.
"""

from __future__ import annotations

from pathlib import Path

from artifact.card import ModelCard
from artifact.errors import ArtifactError
from artifact.files import ListedFile, always_needed, hash_file
from artifact.layout import MODEL_FILE, REPORT_FOLDER


def name_needed(card: ModelCard) -> list[str]:
    """The files without which a version can't be served, by path within its folder; report/ is for people."""
    listed = [name for name in card.files if not name.startswith(f"{REPORT_FOLDER}/")]
    return listed or list(always_needed(card.features))


def find_missing(folder: Path, card: ModelCard) -> list[str]:
    """The files that a version needs to be served and that are missing or have another size, in words for people.

    Empty if it is complete, judged by sizes. A card of format 1 has no sizes: only missing files are found then.
    """
    needed = name_needed(card)
    found = (_describe_missing(folder / name, card.files.get(name)) for name in needed)
    return [f"{name}{state}" for name, state in zip(needed, found, strict=True) if state is not None]


def _describe_missing(path: Path, listed: ListedFile | None) -> str | None:
    try:
        if not path.is_file():
            return ""
        size = path.stat().st_size
    except OSError as error:
        return f" ({error.strerror})"
    return f" ({size:,} of {listed.size:,} bytes)" if listed is not None and size != listed.size else None


def check_files(folder: Path, card: ModelCard) -> None:
    """Raise ArtifactError if a file that is served is missing, or differs from the card's size or sha256."""
    if missing := find_missing(folder, card):
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise ArtifactError(f"it is incomplete: missing {shown}: copy the folder again, or export the model again")
    # Format 1 knows the hash of model.onnx alone.
    for name in name_needed(card) if card.files else [MODEL_FILE]:
        expected = card.files[name].sha256 if card.files else card.sha256
        try:
            found = hash_file(folder / name)
        except OSError as error:
            raise ArtifactError(f"{name} can't be read ({error.strerror}): export the model again") from error
        if found != expected:
            raise ArtifactError(
                f"{name} is damaged or was replaced: its sha256 is {found[:12]}..., the card says "
                f"{expected[:12]}...: export the model again"
            )
