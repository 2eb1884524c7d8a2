import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from app.cli.main import main
from tests.makers.artifacts import gray_image
from tests.makers.waiting import wait_until


def test_predict_draws_where_the_network_looked(repository: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "image.png", tmp_path / "why.png"
    image.write_bytes(gray_image(200, size=300))
    assert main(["predict", "tiny", str(image), "--repository", str(repository), "--explain", str(out)]) == 0
    with Image.open(out) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (300, 300))


def test_nothing_is_drawn_of_an_image_that_failed(repository: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "image.png", tmp_path / "why.png"
    image.write_bytes(b"no image")
    assert main(["predict", "tiny", str(image), "--repository", str(repository), "--explain", str(out)]) == 1
    assert not out.exists()


def test_several_images_cannot_be_explained(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "images", tmp_path / "why.png"
    folder.mkdir()
    names = [str(folder / "0.png"), str(folder / "200.png")]
    for name in names:
        Path(name).write_bytes(gray_image(200))
    (tmp_path / "LIST.CSV").write_text("path\nimages/0.png\nimages/200.png\n")
    given = ["--repository", str(repository), "--explain", str(out)]
    for words in ([str(folder)], [str(tmp_path / "LIST.CSV")], names):
        assert main(["predict", "tiny", *words, *given]) == 2
        assert "--explain draws one image, and these are 2: name one file" in capsys.readouterr().err
    assert not out.exists()
    Path(names[0]).unlink()
    assert main(["predict", "tiny", str(folder), *given]) == 0
    assert out.exists()


def run_predict(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "predict", *map(str, words)]
    options = {"env": {**os.environ, **environment}, "capture_output": True, "timeout": 120, "check": False}
    return subprocess.run(command, encoding="utf-8", **options)  # type: ignore[call-overload]


@pytest.fixture
def strange_names(tmp_path: Path) -> Path:
    """An image whose name isn't UTF-8, as in zip files from Windows, and one whose name would turn a terminal red."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (b"caf\xe9.png", b"e\x1b[31m.png", "größe.png".encode()):
        (folder / os.fsdecode(name)).write_bytes(gray_image(255))
    return folder


def test_a_csv_holds_every_file_whatever_its_name(repository: Path, strange_names: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    ended = run_predict("tiny", strange_names, "--repository", repository, "--csv", out, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert [Path(row["file"]).name for row in rows] == ["caf\\udce9.png", "e\x1b[31m.png", "größe.png"]
    assert [row["label"] for row in rows] == ["white"] * 3


@pytest.mark.parametrize(
    ("encoding", "name", "bar"), [("ascii", r"gr\xf6\xdfe.png", "###"), ("utf-8", "größe.png", "███")]
)
def test_the_table_survives_any_name_on_any_terminal(
    repository: Path, strange_names: Path, encoding: str, name: str, bar: str
) -> None:
    ended = run_predict("tiny", strange_names, "--repository", repository, PYTHONIOENCODING=encoding)
    assert ended.returncode == 0, ended.stderr
    found = [Path(line).name for line in ended.stdout.splitlines() if line.endswith(".png")]
    assert found == [r"caf\udce9.png", r"e\u001b[31m.png", name]
    assert bar in ended.stdout


def test_a_file_that_cannot_be_written_is_one_line(repository: Path, strange_names: Path) -> None:
    ended = run_predict("tiny", strange_names, "--repository", repository, "--csv", "/nowhere/out.csv")
    assert ended.returncode == 1
    assert ended.stderr == "convserve: /nowhere/out.csv.part can't be used: No such file or directory\n"


class Answering(ThreadingHTTPServer):
    """A service that answers this many requests, and lets the others wait."""

    daemon_threads = True

    def __init__(self, answers: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.left = threading.Semaphore(answers)


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Answering)
        self.server.left.acquire()
        classes = [{"label": "cat", "index": 0, "probability": 1.0}]
        body = json.dumps({"predictions": [{"classes": classes}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def half_done() -> Iterator[Answering]:
    server = Answering(20)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_interrupted_run_leaves_a_whole_csv_of_what_was_done(half_done: Answering, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.png").write_bytes(b"any")
    out = tmp_path / "out.csv"
    out.write_text("an older one")
    command = [sys.executable, "-m", "app", "predict", "m", str(tmp_path), "--csv", str(out)]
    address = f"http://127.0.0.1:{half_done.server_port}"
    # A job in the background begins with SIGINT ignored, and hands that on: a process at a terminal doesn't.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen([*command, "--url", address], stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    part = tmp_path / "out.csv.part"

    def rows() -> list[list[str]]:
        return list(csv.reader(part.read_text().splitlines())) if part.exists() else []

    # Answers come in any order, rows in that of the files: those before the first that waits are there.
    wait_until(lambda: len(rows()) > 1 and not half_done.left.acquire(blocking=False))
    assert out.read_text() == "an older one"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    header, first, *rest = csv.reader(out.read_text().splitlines())
    assert header == ["file", "label", "probability", "error"]
    found = [first, *rest]
    assert [Path(row[0]).name for row in found] == [f"{number:02}.png" for number in range(len(found))]
    assert {tuple(row[1:]) for row in found} == {("cat", "1.0", "")}
    assert not part.exists()
