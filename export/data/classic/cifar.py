"""CIFAR's python archives: pickles of NumPy arrays, by a reader that knows no other class and runs no code."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.data.classic.download import download
from export.data.samples import ArraySamples
from export.errors import DataError

Cifar = tuple[tuple[str, ...], ArraySamples, ArraySamples]
"""The names of the classes, training and test images."""

# What NumPy's own arrays are pickled with, under the module names of old and new NumPy.
_ALLOWED = {
    (module, name)
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric")
    for name in ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar")
}
_ALLOWED.add(("_codecs", "encode"))


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs")
        return super().find_class(module, name)


def read_cifar10(data_dir: Path | None) -> Cifar:
    """CIFAR-10. Raises DataError where the archive is absent and can't be downloaded, or is damaged."""
    folder = "cifar-10-batches-py"
    train = [f"{folder}/data_batch_{number}" for number in range(1, 6)]
    files = (train, f"{folder}/test_batch", f"{folder}/batches.meta")
    return _read("cifar10", data_dir, *files, labels_key="labels", names_key="label_names")


def read_cifar100(data_dir: Path | None) -> Cifar:
    """CIFAR-100. Raises DataError where the archive is absent and can't be downloaded, or is damaged."""
    folder = "cifar-100-python"
    files = ([f"{folder}/train"], f"{folder}/test", f"{folder}/meta")
    return _read("cifar100", data_dir, *files, labels_key="fine_labels", names_key="fine_label_names")


def _read(
    name: str, data_dir: Path | None, train: list[str], test: str, meta: str, *, labels_key: str, names_key: str
) -> Cifar:
    """The original python archive (Krizhevsky 2009), as `<data dir>/<name>/*.tar.gz` or unpacked beside it."""
    archive = name.replace("cifar", "cifar-") + "-python.tar.gz"
    home = data_dir / name if data_dir is not None else None
    if home is None or not home.is_dir():
        home = _download(name, home, archive)
    read = read_cifar_archive(home / archive if (home / archive).is_file() else home, [*train, test, meta])
    splits = []
    for parts in (train, [test]):
        planes = np.concatenate([read[part]["data"] for part in parts]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([read[part][labels_key] for part in parts])
        splits.append(ArraySamples(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels))
    return tuple(read[meta][names_key]), splits[0], splits[1]


def _download(name: str, home: Path | None, archive: str) -> Path:
    import keras

    address = f"https://www.cs.toronto.edu/~kriz/{archive}"
    file = download(
        lambda: keras.utils.get_file(archive, origin=address, cache_subdir=f"datasets/{name}"),
        *(name, home, address, f"the original {archive}"),
    )
    return Path(file).parent


def read_cifar_archive(source: Path, members: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The named pickles of a .tar.gz (or of a folder it was unpacked into), keys as text.

    Raises DataError naming the file that is absent or damaged.
    """
    try:
        folder = source.is_dir()
        raw = {name: (source / name).read_bytes() for name in members} if folder else _extract(source, members)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: put the original archive or its folder into {source}") from error
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{source.name} can't be read ({error}): replace it by the original archive") from error
    missing = [name for name in members if name not in raw]
    if missing:
        raise DataError(f"{source.name} lacks {', '.join(missing)}: replace it by the original archive")
    return {name: _unpickle(name, data) for name, data in raw.items()}


def _extract(archive: Path, members: Sequence[str]) -> dict[str, bytes]:
    wanted, found = set(members), {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in wanted and member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def _unpickle(name: str, data: bytes) -> dict[str, Any]:
    try:
        table = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        return {str(key): value for key, value in table.items()}
    except Exception as error:  # a damaged pickle fails in many ways
        raise DataError(f"{name} is not a CIFAR batch ({error}): replace it by the original file") from error
