"""Reads of one object store by obstore, and what its errors mean for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError

from artifact.errors import StoreError

# No limit for a whole transfer: a large file takes its time. What stands still is given up.
CLIENT: Any = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "1day", "allow_http": True}
RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}

_CHUNK = 1 << 22

# Codes of the stores' answers; where obstore asks a machine for its role, and what Azure's needs beside a name; a
# status that refuses, whatever its code is (each store has a dozen), and what S3 says of a token that is over.
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_MISSING = re.compile(r"169\.254\.169\.254|metadata\.google|token request|Account must be specified")
_REFUSED = re.compile(r"status code: 40[13]\b|<Code>(ExpiredToken|InvalidToken)</Code>")


class ObjectAccess:
    """`connect` gives obstore's store, `credentials` says what to do where it lacks the right ones, and `title` what it
    is to the user. Raises StoreError where that can't be made.
    """

    def __init__(self, address: str, connect: Callable[[], Any], credentials: str, title: str = "repository") -> None:
        self.address = address
        self._title = title
        self._credentials = credentials
        with self.explained():
            self.store = connect()

    def list(self, below: str) -> Iterator[str]:
        """The paths below a path, in any order."""
        with self.explained():
            pages = iter(obstore.list(self.store, prefix=below or None))
        while True:
            with self.explained():
                page = next(pages, None)
            if page is None:
                return
            yield from (meta["path"] for meta in page)

    def read(self, path: str, most: int | None = None) -> bytes:
        """The bytes of a file, of one that is larger than `most` only as many and one more."""
        with self.explained(path):
            found = obstore.get(self.store, path)
            if most is None or found.meta["size"] <= most:
                return bytes(found.bytes())
            return bytes(obstore.get_range(self.store, path, start=0, end=most + 1))

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        with self.explained(path):
            chunks = iter(obstore.get(self.store, path).stream(min_chunk_size=_CHUNK))
        with target.open("wb") as file:
            while True:
                if is_stopped():
                    raise InterruptedError(f"copying {path} was stopped")
                with self.explained(path):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                file.write(chunk)

    @contextmanager
    def explained(self, path: str = "") -> Iterator[None]:
        """Turn obstore's errors within the `with` block into FileNotFoundError where `path` isn't in the store, into
        StoreError, one line with its remedy, for all else.
        """
        try:
            yield
        except ValueError as error:  # a path that obstore asks no store for
            raise StoreError(
                f"the {self._title} {self.address} can't have such a path ({_shorten(error)}): write it without //, . "
                "and .."
            ) from error
        except (BaseError, OSError) as error:
            said = _shorten(error)
            if said in _NO_BUCKET:
                raise StoreError(
                    f"the {self._title} {self.address} does not exist ({said}): create it, or name another"
                ) from error
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(2, "not in the store", f"{self.address}/{path}") from error
            if _MISSING.search(str(error)):
                what, remedy = f"needs credentials, and none were found ({said})", self._credentials
            elif _REFUSED.search(str(error)):
                what, remedy = f"refuses the credentials ({said})", self._credentials
            else:
                what, remedy = f"can't be reached ({said})", "check its address and the network"
            raise StoreError(f"the {self._title} {self.address} {what}: {remedy}") from error


def _shorten(error: Exception) -> str:
    """The one fact among what the library says in many lines: the code of the answer, its status, or the last cause."""
    text, _, details = str(error).partition("\n\nDebug source")
    if code := re.search(r"<Code>(\w+)</Code>", text):
        return code[1]
    if status := re.search(r"status code: (\d{3} [\w ]+)", text):
        return status[1].strip()
    if system := re.search(r'message: "([^"]+)"', details):
        return system[1]
    causes = [part.strip() for part in re.split(r"\n|: | - ", text) if part.strip()]
    return causes[-1][:120] if causes else type(error).__name__
