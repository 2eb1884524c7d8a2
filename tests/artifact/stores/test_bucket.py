"""What S3, Azure and Google, all by stand-ins, make of a bucket's calls, and where keys come from."""

from pathlib import Path

import pytest

from artifact.errors import StoreError
from artifact.stores.bucket import Bucket
from artifact.stores.index import hash_card, write_store_index
from artifact.stores.opening import open_store
from tests.makers.buckets import BUCKETS, KEYS, BucketStandIn, S3StandIn


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return open_bucket(request.getfixturevalue(request.param), request, monkeypatch)


@pytest.fixture
def s3_bucket(s3: S3StandIn, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return open_bucket(s3, request, monkeypatch)


def open_bucket(stand_in: BucketStandIn, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(stand_in.make_bucket(request.function.__name__.replace("_", "-")[:50].strip("-")))


def test_only_files_of_versions_are_listed(bucket: Bucket) -> None:
    for path in ("tiny/1/card.json", "tiny/1/golden/0.png", "tiny/labels.txt", "tiny/01/card.json", ".tmp/1/a", "a"):
        bucket.write(path, b"content")
    listing = bucket.list()
    assert {name: list(versions) for name, versions in listing.items()} == {"tiny": [1]}
    files = listing["tiny"][1]
    assert {path: entry.size for path, entry in files.items()} == {"card.json": 7, "golden/0.png": 7}
    before = files["card.json"].mark
    bucket.write("tiny/1/card.json", b"another")
    assert bucket.list()["tiny"][1]["card.json"].mark != before


def test_a_file_is_claimed_once(bucket: Bucket) -> None:
    assert bucket.claim("tiny/1/a", b"first")
    assert not bucket.claim("tiny/1/a", b"second")
    assert bucket.read("tiny/1/a") == b"first"


def test_a_file_that_is_not_there_is_no_fault_of_the_store(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bucket.read("tiny/1/card.json")
    with pytest.raises(FileNotFoundError):
        bucket.copy("tiny/1/card.json", tmp_path / "card.json", lambda: False)


def test_the_index_names_versions_that_have_a_card(bucket: Bucket) -> None:
    bucket.write("tiny/1/card.json", b"one")
    bucket.write("tiny/2/model.onnx", b"arriving")
    write_store_index(bucket)
    bucket.write("tiny/2/card.json", b"two")
    write_store_index(bucket)
    assert hash_card(b"one") in (index := bucket.read("index.json").decode())
    assert hash_card(b"two") in index


def test_keys_come_from_the_profile_where_the_environment_has_none(
    s3: S3StandIn, s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = of-the-profile\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert Bucket(s3_bucket.address).list() == {}
    with s3.asking_for_credentials(), pytest.raises(StoreError, match="refuses the credentials"):
        Bucket(s3_bucket.address).list()


def test_the_profile_is_read_from_files_as_aws_own_tools_read_them(
    s3: S3StandIn, s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = first\n[default]\naws_access_key_id = a%b\naws_secret_access_key = %(secret\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile other]\ncredential_process = /bin/x --user %u\n"
    )
    assert Bucket(s3_bucket.address).list() == {}
    for damaged in (b"[default]\nregion\n", b"[default\n", b"region = a\n", b"[default]\nregion = \xff\n"):
        (tmp_path / "config").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"/config can't be read \(.*\): repair or remove it"):
            Bucket(s3_bucket.address)


def test_azure_without_an_account_names_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"needs credentials, and none were found .*: set AZURE_STORAGE_ACCOUNT_NAME"):
        open_store("az://container/models")
