"""Bucket: a repository in Amazon S3 and what speaks its protocol, Google Cloud Storage or Azure Blob Storage."""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from artifact.errors import StoreError
from artifact.stores.address import Address
from artifact.stores.object_access import CLIENT, RETRY, ObjectAccess
from artifact.stores.store import Entry, Files, Listing, group_files

_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), or give the machine a role; a store "
    "that isn't Amazon's needs AWS_ENDPOINT_URL",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file, log in with gcloud auth application-default login, or "
    "give the machine a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or a SAS token, or AZURE_CLIENT_ID, "
    "AZURE_TENANT_ID and AZURE_CLIENT_SECRET), or give the machine an identity",
}


class Bucket:
    """A WritableStore."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._access = open_access(Address.of(address), "repository")

    def list(self) -> Listing:
        with self._access.explained():
            found = [meta for page in obstore.list(self._access.store) for meta in page]
        return group_files(
            (meta["path"], Entry(meta["size"], meta["e_tag"] or meta["last_modified"].isoformat())) for meta in found
        )

    def find(self, name: str, number: int, listed: Files, paths: Iterable[str]) -> Files:
        return {path: listed[path] for path in paths if path in listed}

    def read(self, path: str) -> bytes:
        return self._access.read(path)

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        self._access.copy(path, target, is_stopped)

    def write(self, path: str, content: bytes | Path) -> None:
        with self._access.explained(path):
            obstore.put(self._access.store, path, content)

    def claim(self, path: str, content: bytes | Path) -> bool:
        data = content if isinstance(content, bytes) else content.read_bytes()
        try:
            with self._access.explained(path):
                obstore.put(self._access.store, path, data, mode="create")
        except StoreError as error:
            if isinstance(error.__cause__, AlreadyExistsError | PreconditionError):
                return False
            raise
        return True


def open_access(address: Address, title: str) -> ObjectAccess:
    """Reads of what is below an address, called `title` where they fail. Raises StoreError."""
    where = "/".join(filter(None, (f"{address.scheme}://{address.host}", address.path)))
    return ObjectAccess(where, lambda: _connect(address), _CREDENTIALS[address.scheme], title)


def _connect(address: Address) -> Any:
    options = {"prefix": address.path or None, "client_options": CLIENT, "retry_config": RETRY}
    if address.scheme == "gs":
        return GCSStore(address.host, **options)
    if address.scheme == "az":
        return AzureStore(address.host, **options)
    return S3Store(address.host, **options, **_read_profile())


def _read_profile() -> dict[str, Any]:
    """Keys and region of the profile of AWS' own files, where the environment gives no keys. obstore knows the
    environment, roles of machines, containers and pods, but not these files. Raises StoreError.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    home = Path("~/.aws").expanduser()
    credentials = _read_sections(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"))
    config = _read_sections(os.environ.get("AWS_CONFIG_FILE", home / "config"))
    profile = os.environ.get("AWS_PROFILE", "default")
    section = "default" if profile == "default" else f"profile {profile}"
    found = {
        **(dict(config[section]) if section in config else {}),
        **(dict(credentials[profile]) if profile in credentials else {}),
    }
    given = {"AWS_REGION", "AWS_DEFAULT_REGION"} & os.environ.keys()
    names = {"access_key_id", "secret_access_key", "session_token"}
    keys = {name: found[f"aws_{name}"] for name in names if f"aws_{name}" in found}
    return keys | ({"region": found["region"]} if "region" in found and not given else {})


def _read_sections(path: str | Path) -> configparser.RawConfigParser:
    """Values stand for themselves, a % too, and a section may be continued; empty where there is no such file. Errors
    don't repeat a line: it may hold a key.
    """
    sections = configparser.RawConfigParser(strict=False)
    try:
        sections.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        said = (
            "it isn't UTF-8" if isinstance(error, UnicodeDecodeError) else "it isn't lines NAME = VALUE below [SECTION]"
        )
        raise StoreError(f"{path} can't be read ({said}): repair or remove it") from None
    return sections
