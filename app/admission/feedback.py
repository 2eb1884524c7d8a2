"""Feedback: a prediction may come with a receipt; whoever learns the true label gives both back, to be counted for the
version that answered.

A receipt holds all that counting needs, signed (HMAC-SHA256): the service remembers nothing, and any process that has
the key takes it, after a restart too. A receipt that is sent twice
is counted twice.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.errors import BadReceipt, InvalidParameter
from app.observe.live_accuracy import Told, count_told
from artifact.card import ModelCard

if TYPE_CHECKING:  # the command checks the key of a supervisor, which would wait for all that these import
    from app.catalog.catalog import Catalog
    from app.inference.model import LoadedModel

_FORMAT = 1
_LEAST_KEY_BYTES = 32
# Of the sha256 of model.onnx: a version that was published anew is not the one that answered.
_DIGITS = 16


class Receipt(NamedTuple):
    """What one prediction said, as its receipt has it."""

    model: str
    version: int
    artifact: str
    """The first 16 hexadecimal digits of the sha256 of the version's model.onnx."""
    top: int
    """The index of the most probable class."""
    probability: float
    label_set: tuple[int, ...] = ()
    """The indices of its classes."""
    coverage: float | None = None
    """The coverage for which the label set was asked; None where it wasn't."""


class Receipts:
    """Signs receipts, and reads them back."""

    def __init__(self, key: bytes | None) -> None:
        """None for no key: then there are no receipts."""
        self._key = key

    @property
    def are_given(self) -> bool:
        return self._key is not None

    def require_key(self) -> bytes:
        """The key. Raises InvalidParameter where there is none."""
        if self._key is None:
            raise InvalidParameter(
                "receipts are off: leave receipt out, or set receipt_key to a file with a key (openssl rand -hex 32)"
            )
        return self._key

    def sign(
        self, model: LoadedModel, best: tuple[int, float], label_set: Sequence[int], coverage: float | None
    ) -> str:
        """The receipt of one prediction of `model`: index and probability of its most probable class, the indices of
        its label set and what that was asked for. Letters, digits and `-_.` only. Raises InvalidParameter without a
        key.
        """
        key, (index, probability) = self.require_key(), best
        sets = "" if coverage is None else f',"coverage":{coverage!r},"set":[{",".join(map(str, label_set))}]'
        payload = (  # by hand: a general encoder takes several times as long
            f'{{"format":{_FORMAT},"model":"{model.name}","version":{model.version},'
            f'"artifact":"{model.card.sha256[:_DIGITS]}","time":{int(time.time())},'
            f'"class":{index},"probability":{probability:.7}{sets}}}'
        )
        text = _encode(payload.encode())
        return f"{text}.{_sign(key, text.encode())}"

    def read(self, text: str) -> Receipt:
        """What a receipt says. Raises BadReceipt for one that this key didn't sign, as it is; InvalidParameter without
        a key.
        """
        key = self.require_key()
        payload, _, signature = text.encode("utf-8", "backslashreplace").rpartition(b".")
        if not hmac.compare_digest(_sign(key, payload).encode(), signature):
            raise BadReceipt(
                f"the receipt {text[:20]!r}... was not signed by this service, or was changed since: send it as "
                "the prediction returned it, to a service with the same receipt_key"
            )
        said = json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        if said["format"] != _FORMAT:
            raise BadReceipt(
                f"the receipt has format {said['format']}, this convserve reads {_FORMAT}: send it to the "
                "version of convserve that wrote it"
            )
        return Receipt(
            said["model"],
            said["version"],
            said["artifact"],
            said["class"],
            said["probability"],
            tuple(said.get("set", ())),
            said.get("coverage"),
        )


def count_feedback(catalog: Catalog, receipt: Receipt, label: str) -> Told:
    """Count, for the version that gave the receipt, that `label` is the true one.

    Raises what Catalog.find raises for a version that isn't loaded, BadReceipt for one that was published anew since,
    and InvalidParameter for a label that it doesn't know.
    """
    card = catalog.find(receipt.model, receipt.version).card
    if not card.sha256.startswith(receipt.artifact):
        raise BadReceipt(
            f"the receipt is of another artifact than the {card.name} version {card.version} that is loaded now (the "
            f"sha256 of its model.onnx begins with {receipt.artifact}): feedback is counted for the loaded one only"
        )
    told = _compare(card, receipt, label)
    count_told(catalog.metrics, card.name, card.version, told)
    return told


def _compare(card: ModelCard, receipt: Receipt, label: str) -> Told:
    labels = card.labels  # two classes may have one name, as ImageNet's cranes: by it they are the same
    if label not in labels:
        raise InvalidParameter(
            f"label is {label[:80]!r}, not one of the {len(labels):,} labels of {card.name} version "
            f"{card.version}: /models/{card.name}/card lists them"
        )
    return Told(
        receipt.probability,
        labels[receipt.top] == label,
        receipt.coverage,
        any(labels[index] == label for index in receipt.label_set),
    )


def read_receipt_key(file: Path | None) -> bytes | None:
    """The key in the file that the setting receipt_key names, without white space around it. Raises ValueError, which
    never says the value of the setting: it may be the key itself by mistake.
    """
    if file is None:
        return None
    try:
        key = file.read_bytes().strip()
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(
            f"the file that receipt_key names can't be read: {reason}; receipt_key is the path of a file with the key"
        ) from error
    if len(key) < _LEAST_KEY_BYTES:
        raise ValueError(
            f"the key in the file that receipt_key names has {len(key)} bytes, at least {_LEAST_KEY_BYTES} are needed: "
            "openssl rand -hex 32 makes one"
        )
    return key


def _encode(data: bytes) -> str:
    """URL-safe base64 without padding."""
    return b64encode(data, b"-_").rstrip(b"=").decode()


def _sign(key: bytes, payload: bytes) -> str:
    return _encode(hmac.digest(key, payload, "sha256"))
