"""The JSON documents that convserve writes (card.json, run.json): their format's number, and how one is read.

Knows no document's fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artifact.errors import ArtifactError
from artifact.json import read_json

Probability = Annotated[float, Field(ge=0, le=1)]

FORMAT: Literal[3] = 3
"""The format that is written. Formats 1 (cards list no files) and 2 (crops are rounded otherwise) are read, too."""


class Part(BaseModel):
    """A part of a document. Frozen; an unknown field is an error, so that a card isn't served half understood."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Document(Part):
    """A JSON file of ours; its format is the first key."""

    format: Literal[1, 2, 3] = FORMAT


AnyDocument = TypeVar("AnyDocument", bound=Document)


def read_document(kind: type[AnyDocument], path: Path, title: str) -> AnyDocument:
    """The document in a file; `title` says what it should be.

    Raises FileNotFoundError, and as `parse_document` does.
    """
    return parse_document(kind, path.read_bytes(), path.name, title)


def parse_document(kind: type[AnyDocument], data: bytes, name: str, title: str) -> AnyDocument:
    """The document in the content of the file `name`.

    Raises ArtifactError where a newer convserve wrote it, or naming the first field that is wrong.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        if (written := _read_format(data)) > FORMAT:
            raise ArtifactError(
                f"{name} has format {written}, this convserve reads formats up to {FORMAT}: it was written by a "
                "newer convserve: update this one"
            ) from error
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ArtifactError(f"{name} is not {title}: {where}: {first['msg']}") from error


def _read_format(data: bytes) -> int:
    """The number that a document gives itself; 0 where it gives none."""
    try:
        content = read_json(data)
    except ValueError:  # UnicodeDecodeError is one
        return 0
    written = content.get("format") if isinstance(content, dict) else None
    return written if isinstance(written, int) else 0
