"""Writing an artifact into a repository: all of it, under a name that appears in one step, or nothing.

A version is made in a hidden folder of the repository, proved there from the bytes that were written, and renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artifact.card import Head, ModelCard, Provenance, read_card
from artifact.errors import ArtifactError
from artifact.image_policy import ImagePolicy
from artifact.layout import CARD_FILE, LABELS_FILE, TRITON_FILE, labels_txt, list_versions, triton_config
from artifact.stores.index import INDEX_FILE, write_index
from export.errors import PublishError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Draft:
    """The next version of a model while it is made: nobody sees it, and it is gone in the end unless published."""

    repository: Path
    name: str
    folder: Path
    """What becomes the version's folder."""
    scratch: Path
    """For files that aren't published."""


@contextlib.contextmanager
def open_draft(repository: Path, name: str, provenance: Provenance) -> Iterator[Draft]:
    """A draft of the next version of `name`, to be filled and given to `publish`.

    Raises PublishError where the name exists with other labels or another input, or where the repository can't be
    written.
    """
    with _temporary_folder(repository, name) as folder:
        _refuse_another_model(repository / name, name, provenance.labels, provenance.image)
        draft = Draft(repository, name, folder / "model" / "1", folder / "scratch")
        with disk_refusals(repository):
            draft.folder.mkdir(parents=True)
            draft.scratch.mkdir()
        yield draft


def write_graph(path: Path, model: onnx.ModelProto, provenance: Provenance, head: Head) -> None:
    """Write a graph into its file, with metadata_props for people who open it alone: what is known before the proof.

    Nothing that is measured on the graph, no version and no hash: a file is proved once, and may be published under any
    number. Raises OSError where the disk refuses.
    """
    known = provenance.model_dump(
        mode="json", include={"network", "labels", "image", "preprocessing", "license"}, exclude_none=True
    )
    del model.metadata_props[:]
    for key, value in {**known, "head": head}.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    path.write_bytes(model.SerializeToString())


def publish(draft: Draft, card: ModelCard) -> Path:
    """Write the card, with the next free version in place of its own, move the draft into place, write the repository's
    index, and return the version's folder.

    Raises PublishError where the name was taken meanwhile by another model, or where the disk refuses.
    """
    home = draft.repository / draft.name
    with disk_refusals(draft.repository):
        _write_model_files(draft.folder.parent, card)
        while True:  # somebody may publish this number meanwhile: then the next, and only the card changes
            _refuse_another_model(home, draft.name, card.labels, card.image)
            version = max(list_versions(home), default=0) + 1
            numbered = card.model_copy(update={"version": version})
            _write_card(draft.folder, numbered)
            if _move_into_place(draft.folder, home, version):
                break
    try:
        write_index(draft.repository)
    except OSError as error:
        raise PublishError(
            f"{home / str(version)} is published, but {draft.repository / INDEX_FILE} can't be written "
            f"({error.strerror or error}): web servers need it; publish again once it can be"
        ) from error
    return home / str(version)


def check_writable(repository: Path) -> None:
    """Raise PublishError now rather than after long work, where nothing could be published into `repository`.

    Makes no repository yet.
    """
    there = next(path for path in (repository, *repository.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".tmp-probe-", dir=there):
            pass
    except OSError as error:
        raise PublishError(f"{repository}: {error.strerror or error}: nothing can be published there") from error


def check_place(repository: Path, name: str, provenance: Provenance, *, replace_config: bool) -> None:
    """Raise PublishError before the work where `name` is taken by another model, or by a configuration not ours."""
    _refuse_another_model(repository / name, name, provenance.labels, provenance.image)
    config = repository / name / TRITON_FILE
    if config.exists() and not replace_config and not _is_ours(config):
        raise PublishError(
            f"{config} was not written by convserve, and publishing replaces it: move it away, "
            "publish under another name with "
            "--name, or pass --replace-config"
        )


def _is_ours(config: Path) -> bool:
    """Whether a config.pbtxt says what we write, whatever its shapes and sizes."""
    pattern = re.escape(triton_config((1, 1, 1), 1, 1))
    return re.fullmatch(re.sub("1", r"\\d+", pattern), config.read_text(encoding="utf-8", errors="replace")) is not None


@contextlib.contextmanager
def disk_refusals(repository: Path) -> Iterator[None]:
    """A disk that is full or refuses becomes one line."""
    try:
        yield
    except OSError as error:
        raise PublishError(f"{repository}: {error.strerror or error}: nothing was published") from error


def renumber(folder: Path) -> Path:
    """A published version of which the number was taken meanwhile, under the next free one: only the card changes."""
    version = list_versions(folder.parent)[-1] + 1
    numbered = read_card(folder).model_copy(update={"version": version})
    folder = folder.rename(folder.with_name(str(version)))
    _write_card(folder, numbered)
    return folder


def refuse_another_model(
    name: str, version: int, there: ModelCard, labels: tuple[str, ...], image: ImagePolicy
) -> None:
    """Raise PublishError where the version that is there has other labels or another input."""
    for what, old, new in (("labels", there.labels, labels), ("input", there.image.shape, image.shape)):
        if old != new:
            raise PublishError(
                f"{name} version {version} has other {what} ({_short(old)}, not {_short(new)}): "
                "that is another model, publish it under another name with --name"
            )


def _refuse_another_model(home: Path, name: str, labels: tuple[str, ...], image: ImagePolicy) -> None:
    for version in reversed(list_versions(home)):
        try:
            there = read_card(home / str(version))
        except ArtifactError:
            continue  # a damaged version says nothing
        refuse_another_model(name, version, there, labels, image)
        return


def _short(values: tuple[object, ...]) -> str:
    shown = ", ".join(map(str, values[:3]))
    return f"{shown} ... {len(values)} in all" if len(values) > 3 else shown


def _write_card(folder: Path, card: ModelCard) -> None:
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _write_model_files(folder: Path, card: ModelCard) -> None:
    (folder / LABELS_FILE).write_text(labels_txt(card.labels), encoding="utf-8")
    (folder / TRITON_FILE).write_text(
        triton_config(card.image.shape, len(card.labels), card.max_batch), encoding="utf-8"
    )


def _move_into_place(written: Path, home: Path, version: int) -> bool:
    """Rename a whole model folder (its first version) or one version; False where somebody was faster."""
    if not home.exists():
        try:
            written.parent.rename(home)
        except OSError:
            if not home.exists():
                raise
            return False
        return True
    try:
        written.rename(home / str(version))
    except OSError:
        if not (home / str(version)).exists():
            raise
        return False
    for name in (LABELS_FILE, TRITON_FILE):
        os.replace(written.parent / name, home / name)
    return True


@contextlib.contextmanager
def _temporary_folder(repository: Path, name: str) -> Iterator[Path]:
    """A hidden folder beside the models (the same file system, so that renaming is one step), gone in the end.

    Raises PublishError where it can't be made.
    """
    with disk_refusals(repository):
        repository.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".tmp-{name}-", dir=repository))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
