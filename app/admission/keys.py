"""API keys, and who may do what with them: random texts that are known here only by their SHA-256.

A plain hash is enough for keys of 256 random bits: there is no dictionary to try, as there is for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from app.errors import ManagementOff, Unauthorized


class Keys:
    """Who may predict, and who may manage models, by the Authorization header of a request."""

    def __init__(self, api_keys: Sequence[str], admin_keys: Sequence[str]) -> None:
        """Both are SHA-256 of keys; without api_keys anybody may predict, without admin_keys nobody may manage."""
        self._api_keys = api_keys
        self._admin_keys = admin_keys

    def check_predict(self, authorization: str) -> None:
        """Raises Unauthorized where there are api_keys and the header brings none of them."""
        if self._api_keys:
            _check(authorization, self._api_keys, "api_keys")

    def check_admin(self, authorization: str) -> None:
        """Raises ManagementOff without admin_keys, Unauthorized where the header brings none of them."""
        if not self._admin_keys:
            raise ManagementOff("models are managed by holders of a key: make one with `convserve key`, set admin_keys")
        _check(authorization, self._admin_keys, "admin_keys")


def make_key() -> str:
    """A new key."""
    return f"cs-{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The form in which settings hold a key: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def is_key(given: str, hashes: Sequence[str]) -> bool:
    """Whether `given` is one of the keys. Takes the same time whichever matches, or none."""
    digest, found = hash_key(given), False
    for known in hashes:
        found |= hmac.compare_digest(digest, known)
    return found


def _check(authorization: str, hashes: Sequence[str], setting: str) -> None:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthorized(f"send one of the keys of {setting}: Authorization: Bearer KEY")
    if not is_key(key, hashes):
        raise Unauthorized(f"the key is none of {setting}")
