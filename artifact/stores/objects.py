"""Objects: the files of a bucket that are no repository's, such as images, listed and read one by one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from artifact.errors import StoreError
from artifact.stores.address import Address

if TYPE_CHECKING:
    from artifact.stores.object_access import ObjectAccess


class Objects:
    """One bucket. Every call raises StoreError where it can't be reached or refuses, in one line with the remedy."""

    def __init__(self, access: ObjectAccess) -> None:
        self._access = access

    def list(self, below: str) -> Iterator[str]:
        """The paths below a path, in any order."""
        return self._access.list(below)

    def read(self, path: str, most: int | None = None) -> bytes:
        """The bytes of a file, of one that is larger than `most` only as many and one more. Raises
        FileNotFoundError.
        """
        return self._access.read(path, most)


@lru_cache
def open_objects(address: str) -> Objects:
    """The files of a bucket, s3://BUCKET, say. Asks it nothing yet. Raises StoreError where obstore isn't installed."""
    try:
        from artifact.stores.bucket import open_access

        return Objects(open_access(Address.of(address), "bucket"))
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the bucket {address} needs the package {error.name}: install the extra cloud (pip install '.[cloud]')"
        ) from error
