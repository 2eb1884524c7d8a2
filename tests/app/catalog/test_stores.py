"""A service whose repository is a bucket, a web server or the hub: what it does when the store changes, goes away or is
wrong, in processes of its own.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.cli.main import main
from artifact.layout import MODEL_FILE
from artifact.stores.bucket import Bucket
from artifact.stores.index import write_index
from export.publish.place import open_place
from tests.makers.artifacts import damage, gray_image, make_artifact
from tests.makers.buckets import BUCKETS, BucketStandIn
from tests.makers.running_server import RunningServer, run_serve
from tests.makers.stores import HubStandIn, StandIn, WebStandIn
from tests.makers.waiting import wait_until

WHITE = gray_image(255)
StartServer = Callable[..., RunningServer]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebStandIn]:
    make_artifact(tmp_path / "site")
    write_index(tmp_path / "site")
    stand_in = WebStandIn(tmp_path / "site")
    yield stand_in
    stand_in.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    """Starts services over an address, all with the same cache."""
    servers: list[RunningServer] = []

    def start_one(address: str, *flags: str, environment: dict[str, str] | None = None) -> RunningServer:
        cache = ("--cache-dir", str(tmp_path / "cache"))
        servers.append(RunningServer("--repository", address, *cache, *flags, environment=environment))
        return servers[-1]

    yield start_one
    for server in servers:
        server.end()


@dataclass
class Repository:
    """One at a stand-in."""

    stand_in: StandIn
    address: str
    environment: dict[str, str]

    def publish(self, version: int, *, right: bool = True) -> None:
        """What convserve-export does once a version is made, or who copies a repository to a web server."""
        if isinstance(self.stand_in, WebStandIn):
            make_artifact(self.stand_in.folder, version=version)
            write_index(self.stand_in.folder)
            return
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with open_place(self.address) as place:
                place.check_writable()
                version_folder = make_artifact(place.folder, version=version)
                for name in ("labels.txt", "config.pbtxt"):
                    (version_folder.parent / name).write_text("of Triton's\n")
                if not right:
                    damage(version_folder)
                assert place.deliver(version_folder) == f"{self.address}/tiny/{version}"

    def replace(self, path: str, content: bytes) -> None:
        """A file in a bucket, by whatever tool."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            Bucket(self.address).write(path, content)


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest) -> Repository:
    """With version 1."""
    return make_repository(request.getfixturevalue(request.param), request)


@pytest.fixture(params=["web", *BUCKETS])
def store(request: pytest.FixtureRequest) -> Repository:
    """Whatever a repository can be that lists itself, with version 1."""
    return make_repository(request.getfixturevalue(request.param), request)


def make_repository(stand_in: StandIn, request: pytest.FixtureRequest) -> Repository:
    if isinstance(stand_in, BucketStandIn):
        address = stand_in.make_bucket(request.function.__name__.replace("_", "-")[:50].strip("-"))
        repository = Repository(stand_in, address, stand_in.environment)
        repository.publish(1)
        return repository
    return Repository(stand_in, stand_in.address, {})


def predict(port: int) -> tuple[int, int]:
    """The status of a prediction, and the version that gave it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/predict/tiny", WHITE, {"Content-Type": "image/png"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer.get("version", 0)


class Load:
    """Requests one after another from three clients, until it ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._go_on = threading.Event()
        self._go_on.set()
        self.answers: list[tuple[int, int]] = []
        self._clients = [threading.Thread(target=self._ask) for _ in range(3)]

    def _ask(self) -> None:
        while self._go_on.is_set():
            self.answers.append(predict(self._port))

    def __enter__(self) -> "Load":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.clear()
        for client in self._clients:
            client.join()

    def wait_for(self, version: int) -> None:
        wait_until(lambda: bool(self.answers) and self.answers[-1][1] == version)


def held(cache: Path) -> list[str]:
    """The version folders of the only store in the cache."""
    (store,) = cache.iterdir()
    return sorted(path.relative_to(store).as_posix() for path in store.glob("*/*"))


