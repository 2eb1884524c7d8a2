"""What a Keras file says of itself, before anything is built: who wrote it, its configuration, its classes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from artifact.json import read_json
from export.errors import ConversionError, reason
from export.sources.source import refuse_pointer

HDF5_START, ZIP_START = b"\x89HDF", b"PK\x03\x04"


@dataclass(frozen=True)
class FileRecord:
    """What a file of Keras says of itself: the version that wrote it, "" where it doesn't say, and the network's
    {"class_name": ..., "config": ...}, None where the file holds weights alone.
    """

    version: str
    config: dict[str, Any] | None

    @property
    def keras2(self) -> bool:
        """Whether Keras 2 or an older one wrote the file; so did whatever wrote no version into it."""
        return not self.version.startswith("3.")

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every serialized object in the configuration: layers, activations, initializers, ..."""
        return _objects(self.config)


def read_record(file: Path) -> FileRecord:
    """What `file` says of itself. Raises ConversionError where it is neither a zip archive of Keras nor HDF5, by what
    lies in it.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                version = read_json(archive.read("metadata.json")).get("keras_version", "")
                return FileRecord(version, read_json(archive.read("config.json")))
        with h5py.File(file) as content:
            config = content.attrs.get("model_config")
            return FileRecord(_text(content.attrs.get("keras_version", "")), read_json(config) if config else None)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        refuse_pointer(file)
        with file.open("rb") as opened:
            start = opened.read(4)
        if start == HDF5_START or (start == ZIP_START and not zipfile.is_zipfile(file)):
            kind = "an HDF5 file" if start == HDF5_START else "a zip archive of Keras"
            raise ConversionError(
                f"{file} begins like {kind} but is truncated or damaged ({reason(error)}): copy or download it again"
            ) from error
        raise ConversionError(
            f"{file} is not a Keras file, neither a zip archive of model.save nor HDF5 ({reason(error)}): "
            f"save the model again with model.save('{file.stem}.keras')"
        ) from error


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if isinstance(part.get("class_name"), str):
            yield part
        for value in part.values():
            yield from _objects(value)
    elif isinstance(part, list):
        for value in part:
            yield from _objects(value)
