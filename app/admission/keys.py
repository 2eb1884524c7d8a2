"""API keys, and who may do what with them: random texts that are known here only by their SHA-256.

A plain hash is enough for keys of 256 random bits: there is no dictionary to try, as there is for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.batching.fair_queue import HIGHEST, LOWEST, NORMAL, QueueClass, get_queue_class
from app.batching.rate import Rates
from app.errors import KeyNotForModel, ManagementOff, RateExceeded, Unauthorized
from app.settings import Settings


@dataclass(frozen=True)
class Holder:
    """Whoever shows one of the keys that may predict."""

    name: str = ""
    """Of the key in the settings; empty for anybody where there are none."""
    priority: int | None = None
    """Of its requests, and the highest that they may ask for, 1 to 3; None: the usual one, and any."""
    models: frozenset[str] | None = None
    """The models and aliases that it may use; None for all."""
    rows_per_s: float | None = None
    """The rate that it may send images at; None for any."""

    def get_queue_class(self, asked: int) -> QueueClass:
        """For the rows of a request that asks for the priority `asked`. As in Triton, 0 and what is no priority mean
        the usual one.
        """
        if not HIGHEST <= asked <= LOWEST:
            return get_queue_class(self.priority or NORMAL, self.name)
        return get_queue_class(max(asked, self.priority or HIGHEST), self.name)


ANYBODY = Holder()


class Keys:
    """Checks API keys, which requests bring in the Authorization header: who may predict, with which models, at what
    rate and priority, and who may manage models.
    """

    def __init__(self, settings: Settings, rates_file: int | None = None) -> None:
        """`rates_file` is the `file` of app.batching.rate.Rates. Without keys that may predict anybody may, without
        keys that may manage nobody may.
        """
        known = {f"api_keys.{place}": key for place, key in enumerate(settings.api_keys)}
        holders = {name: Holder(name) for name in known}
        for name, table in settings.keys.items():
            if table.role == "predict":
                known[name] = table.hash
                models = None if table.models is None else frozenset(table.models)
                holders[name] = Holder(name, table.priority, models, table.rows_per_s)
        self._names, self._hashes = list(known), list(known.values())
        self.holders: Mapping[str, Holder] = holders or {"": ANYBODY}
        """By the names of their keys."""
        self._admin_hashes = [
            *settings.admin_keys,
            *(table.hash for table in settings.keys.values() if table.role == "admin"),
        ]
        limits = {name: holder.rows_per_s for name, holder in holders.items() if holder.rows_per_s is not None}
        self._rates = Rates(limits, rates_file)

    def check_predict(self, authorization: str) -> str:
        """The name of the key that the header brings, for `holders`; empty where none is asked for. Raises Unauthorized
        where there are keys and the header brings none of them.
        """
        if not self._hashes:
            return ""
        return self._names[_find(authorization, self._hashes, "api_keys and keys")]

    def check_admin(self, authorization: str) -> None:
        """Raises ManagementOff where no key may manage, Unauthorized where the header brings none that may."""
        if not self._admin_hashes:
            raise ManagementOff(
                "model management needs an admin key: make one with `convserve key` and add its hash to admin_keys"
            )
        _find(authorization, self._admin_hashes, "admin_keys and keys")

    def check_models(self, holder: Holder, name: str, means: Collection[str]) -> None:
        """Raises KeyNotForModel where neither `name`, a model or an alias, nor all the models that it `means` are among
        those that the holder may use.
        """
        if holder.models is None or name in holder.models or holder.models.issuperset(means):
            return
        raise KeyNotForModel(f"the API key {holder.name} may not use {name}, only {', '.join(sorted(holder.models))}")

    def check_rate(self, holder: Holder) -> None:
        """Raises RateExceeded where the holder has had as many rows as it may for now."""
        if holder.rows_per_s is not None and (wait_s := self._rates.find_wait(holder.name)) > 0:
            raise RateExceeded(
                f"the API key {holder.name} may send {holder.rows_per_s:g} images a second (rows_per_s) and has sent "
                f"more: try again in {wait_s:.1f} s",
                retry_after_s=wait_s,
            )

    def spend(self, holder: Holder, rows: int) -> None:
        """Charge `rows` rows to the holder's rate."""
        if holder.rows_per_s is not None:
            self._rates.spend(holder.name, rows)


def make_key() -> str:
    """A new key."""
    return f"cs-{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The form in which settings hold a key: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find_key(given: str, hashes: Sequence[str]) -> int | None:
    """The index in `hashes` of the hash of `given`, or None. All hashes are compared, each in constant time, so that
    the time tells nothing of a key.
    """
    digest, found = hash_key(given), None
    for place, known in enumerate(hashes):
        if hmac.compare_digest(digest, known):
            found = place
    return found


def _find(authorization: str, hashes: Sequence[str], settings: str) -> int:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthorized(f"an API key of {settings} is needed: send Authorization: Bearer KEY")
    if (found := find_key(key, hashes)) is None:
        raise Unauthorized(f"this API key is not valid: send one of {settings}")
    return found
