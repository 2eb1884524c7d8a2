"""Addresses of stores, and the folders that are named after them."""

from pathlib import Path

import pytest

from artifact.stores.address import Address, check_address, name_folder, read_repository


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://bucket", ("s3", "bucket", "")),
        ("s3://bucket/models/", ("s3", "bucket", "models")),
        ("gs://bucket/a/b", ("gs", "bucket", "a/b")),
        ("az://container/a", ("az", "container", "a")),
        ("https://example.org:8443/a", ("https", "example.org:8443", "a")),
        ("hf://owner/name@v1.0", ("hf", "owner", "name@v1.0")),
    ],
)
def test_an_address_has_three_parts(text: str, parts: tuple[str, str, str]) -> None:
    assert Address.of(text) == parts


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ftp://example.org", "a repository is a folder, s3://BUCKET/PATH"),
        ("s3:///models", "a repository is a folder"),
        ("https://example.org/a?b=c", "a repository is a folder"),
        ("https://me:secret@example.org/a", "an address must not contain a password"),
        ("hf://name", "hf://OWNER/NAME"),
        ("hf://owner/name/more", "hf://OWNER/NAME"),
    ],
)
def test_what_is_no_address_says_how_one_is_written(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        check_address(text)


def test_whatever_has_no_scheme_is_a_folder() -> None:
    assert read_repository("models/s3") == Path("models/s3")
    assert read_repository(Path("repository")) == Path("repository")
    assert read_repository("s3://bucket/") == "s3://bucket"


def test_no_two_addresses_share_a_folder() -> None:
    addresses = ["s3://bucket/a", "s3://bucket-a", "gs://bucket/a", "s3://bucket/" + "a" * 500]
    names = {name_folder(address) for address in addresses}
    assert len(names) == len(addresses)
    assert all(len(name) < 100 and "/" not in name for name in names)
