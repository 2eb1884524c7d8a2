"""WebDataset tars as a data set: of each key an image (key.jpg, key.png) and its class (key.cls, key.json or key.txt).

Tars are read by one walk over their headers; images stay where they are.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifact.images.formats import IMAGE_SUFFIXES
from artifact.json import read_json
from export.data.folder_layout import LeftOut, is_hidden
from export.data.labels import read_labels
from export.data.stored.listing import Entry, Listing, make_listing
from export.data.stored.packed import PackedSamples
from export.data.stored.tar_walk import walk_tar
from export.errors import DataError
from export.progress import Progress

LABELS = ".cls", ".json", ".txt"
"""What says an image's class; the first that a key has."""
_JSON_KEYS = ("label", "cls", "class")
_LABEL_BYTES = 65_536
_NAMES_FILE = "labels.txt"


class _Image(NamedTuple):
    name: str
    offset: int
    size: int
    label: str | None


def read_tars(where: str, tars: Sequence[tuple[Path, str]], *, seen: bool) -> Listing:
    """The images of some tars, each with the split that its name says, or an empty one.

    Classes that are numbers are named by labels.txt beside the tars or in the folder `where`, a name a line, where it
    is there. Raises DataError
    for tars that are damaged or compressed (all of them), keys with two images, classes that can't be read.
    """
    entries, places, names, damaged, left_out = [], [], [], [], LeftOut()
    with Progress("reading", len(tars), "tars") as progress:
        for pack, (path, split) in enumerate(tars):
            try:
                for image in _read_tar(path, left_out):
                    entries.append(Entry(image.name, image.label, split))
                    places.append((pack, image.offset, image.size))
                    names.append(f"{path.name}/{image.name}")
            except (tarfile.TarError, EOFError, OSError) as error:
                damaged.append(f"{path.name} ({error})")
            progress.advance()
    left_out.tell(where)
    if damaged:
        raise DataError(
            f"{where}: {len(damaged)} tars can't be read: {', '.join(damaged[:10])}. Copy them again; a compressed tar "
            "can't be read by offset: unpack it to a plain .tar"
        )
    if not any(entry.label for entry in entries):
        raise DataError(
            f"{where}: no image has a class: next to KEY.jpg or KEY.png there must be KEY.cls, KEY.txt or KEY.json"
        )
    table = np.array(places, np.int64)
    samples = PackedSamples([path for path, _ in tars], table, np.full(len(table), -1), names)
    classes = None
    if all(str(entry.label or 0).isdecimal() for entry in entries):
        lists = (folder / _NAMES_FILE for folder in (tars[0][0].parent, Path(where)))
        if (found := next(filter(Path.is_file, lists), None)) is not None:
            classes = read_labels(str(found))
            entries = [entry._replace(label=int(entry.label) if entry.label else None) for entry in entries]
    return make_listing(where, entries, samples, classes, seen=seen)


def _read_tar(path: Path, left_out: LeftOut) -> Iterator[_Image]:
    """The images in the tar's order, each with what its key says of its class."""
    images: dict[str, _Image] = {}
    labels: dict[str, dict[str, str]] = {}
    with path.open("rb") as file:
        for tar, member in walk_tar(file, path.name):
            name = member.name.removeprefix("./")
            key, suffix = _split_name(name)
            if not member.isfile():
                if member.issym() or member.islnk():
                    left_out.others["links"] += 1
                continue
            if any(map(is_hidden, name.split("/"))):
                left_out.hidden += Path(name).suffix.lower() in IMAGE_SUFFIXES
            elif suffix in IMAGE_SUFFIXES:
                if key in images:
                    raise DataError(f"{path.name} has two images of one key, {images[key].name} and {name}")
                images[key] = _Image(name, member.offset_data, member.size, None)
            elif suffix in LABELS and member.size <= _LABEL_BYTES:
                content = tar.extractfile(member)
                assert content is not None
                # Windows' editors begin a file with a mark.
                labels.setdefault(key, {})[suffix] = content.read().decode("utf-8-sig", "replace")
            else:
                left_out.others[suffix] += 1
    for key, image in images.items():
        yield image._replace(label=_choose_label(path, image.name, labels.get(key, {})))


def _split_name(name: str) -> tuple[str, str]:
    """A member's key and what follows it, by the first dot of the file's own name."""
    folder, _, file = name.rpartition("/")
    stem, dot, rest = file.partition(".")
    return f"{folder}/{stem}", (dot + rest).lower()


def _choose_label(path: Path, name: str, labels: dict[str, str]) -> str | None:
    for suffix in LABELS:
        if suffix not in labels:
            continue
        if suffix != ".json":
            return labels[suffix].strip()
        try:
            record = read_json(labels[suffix])
        except ValueError as error:
            raise DataError(f"{path.name}: what belongs to {name} isn't JSON ({error})") from error
        for key in _JSON_KEYS:
            if isinstance(record, dict) and isinstance(record.get(key), (str, int)):
                return str(record[key]).strip()
    return None
