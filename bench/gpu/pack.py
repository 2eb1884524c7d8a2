"""A repository packed without its large kernels, and unpacked again to the last byte. Knows no ONNX: files are bytes
with holes, and a hole is a Kernel.

    <pack>/models/<model>.json      the files of repository/<model>/, each as a list of pieces
    <pack>/blobs/<sha256>           larger pieces that are stored, compressed; equal ones once
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifact.layout import CARD_FILE
from bench.gpu.kernels import Kernel

LIMIT_MB = 60
# Smaller pieces stand in the list itself: biases between two kernels, mostly.
_SMALL = 4096


class PackError(Exception):
    """A pack that can't be written or isn't what its list says."""


@dataclass(frozen=True)
class Packed:
    """One model of a pack."""

    name: str
    network: str
    multiply_adds: int
    """Of one image."""
    files: list[dict[str, Any]]


def pack(home: Path, kernels: Sequence[Kernel], dtype: str, to: Path, *, network: str, multiply_adds: int) -> None:
    """Write the model in `home` (repository/<model>) into the pack `to`; `kernels` stand in its graph as `dtype`."""
    files = []
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        kind = dtype if path.suffix == ".onnx" else "float32"
        pieces = [_store(piece, to) for piece in _cut(content, kernels, kind)]
        name = path.relative_to(home).as_posix()
        files.append({"path": name, "sha256": hashlib.sha256(content).hexdigest(), "pieces": pieces})
    listed = {"name": home.name, "network": network, "multiply_adds": multiply_adds, "files": files}
    target = to / "models" / f"{home.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(listed), encoding="utf-8")


def list_packed(folder: Path) -> dict[str, Packed]:
    """The models of a pack by name. Raises PackError where there is none."""
    found = sorted((folder / "models").glob("*.json"), key=lambda path: path.stem)
    if not found:
        raise PackError(
            f"no artifacts in {folder}: make them where TensorFlow is, with `python -m bench.gpu prepare`, and carry "
            "that folder here (--pack names another)"
        )
    return {path.stem: Packed(**json.loads(path.read_text(encoding="utf-8"))) for path in found}


def unpack(folder: Path, packed: Packed, repository: Path) -> Path:
    """The folder of the model's one version in `repository`, made where it isn't there. Raises PackError."""
    home = repository / packed.name
    card = next(file for file in packed.files if file["path"].endswith("/" + CARD_FILE))
    version: Path = home / card["path"].split("/")[0]
    if (version / CARD_FILE).exists():
        if hashlib.sha256((version / CARD_FILE).read_bytes()).hexdigest() == card["sha256"]:
            return version
        shutil.rmtree(home)  # of a pack that was made anew since
    half_made = repository / f".{packed.name}-{os.getpid()}"
    try:
        for file in packed.files:
            content = b"".join(_fill(piece, folder) for piece in file["pieces"])
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                raise PackError(
                    f"{packed.name}/{file['path']} is damaged in the pack, its sha256 differs: prepare it again"
                )
            target = half_made / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        half_made.rename(home)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return version


def measure_pack(folder: Path) -> int:
    """The size of all files of a pack together, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cut(content: bytes, kernels: Sequence[Kernel], dtype: str) -> Iterator[bytes | tuple[Kernel, str]]:
    """The pieces between the kernels, and the kernels; a graph has them in the order in which they are given."""
    start = 0
    for kernel in kernels:
        raw = kernel.content(dtype)
        if len(raw) <= len(content) - start and (at := content.find(raw, start)) >= 0:
            yield content[start:at]
            yield kernel, dtype
            start = at + len(raw)
    yield content[start:]


def _store(piece: bytes | tuple[Kernel, str], to: Path) -> dict[str, Any]:
    if isinstance(piece, tuple):
        kernel, dtype = piece
        return {"kernel": kernel.to_json(), "dtype": dtype}
    if len(piece) < _SMALL:
        return {"bytes": base64.b64encode(zlib.compress(piece, 9)).decode()}
    name = hashlib.sha256(piece).hexdigest()
    target = to / "blobs" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(zlib.compress(piece, 9))
    return {"blob": name}


def _fill(piece: dict[str, Any], folder: Path) -> bytes:
    if "kernel" in piece:
        return Kernel.from_json(piece["kernel"]).content(piece["dtype"])
    if "bytes" in piece:
        return zlib.decompress(base64.b64decode(piece["bytes"]))
    try:
        return zlib.decompress((folder / "blobs" / piece["blob"]).read_bytes())
    except (OSError, zlib.error) as error:
        raise PackError(f"{folder}/blobs/{piece['blob']} can't be read ({error}): carry the pack here again") from error
