"""Addresses of repositories as people write them. Knows no store: settings and command lines read them by it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

SCHEMES = ("s3", "gs", "az", "https", "http", "hf")
WRITABLE = ("s3", "gs", "az")

_FORM = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?:/(?P<path>[^?#]*))?")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)


class Address(NamedTuple):
    """The parts of a checked address."""

    scheme: str
    host: str
    """The bucket, the container, or a server with its port."""
    path: str
    """Within it, without slashes at its ends."""

    @classmethod
    def of(cls, text: str) -> Address:
        """Raises ValueError where `check_address` would."""
        form = _FORM.fullmatch(check_address(text))
        assert form is not None
        return cls(form["scheme"], form["host"], (form["path"] or "").strip("/"))


def read_repository(text: str | Path) -> Path | str:
    """What a setting or a flag names: a folder, or the checked address of a store. Raises ValueError."""
    return check_address(str(text)) if isinstance(text, str) and "://" in text else Path(text)


def check_address(text: str) -> str:
    """The address without slashes at its end. Raises ValueError saying what a right one looks like."""
    form = _FORM.fullmatch(text)
    if form is None or form["scheme"] not in SCHEMES or not form["host"]:
        raise ValueError(
            "a repository is a folder, s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH, https://HOST/PATH or "
            "hf://OWNER/NAME[@REVISION]"
        )
    if "@" in form["host"]:
        raise ValueError(
            "an address must not contain a password, which every log would show: "
            "docs/operating.md says where one is read from"
        )
    if form["scheme"] == "hf" and not _HUB_NAME.fullmatch(text.removeprefix("hf://").rstrip("/")):
        raise ValueError("a repository of the hub is hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    return text.rstrip("/")


def name_folder(address: str) -> str:
    """A folder's name for what is copied from an address: readable, and no other address has it."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", address)[:80]
    return f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
