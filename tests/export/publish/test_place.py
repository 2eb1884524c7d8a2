"""Publishing into a store by way of a folder: the same checks as in a folder, files first and the card last."""

import json
from pathlib import Path

import pytest

from artifact.layout import CARD_FILE
from artifact.stores.index import hash_card
from export.cli.main import main
from export.errors import PublishError, UsageError
from export.publish.pipeline import convert
from export.publish.place import StorePlace, open_place
from export.publish.read_back import verify_published
from export.sources.source import Source
from tests.export.publish.test_adopt import TORCHVISION, write_network
from tests.makers.artifacts import make_artifact
from tests.makers.buckets import S3StandIn
from tests.makers.stores import FolderStore


class OrderedStore(FolderStore):
    """Remembers the order in which it was written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written: list[str] = []

    def write(self, path: str, content: bytes | Path) -> None:
        super().write(path, content)
        self.written.append(path)


@pytest.fixture
def store(tmp_path: Path) -> OrderedStore:
    (tmp_path / "store").mkdir()
    return OrderedStore(tmp_path / "store")


def place_of(store: FolderStore, folder: Path) -> StorePlace:
    folder.mkdir()
    return StorePlace(store, folder)


def test_files_come_first_the_card_and_the_index_last(
    color_source: Source, store: OrderedStore, tmp_path: Path
) -> None:
    place = place_of(store, tmp_path / "beside")
    place.prepare("blobs")
    folder = convert(color_source, place.folder)
    assert place.deliver(folder) == "s3://stand-in/models/blobs/1"
    assert store.written[-2:] == [f"blobs/1/{CARD_FILE}", "index.json"]
    assert {"blobs/labels.txt", "blobs/config.pbtxt", "blobs/1/model.onnx"} < set(store.written)
    assert store.written[0] == "blobs/1/golden/expected.npz"
    index = json.loads(store.read("index.json"))
    assert index["models"] == {"blobs": {"1": hash_card(store.read(f"blobs/1/{CARD_FILE}"))}}
    again = place_of(store, tmp_path / "read")
    published = again.fetch("blobs")
    assert verify_published(published).max_abs_difference < 1e-5


def test_the_next_version_is_the_next_of_the_store_and_agrees_with_it(
    color_source: Source, store: OrderedStore, tmp_path: Path
) -> None:
    make_artifact(store.folder, "blobs", 7)
    place = place_of(store, tmp_path / "beside")
    place.prepare("blobs")
    with pytest.raises(PublishError, match="blobs version 7 has other labels"):
        convert(color_source, place.folder)
    assert not store.written


def test_a_number_that_somebody_took_meanwhile_is_left_to_him(
    color_source: Source, store: OrderedStore, tmp_path: Path
) -> None:
    first, second = (place_of(store, tmp_path / name) for name in ("first", "second"))
    folders = {}
    for place in (first, second):
        place.prepare("blobs")
        folders[place] = convert(color_source, place.folder)
    assert first.deliver(folders[first]).endswith("blobs/1")
    assert second.deliver(folders[second]).endswith("blobs/2")
    card = json.loads(store.read(f"blobs/2/{CARD_FILE}"))
    assert card["version"] == 2
    assert list(json.loads(store.read("index.json"))["models"]["blobs"]) == ["1", "2"]


def test_a_folder_gets_an_index_too(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    folder = convert(color_source, tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert list(index["models"]["blobs"]) == ["1", "2"]
    assert index["models"]["blobs"]["2"] == hash_card((folder / CARD_FILE).read_bytes())


@pytest.mark.parametrize("address", ["https://example.org/models", "hf://owner/name"])
def test_what_is_read_only_says_so_before_the_work(address: str) -> None:
    with (
        open_place(address) as place,
        pytest.raises(UsageError, match="is read only: publish into a folder, s3://, gs:// or az://"),
    ):
        place.check_writable()


def test_a_store_that_is_away_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    assert main(["adopt", "absent.onnx", "--repository", "s3://bucket/models"]) == 1
    said = capsys.readouterr().err
    assert said.endswith(
        "can't be reached (Connection refused): check its address and the network; nothing was published\n"
    )
    assert main(["verify", "tiny", "--repository", "s3://bucket/models"]) == 1
    assert "nothing was published" not in capsys.readouterr().err


def test_the_commands_publish_into_a_bucket_and_read_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    network = str(write_network(tmp_path / "net.onnx"))
    images = ["--labels", str(tmp_path / "labels.txt"), *TORCHVISION]
    s3 = S3StandIn()
    try:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        address = s3.make_bucket("published")
        for version in ("1", "2"):
            assert main(["adopt", network, "--name", "mine", *images, "--repository", address, "--json"]) == 0
            told = capsys.readouterr()
            assert json.loads(told.out)["folder"] == f"{address}/mine/{version}"
            assert f"published {address}/mine/{version}\n" in told.err
        assert main(["verify", "mine/1", "--repository", address]) == 0
        assert capsys.readouterr().out.startswith("mine version 1: sha256 right")
        (tmp_path / "labels.txt").write_text("cat\ndog\nfish\n")
        assert main(["adopt", network, "--name", "mine", *images, "--repository", address]) == 1
        assert "mine version 2 has other labels" in capsys.readouterr().err
        assert main(["verify", "absent", "--repository", address]) == 2
        assert f"{address} has no 'absent': there are mine/2" in capsys.readouterr().err
    finally:
        s3.end()


def test_an_address_that_is_none_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "tiny", "--repository", "ftp://example.org"])
    assert ended.value.code == 2
    assert "'ftp://example.org': a repository is a folder, s3://BUCKET/PATH" in capsys.readouterr().err
