"""Receipts: signed by a key, read back by whoever has it, refused when they aren't what was given out."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.admission.feedback import Receipt, Receipts, read_receipt_key
from app.errors import BadReceipt, InvalidParameter

KEY = b"k" * 32


def sign(key: bytes = KEY, **changes: Any) -> str:
    model: Any = SimpleNamespace(name="tiny", version=3, card=SimpleNamespace(sha256="0123456789abcdef" * 4))
    asked = {"best": (4, 0.75), "label_set": [4, 1], "coverage": 0.9, **changes}
    return Receipts(key).sign(model, **asked)


def change(receipt: str, **fields: Any) -> str:
    """The receipt with other fields, under the signature that it had."""
    payload, _, signature = receipt.partition(".")
    said = json.loads(urlsafe_b64decode(payload + "=="))
    return urlsafe_b64encode(json.dumps({**said, **fields}).encode()).decode().rstrip("=") + "." + signature


def test_a_receipt_says_what_was_answered_to_whoever_has_the_key() -> None:
    read = Receipts(KEY).read(sign())
    assert read == Receipt("tiny", 3, "0123456789abcdef", 4, 0.75, (4, 1), 0.9)
    assert Receipts(KEY).read(sign(coverage=None, label_set=())) == read._replace(label_set=(), coverage=None)


def test_a_receipt_needs_no_escape_in_json_or_an_address() -> None:
    assert sign().replace(".", "").replace("-", "").replace("_", "").isalnum()


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(BadReceipt, match="was not signed by this service, or was changed") as caught:
        yield
    assert caught.value.status == 400


@pytest.mark.parametrize("fields", [{"set": [0, 4, 1]}, {"class": 1}, {"version": 4}, {"probability": 0.1}], ids=str)
def test_a_changed_receipt_is_refused(fields: dict[str, Any]) -> None:
    with refused():
        Receipts(KEY).read(change(sign(), **fields))


def test_a_receipt_is_refused_wherever_it_was_cut() -> None:
    whole = sign()
    for length in range(len(whole)):
        with refused():
            Receipts(KEY).read(whole[:length])


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b", "{}", "\ud800", "ä.ö", "a" * 100_000, sign() + "=", " " + sign(), sign(b"x" * 32)]
)
def test_what_this_key_never_signed_is_refused(text: str) -> None:
    with refused():
        Receipts(KEY).read(text)


def test_a_receipt_of_a_later_format_says_so() -> None:
    payload = urlsafe_b64encode(b'{"format":2}').rstrip(b"=")
    signature = urlsafe_b64encode(hmac.digest(KEY, payload, "sha256")).rstrip(b"=")
    with pytest.raises(BadReceipt, match="has format 2, this convserve reads 1"):
        Receipts(KEY).read(f"{payload.decode()}.{signature.decode()}")


def test_without_a_key_there_are_no_receipts() -> None:
    with pytest.raises(InvalidParameter, match="set receipt_key"):
        Receipts(None).read(sign())


def test_the_key_is_read_without_the_white_space_that_editors_add(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    assert read_receipt_key(file) == KEY
    assert read_receipt_key(None) is None


def test_a_key_that_can_be_guessed_and_a_key_in_place_of_its_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("short")
    with pytest.raises(ValueError, match="has 5 bytes, at least 32 are needed"):
        read_receipt_key(file)
    with pytest.raises(ValueError, match="can't be read: No such file or directory") as caught:
        read_receipt_key(Path("s3cret" * 10))
    assert "s3cret" not in str(caught.value)
