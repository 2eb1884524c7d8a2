"""A service whose repository is a bucket, a web server or the hub: what it does when the store changes, goes away or is
wrong, in processes of its own.
"""

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.cli.main import main
from artifact.layout import MODEL_FILE
from artifact.stores.bucket import Bucket
from artifact.stores.index import write_index
from export.publish.place import open_place
from tests.makers.artifacts import damage, gray_image, make_artifact
from tests.makers.running_server import RunningServer, run_serve
from tests.makers.stores import HubStandIn, S3StandIn, WebStandIn
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


def publish(address: str, version: int, monkeypatch: pytest.MonkeyPatch, s3: S3StandIn, *, right: bool = True) -> None:
    """What convserve-export does once a version is made."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with open_place(address) as place:
        place.check_writable()
        version_folder = make_artifact(place.folder, version=version)
        for name in ("labels.txt", "config.pbtxt"):
            (version_folder.parent / name).write_text("of Triton's\n")
        if not right:
            damage(version_folder)
        assert place.deliver(version_folder) == f"{address}/tiny/{version}"


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
    s3: S3StandIn, start: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = s3.make_bucket("polled")
    publish(address, 1, monkeypatch, s3)
    server = start(address, "--poll-s", "0.1", "--workers", "2", environment=s3.environment)
    with Load(server.port) as load:
        load.wait_for(1)
        publish(address, 2, monkeypatch, s3)
        wait_until(lambda: {version for _, version in load.answers[-30:]} == {2})
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0
    copies = [line for line in server.lines if "copied tiny version" in line]
    assert len(copies) == 2, "one process copies, the others see it"


def test_a_version_that_is_wrong_in_the_bucket_is_told_once_and_never_served(
    s3: S3StandIn, start: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = s3.make_bucket("damaged")
    publish(address, 1, monkeypatch, s3)
    server = start(address, "--poll-s", "0.05", environment=s3.environment)
    with Load(server.port) as load:
        publish(address, 2, monkeypatch, s3, right=False)
        said = server.wait_for("tiny version 2 in .* is refused: .*")[0]
        assert re.search(r"model.onnx is damaged or was replaced: .*: export the model again", said)
        Bucket(address).write(f"tiny/1/{MODEL_FILE}", b"another file")
        server.wait_for(r"tiny version 1 in .*: it lacks model.onnx \(12 of \d+ bytes\): the earlier copy stays loaded")
        publish(address, 3, monkeypatch, s3)
        load.wait_for(3)
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} == {1, 3}
    assert server.stop() == 0
    assert len([line for line in server.lines if "model.onnx is damaged" in line]) == 1
    assert held(tmp_path / "cache") == ["tiny/1", "tiny/3"]


def test_wrong_credentials_and_buckets_that_are_not_there_end_the_start_in_one_line(
    s3: S3StandIn, tmp_path: Path
) -> None:
    flags = ("--cache-dir", str(tmp_path / "cache"), "--port", "0")
    address = s3.make_bucket("private")
    with s3.asking_for_credentials():
        done = run_serve("--repository", address, *flags, environment=s3.environment)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"{address} refuses the credentials (InvalidAccessKeyId): set AWS_ACCESS_KEY_ID" in done.stderr
    done = run_serve("--repository", "s3://absent/models", *flags, environment=s3.environment)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "s3://absent/models does not exist (NoSuchBucket): create it, or name another" in done.stderr


def test_what_was_loaded_goes_on_while_the_store_is_away(web: WebStandIn, start: StartServer) -> None:
    server = start(web.address, "--poll-s", "0.05")
    with Load(server.port) as load:
        web.close()
        said = server.wait_for("can't be reached.*")[0]
        assert (
            said == "can't be reached (Connection refused): check its address and the network: the loaded models stay"
        )
        make_artifact(web.folder, version=2)
        write_index(web.folder)
        web.open()
        server.wait_for("the repository can be read again")
        load.wait_for(2)
    assert {status for status, _ in load.answers} == {200}
    assert server.stop() == 0
    assert len([line for line in server.lines if "can't be reached" in line]) == 1


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
    web: WebStandIn, start: StartServer, tmp_path: Path
) -> None:
    web.held = MODEL_FILE
    command = [sys.executable, "-m", "app", "serve", "--repository", web.address]
    killed = subprocess.Popen(
        [*command, "--cache-dir", str(tmp_path / "cache"), "--port", "0"], stderr=subprocess.DEVNULL
    )
    assert web.holding.wait(60)
    killed.kill()
    killed.wait()
    assert held(tmp_path / "cache") == [path for path in held(tmp_path / "cache") if path.startswith(".copy-")]
    web.held = ""
    server = start(web.address)
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