def test_a_bucket_is_served_by_all_workers_and_a_new_version_comes_under_load(
    bucket: Repository, start: StartServer
) -> None:
    server = start(bucket.address, "--poll-s", "0.1", "--workers", "2", environment=bucket.environment)
    with Load(server.port) as load:
        load.wait_for(1)
        bucket.publish(2)
        wait_until(lambda: {version for _, version in load.answers[-30:]} == {2})
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0
    copies = [line for line in server.lines if "copied tiny version" in line]
    assert len(copies) == 2, "one process copies, the others see it"


def test_a_version_that_is_wrong_in_the_bucket_is_told_once_and_never_served(
    bucket: Repository, start: StartServer, tmp_path: Path
) -> None:
    server = start(bucket.address, "--poll-s", "0.05", environment=bucket.environment)
    with Load(server.port) as load:
        bucket.publish(2, right=False)
        said = server.wait_for("tiny version 2 in .* is refused: .*")[0]
        assert re.search(r"model.onnx is damaged or was replaced: .*: export the model again", said)
        bucket.replace(f"tiny/1/{MODEL_FILE}", b"another file")
        server.wait_for(r"tiny version 1 in .*: it lacks model.onnx \(12 of \d+ bytes\): the earlier copy stays loaded")
        bucket.publish(3)
        load.wait_for(3)
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} == {1, 3}
    assert server.stop() == 0
    assert len([line for line in server.lines if "model.onnx is damaged" in line]) == 1
    assert held(tmp_path / "cache") == ["tiny/1", "tiny/3"]


def test_wrong_credentials_and_buckets_that_are_not_there_end_the_start_in_one_line(
    bucket: Repository, tmp_path: Path
) -> None:
    flags = ("--cache-dir", str(tmp_path / "cache"), "--port", "0")
    stand_in = bucket.stand_in
    assert isinstance(stand_in, BucketStandIn)
    with stand_in.asking_for_credentials() as wrong:
        done = run_serve("--repository", bucket.address, *flags, environment=wrong)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert re.search(f"{bucket.address} refuses the credentials {stand_in.refusal}", done.stderr)
    absent = f"{stand_in.scheme}://absent/models"
    done = run_serve("--repository", absent, *flags, environment=bucket.environment)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"{absent} does not exist ({stand_in.no_bucket}): create it, or name another" in done.stderr


def test_what_was_loaded_goes_on_while_the_store_is_away(store: Repository, start: StartServer) -> None:
    server = start(store.address, "--poll-s", "0.05", environment=store.environment)
    with Load(server.port) as load:
        store.stand_in.close()
        said = server.wait_for("can't be reached.*")[0]
        assert (
            said == "can't be reached (Connection refused): check its address and the network: the loaded models stay"
        )
        store.stand_in.open()
        server.wait_for("the repository can be read again")
        store.publish(2)
        load.wait_for(2)
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0
    assert len([line for line in server.lines if "can't be reached" in line]) == 1


def test_a_file_that_the_store_lists_and_does_not_have_is_waited_for(store: Repository, start: StartServer) -> None:
    server = start(store.address, "--poll-s", "0.05", environment=store.environment)
    store.stand_in.lost = f"2/{MODEL_FILE}"
    with Load(server.port) as load:
        store.publish(2)
        server.wait_for("tiny version 2 in .* is being copied: it lacks model.onnx$")
        load.wait_for(1)
        store.stand_in.lost = ""
        load.wait_for(2)
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0
    assert len([line for line in server.lines if "it lacks model.onnx" in line]) == 1


def test_a_start_from_a_filled_cache_needs_no_store(web: WebStandIn, start: StartServer) -> None:
    assert start(web.address).stop() == 0
    web.close()
    server = start(web.address)
    assert predict(server.port) == (200, 1)
    if not any("can't be reached" in line for line in server.lines):  # it may be said before it is ready
        server.wait_for("can't be reached .*: the loaded models stay")
    assert server.stop() == 0


def test_a_service_without_store_and_cache_says_so_and_ends(web: WebStandIn, tmp_path: Path) -> None:
    web.close()
    done = run_serve("--repository", web.address, "--cache-dir", str(tmp_path / "cache"), "--port", "0")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"the repository {web.address} can't be reached (Connection refused)" in done.stderr


