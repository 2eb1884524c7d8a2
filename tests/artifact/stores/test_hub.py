"""What the hub, by a stand-in, makes of a store's calls."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from artifact.errors import StoreError
from artifact.stores.hub import Hub
from tests.makers.stores import HubStandIn


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[HubStandIn]:
    folder = tmp_path / "hub"
    (folder / "tiny/1").mkdir(parents=True)
    (folder / "tiny/1/card.json").write_bytes(b"a card")
    server = HubStandIn(folder)
    yield server
    server.close()


@pytest.fixture
def hub(stand_in: HubStandIn) -> Hub:
    hub = Hub("hf://owner/digits")
    hub._api = HfApi(endpoint=stand_in.address)  # HF_ENDPOINT was read already
    return hub


def test_a_file_that_the_hub_lacks_is_no_fault_of_the_store(hub: Hub) -> None:
    assert list(hub.list()["tiny"]) == [1]
    assert hub.read("tiny/1/card.json") == b"a card"
    with pytest.raises(FileNotFoundError):
        hub.read("tiny/1/absent.json")


def test_a_hub_that_goes_away_after_its_listing_is_not_one_that_lacks_the_file(
    hub: Hub, stand_in: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.list()
    monkeypatch.setattr("time.sleep", lambda _: None)  # huggingface_hub tries again for 23 s
    stand_in.close()
    with pytest.raises(StoreError, match=r"can't be reached \(.*Connection refused\): check the network"):
        hub.read("tiny/1/card.json")
    with pytest.raises(StoreError, match="can't be reached"):
        hub.copy("tiny/1/card.json", tmp_path / "card.json", lambda: False)


def test_a_full_disk_is_no_fault_of_the_network(hub: Hub, tmp_path: Path) -> None:
    class FullDisk(HfApi):
        def hf_hub_download(self, *_: Any, **__: Any) -> str:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "card.json"))

    hub._api = FullDisk()
    with pytest.raises(OSError, match="No space left"):
        hub.copy("tiny/1/card.json", tmp_path / "card.json", lambda: False)
