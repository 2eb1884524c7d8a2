"""Writing an artifact into a repository: all of it, under a name that appears in one step, or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from artifact.card import ModelCard, read_card
from artifact.classifier import Classifier, write_classifier
from artifact.errors import ArtifactError
from artifact.golden import Golden, write_golden
from artifact.layout import (
    CARD_FILE,
    LABELS_FILE,
    MODEL_FILE,
    REPORT_FOLDER,
    TRITON_FILE,
    labels_txt,
    list_versions,
    triton_config,
)
from export.errors import PublishError


@dataclass(frozen=True)
class Contents:
    """Everything of a version but its number; `card` still has version 1 and an empty sha256."""

    card: ModelCard
    model: onnx.ModelProto
    golden: Golden
    classifier: Classifier | None
    report: Path | None


def publish(contents: Contents, repository: Path) -> Path:
    """Write the next version of `contents.card.name` and return its folder.

    Raises PublishError where the name exists with other labels or another input, or where the disk refuses.
    """
    name = contents.card.name
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with _temporary_folder(repository, name) as folder:
            home = repository / name
            _refuse_another_model(contents.card, home)
            while True:
                version = max(list_versions(home), default=0) + 1
                card = contents.card.model_copy(update={"version": version})
                written = folder / "model" / str(version)
                _write_version(written, card, contents)
                _write_model_files(folder / "model", card)
                if _move_into_place(written, home, version):
                    return home / str(version)
                shutil.rmtree(written)  # somebody published this number meanwhile: take the next
    except OSError as error:
        raise PublishError(f"{repository}: {error.strerror or error}: nothing was published") from error


def check_writable(repository: Path) -> None:
    """Raise PublishError now rather than after a long training, where nothing could be published into `repository`."""
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with _temporary_folder(repository, "probe"):
            pass
    except OSError as error:
        raise PublishError(f"{repository}: {error.strerror or error}: nothing can be published there") from error


def _refuse_another_model(card: ModelCard, home: Path) -> None:
    for version in reversed(list_versions(home)):
        try:
            there = read_card(home / str(version))
        except ArtifactError:
            continue  # a damaged version says nothing
        for what, old, new in (
            ("labels", there.labels, card.labels),
            ("input", there.image.shape, card.image.shape),
        ):
            if old != new:
                raise PublishError(
                    f"{card.name} version {version} has other {what} ({_short(old)}, not {_short(new)}): "
                    "that is another model, publish it under another name with --name"
                )
        return


def _short(values: tuple[object, ...]) -> str:
    shown = ", ".join(map(str, values[:3]))
    return f"{shown} ... {len(values)} in all" if len(values) > 3 else shown


def _write_version(folder: Path, card: ModelCard, contents: Contents) -> None:
    folder.mkdir(parents=True)
    model = contents.model
    del model.metadata_props[:]
    # For people who open the graph alone; the sha256 of the file can't stand inside it.
    model.metadata_props.add(key="card", value=card.model_dump_json(exclude={"sha256"}))
    data = model.SerializeToString()
    (folder / MODEL_FILE).write_bytes(data)
    card = card.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n")
    if contents.classifier is not None:
        write_classifier(folder, contents.classifier)
    write_golden(folder, contents.golden)
    if contents.report is not None:
        shutil.copytree(contents.report, folder / REPORT_FOLDER)


def _write_model_files(folder: Path, card: ModelCard) -> None:
    (folder / LABELS_FILE).write_text(labels_txt(card.labels))
    (folder / TRITON_FILE).write_text(triton_config(card.image.shape, len(card.labels), card.max_batch))


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
    """A hidden folder beside the models (the same file system, so that renaming is one step), gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix=f".tmp-{name}-", dir=repository))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
