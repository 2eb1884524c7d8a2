"""API keys: random texts that are known here only by their SHA-256.

A plain hash is enough for keys of 256 random bits: there is no dictionary to try, as there is for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable


def make_key() -> str:
    """A new key."""
    return f"cs-{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The form in which settings hold a key: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def is_key(given: str, hashes: Iterable[str]) -> bool:
    """Whether `given` is one of the keys. Takes the same time whichever matches, or none."""
    digest, found = hash_key(given), False
    for known in hashes:
        found |= hmac.compare_digest(digest, known)
    return found
