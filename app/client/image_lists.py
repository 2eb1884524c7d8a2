"""Lists the images that the arguments of a command name: files, folders, manifests, and addresses of web servers and
buckets.

`convserve predict` and `deploy.ray_batch` both read them here. Knows no service, and reads no image.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from artifact.errors import ArtifactError, InputError
from artifact.images.formats import IMAGE_SUFFIXES
from artifact.lists.manifest import is_address, join_name, parse_manifest
from artifact.lists.walk import walk_folders
from artifact.stores.address import WRITABLE, check_address
from artifact.stores.objects import open_objects

_WEB = ("http", "https")


class ListedImage(NamedTuple):
    """One image of a list."""

    name: str
    """Its path or address, which also names it in the output."""
    label: str = ""
    """Its class by the list: the column of a manifest, or its folder's name below the folder that was named; empty if
    there is none.
    """
    is_folder: bool = False
    """Whether the label is a folder's name, which may not be meant as a class."""


def list_images(words: Iterable[str]) -> list[ListedImage]:
    """The images that are named, in this order: a file, the images in a folder or below a bucket's address (by suffix,
    sorted, subfolders too, nothing hidden), the rows of a .csv file, an http(s) address.

    Raises InputError where a word can't be read or names none, StoreError where a bucket can't be listed.
    """
    return [image for word in words for image in _list_word(word)]


def scheme_of(name: str) -> str:
    return name.partition("://")[0].lower()


def _list_word(word: str) -> Iterable[ListedImage]:
    if word.lower().endswith(".csv"):
        return read_manifest(word)
    if is_address(word):
        return _list_address(word)
    if Path(word).is_dir():
        return _list_folder(Path(word))
    return [ListedImage(word)]


def _list_folder(folder: Path) -> Iterable[ListedImage]:
    relative = []
    for where, folders, names in walk_folders(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative += [
            Path(where, name).relative_to(folder).parts
            for name in names
            if _is_image(name) and not name.startswith(".")
        ]
    relative.sort()  # part by part, as paths are sorted: what lies in a folder stays together
    if not relative:
        raise InputError(f"{folder} contains no images: no file there ends in {', '.join(IMAGE_SUFFIXES)}")
    return [_place(str(folder.joinpath(*parts)), parts) for parts in relative]


def _list_address(address: str) -> Iterable[ListedImage]:
    scheme = scheme_of(address)
    if scheme in _WEB:
        return [ListedImage(address)]
    if scheme not in WRITABLE:
        raise InputError(f"{address} can't be read from: name a path, or an address of http, https, s3, gs or az")
    if _is_image(address):
        return [ListedImage(address)]
    root, below = split_address(address)
    found = sorted(
        parts
        for path in open_objects(root).list(below)
        if (parts := PurePosixPath(path).relative_to(below).parts)
        and _is_image(path)
        and not any(part.startswith(".") for part in parts)
    )
    if not found:
        raise InputError(f"{address} contains no images: nothing below it ends in {', '.join(IMAGE_SUFFIXES)}")
    start = address.rstrip("/")
    return [_place("/".join((start, *parts)), parts) for parts in found]


def split_address(address: str) -> tuple[str, str]:
    """The address of a bucket, and the path within it, which may have a ? and a # as a file's may. Raises InputError
    where there is no bucket.
    """
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    if scheme not in WRITABLE:
        raise InputError(f"{address} is in no bucket: name a path, or an address of s3, gs or az")
    try:
        return check_address(f"{scheme}://{host}"), path.strip("/")
    except ValueError as error:
        raise InputError(f"{address}: {error}") from error


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _place(name: str, parts: tuple[str, ...]) -> ListedImage:
    """The image at a path below the folder that was named."""
    return ListedImage(name, parts[0], is_folder=True) if len(parts) > 1 else ListedImage(name)


def read_manifest(name: str) -> list[ListedImage]:
    """The rows of a CSV file with the columns path and, where they are known, label. Paths that aren't whole are
    relative to the file's own folder. Raises InputError, naming the line, and StoreError.
    """
    try:
        content = _read_bytes(name)
    except OSError as error:
        raise InputError(f"the manifest {name} can't be read: {error.strerror}") from error
    return [ListedImage(join_name(name, row.path), row.label) for row in parse_manifest(name, content)]


def _read_bytes(name: str) -> bytes:
    if not is_address(name):
        return Path(name).read_bytes()
    if scheme_of(name) not in WRITABLE:
        raise InputError(f"the manifest {name} is at an address that it can't be read from: copy it to this machine")
    root, path = split_address(name)
    try:
        return open_objects(root).read(path)
    except ArtifactError as error:
        raise InputError(error.detail) from error
