"""A published version as a container image that holds nothing but its files, under /models: an OCI image layout (image
specification 1.1) in a tar. The same version gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from artifact.errors import ArtifactError
from artifact.layout import CARD_FILE, LABELS_FILE, TRITON_FILE
from artifact.whole import check_files
from export.errors import DataError, PublishError
from export.publish.published import Published

FOLDER = "models"
"""Of the image: in it is a repository with the one version."""
_TYPE = "application/vnd.oci.image"
# Of a layer without programs nobody looks at it.
_PLATFORM = {"architecture": "amd64", "os": "linux"}


def pack(published: Published, out: Path) -> str:
    """Write the image to the file `out`, whole or not at all; gives its digest. Raises DataError where the version
    isn't whole, PublishError where the file can't be written.
    """
    card = published.card
    try:
        check_files(published.folder, card)
    except ArtifactError as error:
        raise DataError(f"{card.name} version {card.version}: {error}") from error
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            layer = Path(folder, "layer")
            with layer.open("wb") as file:
                _write_tar(file, _list_files(published))
            digest = _write_image(Path(folder, "image"), layer, f"{card.name}-{card.version}")
            os.replace(Path(folder, "image"), out)
    except OSError as error:
        raise PublishError(f"{out} can't be written ({error.strerror}): name another file with --out") from error
    return digest


def _list_files(published: Published) -> Iterator[tuple[str, Path | bytes]]:
    model, version = PurePosixPath(FOLDER, published.card.name), published.folder
    for name in (LABELS_FILE, TRITON_FILE):
        if (path := version.parent / name).is_file():
            yield str(model / name), path
    for name in sorted((CARD_FILE, *published.card.files)):
        if (path := version / name).is_file():  # report/ may have been left out
            yield str(model / version.name / name), path


def _write_image(out: Path, layer: Path, name: str) -> str:
    """The layout of an image with one layer; gives the digest of its manifest."""
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]}
    config = _encode({**_PLATFORM, "config": {}, "rootfs": rootfs})
    described = _describe(f"{_TYPE}.layer.v1.tar", layer_digest, layer.stat().st_size)
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": _describe(f"{_TYPE}.config.v1+json", _hash(config), len(config)),
            "layers": [described],
        }
    )
    listed = _describe(f"{_TYPE}.manifest.v1+json", _hash(manifest), len(manifest))
    index = _encode(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.index.v1+json",
            "manifests": [{**listed, "annotations": {"org.opencontainers.image.ref.name": name}}],
        }
    )
    blobs: dict[str, Path | bytes] = {_hash(config): config, _hash(manifest): manifest, layer_digest: layer}
    files = [(f"blobs/sha256/{digest}", blobs[digest]) for digest in sorted(blobs)]
    with out.open("wb") as file:
        _write_tar(
            file, iter([*files, ("index.json", index), ("oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))])
        )
    return f"sha256:{_hash(manifest)}"


def _write_tar(file: IO[bytes], entries: Iterator[tuple[str, Path | bytes]]) -> None:
    """Files with their folders before them; nothing says who wrote them, or when."""
    written: set[PurePosixPath] = set()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries:
            for folder in reversed(PurePosixPath(name).parents[:-1]):
                if folder not in written:
                    written.add(folder)
                    entry = tarfile.TarInfo(str(folder))
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as opened:
                    tar.addfile(entry, opened)


def _describe(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _hash(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()
