"""Reading CIFAR's python archives: pickles of NumPy arrays, by a reader that knows no other class and runs no code."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import DataError

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


def read_cifar_archive(source: Path, members: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The named pickles of a .tar.gz (or of a folder it was unpacked into), keys as text.

    Raises DataError naming the file that is absent or damaged.
    """
    try:
        folder = source.is_dir()
        raw = {name: (source / name).read_bytes() for name in members} if folder else _extract(source, members)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: lay the original archive or its folder into {source}") from error
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{source.name} can't be read ({error}): lay the original archive in its place") from error
    missing = [name for name in members if name not in raw]
    if missing:
        raise DataError(f"{source.name} lacks {', '.join(missing)}: lay the original archive in its place")
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
        raise DataError(f"{name} is no CIFAR batch ({error})") from error
