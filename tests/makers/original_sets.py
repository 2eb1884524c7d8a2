"""Small data sets in the files of the originals: LeCun's idx files, Krizhevsky's archives."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np


def write_idx(path: Path, values: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.tobytes()))


def write_idx_set(folder: Path, train: int = 6, test: int = 4) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", train), ("t10k", test)):
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", generator.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)


def write_cifar(path: Path, batches: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in batches.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_cifar_sets(data_dir: Path, count: int = 40) -> None:
    """cifar10 and cifar100, each with `count` images a file and every class alike."""
    generator = np.random.default_rng(0)

    def batch(labels: str, classes: int) -> dict[str, object]:
        planes = generator.integers(0, 256, (count, 3072), np.uint8)
        return {"data": planes, labels: [index % classes for index in range(count)]}

    folder = "cifar-10-batches-py"
    files: dict[str, object] = {f"{folder}/data_batch_{number}": batch("labels", 10) for number in range(1, 6)}
    meta = {"label_names": [f"class {index}" for index in range(10)]}
    files |= {f"{folder}/test_batch": batch("labels", 10), f"{folder}/batches.meta": meta}
    write_cifar(data_dir / "cifar10/cifar-10-python.tar.gz", files)
    folder, count = "cifar-100-python", 10 * count
    meta = {"fine_label_names": [f"class {index}" for index in range(100)]}
    files = {f"{folder}/{name}": batch("fine_labels", 100) for name in ("train", "test")}
    write_cifar(data_dir / "cifar100/cifar-100-python.tar.gz", files | {f"{folder}/meta": meta})
