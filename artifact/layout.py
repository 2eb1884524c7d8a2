"""The folders and files of a repository: their names, which versions a model has, and what Triton reads beside them.

<repository>/<model>/labels.txt, config.pbtxt and <version>/card.json, model.onnx, golden/, classifier.npz, report/.
Reads names, sizes and times only, never an artifact's content.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from artifact.errors import ArtifactError

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
GOLDEN_FOLDER = "golden"
GOLDEN_FILE = "expected.npz"
CLASSIFIER_FILE = "classifier.npz"
REPORT_FOLDER = "report"
LABELS_FILE = "labels.txt"
TRITON_FILE = "config.pbtxt"

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Of a version's folder: path, bytes, and times (ns) of the content's and the entry's last change, of each file."""

# A name is a folder, a path segment of a URL and a Prometheus label: nothing in it needs escaping.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
NAME_FORM = "letters, digits, dots, dashes and underscores, at most 64, the first a letter or digit"
"""NAME_PATTERN in words, for messages."""

# A version is a whole number from 1 on, written as Triton and TensorFlow Serving write it: no sign, no leading zero.
VERSION_PATTERN = r"[1-9][0-9]{0,17}"


def list_models(repository: Path) -> list[str]:
    """Names of the models in the repository, sorted. Hidden folders (artifacts being written) and files are
    passed over.

    Raises ArtifactError where there is no such folder.
    """
    try:
        return sorted(name for name in _list_folders(repository) if re.fullmatch(NAME_PATTERN, name))
    except OSError as error:
        raise ArtifactError(
            f"the repository {repository} can't be read ({error.strerror}): fill it with convserve-export, "
            "or name another with --repository"
        ) from error


def list_versions(model_folder: Path) -> list[int]:
    """The numbers of a model's version folders, rising; none where there is no such folder. Raises OSError where it
    can't be read.
    """
    try:
        return sorted(int(name) for name in _list_folders(model_folder) if re.fullmatch(VERSION_PATTERN, name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_strangers(folder: Path, pattern: str) -> tuple[str, ...]:
    """The sorted names of visible folders that do not match `pattern`. Raises OSError."""
    return tuple(
        sorted(name for name in _list_folders(folder) if not name.startswith(".") and not re.fullmatch(pattern, name))
    )


def _list_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that can't be followed now: whoever looks into it says so, and the others go on
        return True


def find_foreign_graph(model_folder: Path) -> Path | None:
    """An .onnx file that convserve-export hasn't made an artifact of: in the model's folder, or in the folder of one of
    its versions, where that has no card. None if there is none.
    """
    for folder in (model_folder, *(model_folder / str(version) for version in list_versions(model_folder))):
        if not (folder / CARD_FILE).exists():
            for path in sorted(folder.glob("*.onnx")):
                return path
    return None


def read_fingerprint(folder: Path) -> Fingerprint:
    """A value that changes whenever a file of a version's folder (report/ isn't looked at) is written or gets other
    permissions. Raises OSError where the folder can't be read.
    """
    found: list[tuple[str, int, int, int]] = []
    for home, prefix in ((folder, ""), (folder / GOLDEN_FOLDER, f"{GOLDEN_FOLDER}/")):
        try:
            names = sorted(os.listdir(home))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            try:
                status = os.stat(home / name)
            except FileNotFoundError:  # it was just renamed, or is a link to nothing
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((prefix + name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)


def labels_txt(labels: Sequence[str]) -> str:
    """The text of labels.txt: one label per line, in the order of the probabilities."""
    return "\n".join(labels) + "\n"


def triton_config(shape: tuple[int, int, int], classes: int, max_batch: int) -> str:
    """The text of config.pbtxt, so that Triton can serve the same folder. `shape` is (height, width, channels)."""
    dims = ", ".join(map(str, shape))
    return (
        'platform: "onnxruntime_onnx"\n'
        f"max_batch_size: {max_batch}\n"
        "dynamic_batching { }\n"
        f'input [ {{ name: "image" data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ {dims} ] }} ]\n'
        f'output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {classes} ] '
        'label_filename: "labels.txt" } ]\n'
    )
