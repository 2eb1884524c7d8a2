"""The same labeled images as class folders, a CSV manifest, Parquet and WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Images = Mapping[str, bytes]
"""Image files by their paths, CLASS/FILE."""


def draw_images(classes: Sequence[str] = ("cat", "dog"), count: int = 20, seed: int = 0) -> dict[str, bytes]:
    """`count` images a class, JPEGs and PNGs, of different sizes, no two alike."""
    generator, images = np.random.default_rng(seed), {}
    for name in classes:
        for index in range(count):
            height, width = generator.integers(150, 200, 2)
            pixels = generator.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
            kind = ("JPEG", "PNG")[index % 2]
            buffer = io.BytesIO()
            Image.fromarray(pixels).resize((int(width), int(height))).save(buffer, kind)
            images[f"{name}/{index:03}.{'jpg' if kind == 'JPEG' else 'png'}"] = buffer.getvalue()
    return images


def write_folder(images: Images, folder: Path) -> Path:
    for path, content in images.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def write_manifest(images: Images, path: Path, split: Mapping[str, str] | None = None) -> Path:
    """The images as files beside it; the rows in another order than the folder's."""
    write_folder(images, path.parent)
    lines = ["split,label,path" if split else "label,path"]
    for name in sorted(images, key=lambda name: name[::-1]):
        lines.append(f"{split[name]},{name.split('/')[0]},{name}" if split else f"{name.split('/')[0]},{name}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_table(images: Images, path: Path, classes: Sequence[str] = ("cat", "dog"), *, bare: bool = True) -> Path:
    """As Hugging Face's `imagefolder` writes it: of each path the file's name alone (`bare`)."""
    import pyarrow
    from pyarrow import parquet

    rows = [
        {
            "image": {"bytes": content, "path": name.split("/")[1] if bare else name},
            "label": list(classes).index(name.split("/")[0]),
        }
        for name, content in images.items()
    ]
    feature: dict[str, Any] = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [("image", image), ("label", pyarrow.int64())], {"huggingface": json.dumps({"info": {"features": feature}})}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path, row_group_size=7)
    return path


def write_tar(images: Images, path: Path, labels: str = ".cls", **members: bytes) -> Path:
    """Each image with its class in a member of the suffix `labels`; other `members` by their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in images.items():
            label = name.split("/")[0]
            said = json.dumps({"label": label}) if labels == ".json" else label
            _add(tar, name.rpartition(".")[0] + labels, said.encode())
            _add(tar, name, content)
        for name, content in members.items():
            _add(tar, name, content)
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