def test_a_copy_that_is_killed_in_the_middle_leaves_nothing_half(
    store: Repository, start: StartServer, tmp_path: Path
) -> None:
    store.stand_in.held = MODEL_FILE
    command = [sys.executable, "-m", "app", "serve", "--repository", store.address]
    killed = subprocess.Popen(
        [*command, "--cache-dir", str(tmp_path / "cache"), "--port", "0"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, **store.environment},
    )
    assert store.stand_in.holding.wait(60)
    killed.kill()
    killed.wait()
    assert held(tmp_path / "cache") == [path for path in held(tmp_path / "cache") if path.startswith(".copy-")]
    store.stand_in.release()
    server = start(store.address, environment=store.environment)
    assert predict(server.port) == (200, 1)
    assert server.stop() == 0
    assert held(tmp_path / "cache") == ["tiny/1"]


def test_a_web_server_is_read_by_its_index_and_with_the_password_of_netrc(
    web: WebStandIn, start: StartServer, tmp_path: Path
) -> None:
    web.password = "bWU6c2VjcmV0"  # me:secret
    flags = ("--cache-dir", str(tmp_path / "cache"), "--port", "0")
    done = run_serve("--repository", web.address, *flags, environment={"HOME": str(tmp_path)})
    assert (
        "refuses the credentials (401 Unauthorized): the password for its server is read from ~/.netrc" in done.stderr
    )
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    server = start(web.address, environment={"HOME": str(tmp_path)})
    assert predict(server.port) == (200, 1)
    done = run_serve("--repository", f"{web.address}/absent", *flags, environment={"HOME": str(tmp_path)})
    assert f"the repository {web.address}/absent has no index.json: check the address" in done.stderr


def test_a_card_that_is_not_the_one_of_the_index_is_waited_for(web: WebStandIn, start: StartServer) -> None:
    server = start(web.address, "--poll-s", "0.05")
    make_artifact(web.folder, version=2)
    write_index(web.folder)
    card = web.folder / "tiny/2/card.json"
    content = card.read_bytes()
    shutil.copy(web.folder / "tiny/1/card.json", card)
    server.wait_for("it lacks the card.json that the listing has")
    card.write_bytes(content)
    server.wait_for("copied tiny version 2")
    wait_until(lambda: predict(server.port) == (200, 2))
    assert server.stop() == 0


def test_the_hub_is_served_and_its_head_followed(start: StartServer, tmp_path: Path) -> None:
    make_artifact(tmp_path / "hub")
    hub = HubStandIn(tmp_path / "hub")
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf")}
    try:
        server = start("hf://owner/digits", "--poll-s", "0.1", environment=environment)
        with Load(server.port) as load:
            load.wait_for(1)
            make_artifact(hub.folder, version=2)
            load.wait_for(2)
        assert {status for status, _ in load.answers} == {200}
        assert server.stop() == 0
        flags = ("--cache-dir", str(tmp_path / "empty"), "--port", "0")
        done = run_serve("--repository", "hf://owner/absent", *flags, environment=environment)
        assert "hf://owner/absent does not exist, or you may not read it: check the name, and log in" in done.stderr
        done = run_serve("--repository", "hf://owner/digits@other", *flags, environment=environment)
        assert "hf://owner/digits@other has no revision 'other': name a branch, a tag or a commit" in done.stderr
    finally:
        hub.close()


def test_commands_without_a_service_take_an_address_too(
    web: WebStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVSERVE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "white.png").write_bytes(WHITE)
    assert main(["predict", "tiny", str(tmp_path / "white.png"), "--repository", web.address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    make_artifact(web.folder, version=2)
    write_index(web.folder)
    assert main(["predict", "tiny", str(tmp_path / "white.png"), "--repository", web.address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2
    web.close()
    assert main(["bench", "tiny", "--repository", web.address, "--seconds", "0.001"]) == 0
    monkeypatch.setenv("CONVSERVE_CACHE_DIR", str(tmp_path / "empty"))
    assert main(["models", "--repository", web.address]) == 1
    assert "can't be reached (Connection refused)" in capsys.readouterr().err
