"""Every command of README.md and docs/*.md is run, page by page and in order, in a fresh copy of the tracked files.

What isn't run is listed with its reason in tests/makers/document_commands.py. Trainings take one epoch of small data
sets, networks are narrow, ports and placeholders are filled in; everything else is run as it stands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from artifact.figures.evaluation import ScoreQuantiles
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.document_commands import NOT_RUN, PAGES, Command, list_commands
from tests.makers.original_sets import write_cifar_sets, write_idx_set
from tests.makers.pooled import make_pooled_artifact
from tests.makers.sources import ROOT, tracked_files
from tests.makers.stored_sets import draw_images, write_folder, write_manifest

RUN = {page: [found for found in list_commands(page) if found.why_not_run is None] for page in PAGES}
FLOWERS = ("daisy", "rose", "tulip")
SERVER = re.compile(r"(?:convserve|make) serve\b")


def test_everything_that_is_not_run_has_a_reason_and_every_reason_a_line() -> None:
    commands = [command for page in PAGES for command in list_commands(page)]
    listed = [line for lines in NOT_RUN.values() for line in lines]
    assert [line for line in listed if not any(command.matches(*line) for command in commands)] == []


@dataclass
class Clone:
    """A copy of the tracked files with an environment as `make install` leaves it, and the service that runs there."""

    folder: Path
    port: int
    other_port: int
    grpc_port: int
    # What a page's placeholders stand for; patterns.
    words: dict[str, str] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    printed: str = ""

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder}/.venv/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "PORT": str(self.port),
            "CONVSERVE_PORT": str(self.port),
            "CONVSERVE_DATA_DIR": str(self.folder / "DATA"),
        }

    def fill_in(self, text: str) -> str:
        ports = {"8000": self.port, "8002": self.other_port, "9000": self.grpc_port}
        for old, new in ports.items():
            text = re.sub(rf"(127\.0\.0\.1:|port ){old}\b", rf"\g<1>{new}", text)
        if re.match(r"convserve-export (train|suspects)", text):
            text = re.sub(r"epochs=\d+", "epochs=1", re.sub(r"width=\S+", "width=4", text))
            text = re.sub(r"--epochs \d+", "--epochs 1", text)
        if text.startswith("convserve-export train") and "epochs" not in text:
            text = re.sub(r"\s*(#.*)?$", " --epochs 1", text, count=1)
        for old, new in self.words.items():
            text = re.sub(old, new, text)
        return text

    def run(self, command: Command) -> None:
        text = self.fill_in(command.text)
        if SERVER.match(text):
            self.serve(text)
            return
        if "curl" in text and not self.servers:
            self.serve("convserve serve --repository repository")
        given = {"cwd": self.folder, "env": self.environment, "timeout": 900}
        ended = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False, **given)
        assert ended.returncode == 0, f"{command.page}:{command.line}: {text}\n{ended.stdout}{ended.stderr}"
        self.printed = ended.stdout
        if "curl" in text:
            self.compare(command)

    def compare(self, command: Command) -> None:
        """An answer has the members that its page shows, and is an error only where the page shows that one."""
        shown = "".join(command.shown)
        for kind in re.findall(r"urn:convserve:\w+", self.printed):
            assert kind in shown, self.printed
        assert set(re.findall(r'"(\w+)":', shown)) <= set(re.findall(r'"(\w+)":', self.printed)), self.printed

    def serve(self, text: str) -> None:
        beside = text.endswith("&")
        if not beside:
            self.stop()
        text = "exec " + text.rstrip("& ")
        given = {"cwd": self.folder, "env": self.environment, "start_new_session": True}
        started = subprocess.Popen(["bash", "-c", text], **given)
        self.servers.append(started)
        kind = "https" if "--ssl" in text else "http"
        address = f"{kind}://127.0.0.1:{self.other_port if beside else self.port}/health/ready"
        for _ in range(3000):
            assert started.poll() is None, f"it ended: {text}"
            try:
                urllib.request.urlopen(address, timeout=10, context=ssl._create_unverified_context())
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"it isn't ready: {text}")

    def stop(self) -> None:
        """The whole group: `make serve` is a parent of its server."""
        for server in self.servers:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
        for server in self.servers:
            server.wait(60)
        self.servers.clear()


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    folder = tmp_path / "clone"
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix, part))
    for runtime in ("cpu", "gpu"):
        (environment / f"installed-{runtime}").touch()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    found = Clone(folder, *ports)
    yield found
    found.stop()


def write_photos(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 30), "red").save(folder / name)


def save_classifier(file: Path) -> None:
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, strides=2, activation="relu")]
    keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]).save(file)
    file.with_suffix(".txt").write_text("\n".join(FLOWERS))


def write_digit(clone: Clone, name: str = "digit.png") -> None:
    (clone.folder / name).write_bytes(gray_image(150))


def train_small(clone: Clone, *words: str) -> None:
    command = ["convserve-export", *words]
    subprocess.run(command, cwd=clone.folder, env=clone.environment, check=True, capture_output=True, timeout=600)


def ready_readme(clone: Clone) -> None:
    save_classifier(clone.folder / "pets.keras")
    (clone.folder / "pets.txt").rename(clone.folder / "labels.txt")
    for name in ("mnist", "fashion-mnist"):
        write_idx_set(clone.folder / "DATA" / name, 400, 100)


def ready_cluster(clone: Clone) -> None:
    make_artifact(clone.repository, "lenet5-digits")
    make_artifact(clone.repository, "resnet", labels=("cat", "dog"), channels=3)
    write_photos(clone.folder / "photos", "a.jpg", "b.jpg")
    write_manifest(draw_images(count=3), clone.folder / "test.csv")
    write_digit(clone)


def ready_triton(clone: Clone) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    weights = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "resnet",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])],
        [numpy_helper.from_array(weights, "weights")],
    )
    folder = clone.folder / "model_repository/resnet/1"
    folder.mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    write_photos(clone.folder, "photo.jpg")


def ready_feedback(clone: Clone) -> None:
    quantiles = ScoreQuantiles(images=500, coverage=(0.9, 0.95), score=(0.5, 0.999))
    make_artifact(clone.repository, "lenet5-digits", labels=tuple("0123456789"), score_quantiles=quantiles)
    write_digit(clone)


def ready_gpu(clone: Clone) -> None:
    make_artifact(clone.repository)


def ready_inception(clone: Clone) -> None:
    """ImageNet's weights would come from the network: a file of the same layers stands for them, and small images."""
    from models.registry import NETWORKS

    NETWORKS["inception_v3"].build().save_weights(clone.folder / "imagenet.weights.h5")
    write_folder(draw_images(FLOWERS, 12), clone.folder / "plants")
    write_photos(clone.folder, "rose.jpg")
    small, lenient = "--weights imagenet.weights.h5 --size 96x96", "--precision int8 --allow-slower --budget 100"
    clone.words = {"--weights imagenet": small, "--precision int8": lenient}


def ready_operating(clone: Clone) -> None:
    make_artifact(clone.repository)
    hashes = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
    clone.words = {"OTHER_HASH": hashes.replace("0", "1"), r"\bHASH\b": hashes}
    for there, here in (("certificate.pem", "chain.pem"), ("key.pem", "key.pem")):
        shutil.copyfile(ROOT / "tests/fixtures/tls" / there, clone.folder / here)


def ready_own_classifier(clone: Clone) -> None:
    save_classifier(clone.folder / "flowers.keras")
    for name, seed in (("validation", 0), ("flowers-2", 1), ("images", 2)):
        write_folder(draw_images(FLOWERS, 12, seed), clone.folder / name)
    words = ("--set", "width=4", "--size", "32x32", "--epochs", "1", "--out", "runs/flowers")
    train_small(clone, "train", "resnet18", "--dataset", "images/", *words)
    write_photos(clone.folder, "rose.jpg")


def ready_recipes(clone: Clone) -> None:
    text = (ROOT / "docs/recipes.md").read_text()
    (recipe,) = re.findall(r"^    # mine\.toml\n((?:    .*\n|\n)*)", text, re.MULTILINE)
    small = re.sub(r"(?m)^epochs = \d+", "epochs = 1", re.sub(r"(?m)^    ", "", recipe))
    (clone.folder / "mine.toml").write_text(re.sub(r"(?m)^width = \d+", "width = 4", small))
    write_idx_set(clone.folder / "DATA/mnist", 400, 100)
    write_cifar_sets(clone.folder / "DATA")
    for name, seed in (("plants", 0), ("more-plants", 1), ("photos", 2)):
        write_folder(draw_images(FLOWERS, 12, seed), clone.folder / name)
    words = ("--set", "width=4", "--size", "32x32", "--epochs", "1", "--out", "runs/plants")
    train_small(clone, "train", "resnet18", "--dataset", "plants/", *words)
    # `build mine.toml` above has published the first version.
    small = "resnet50 --dataset photos/ --size 32x32 --set width=4"
    clone.words = {"resnet18-cifar10/3": "resnet18-cifar10/1", "resnet50 --dataset photos/": small}


def ready_series(clone: Clone) -> None:
    for name in ("mnist", "fashion-mnist"):
        write_idx_set(clone.folder / "DATA" / name, 400, 100)
    write_cifar_sets(clone.folder / "DATA")


def ready_traffic(clone: Clone) -> None:
    for version in (3, 4):
        make_artifact(clone.repository, "lenet5", version)
    key = subprocess.run(["convserve", "key"], env=clone.environment, capture_output=True, text=True, check=True).stdout
    shown, hashed = re.findall(r"[\w-]{32,}", key)
    clone.words = {r"\bHASH\b": hashed, r"\$KEY": shown}


def ready_tuning(clone: Clone) -> None:
    make_pooled_artifact(clone.repository, "resnet18")
    clone.words = {"--p99 100": "--p99 100 --seconds 1 --confirm 2 --budget-minutes 1"}


READY: dict[str, Callable[[Clone], None]] = {
    "README.md": ready_readme,
    "docs/cluster.md": ready_cluster,
    "docs/coming-from-triton.md": ready_triton,
    "docs/feedback.md": ready_feedback,
    "docs/gpu.md": ready_gpu,
    "docs/inception-v3.md": ready_inception,
    "docs/operating.md": ready_operating,
    "docs/own-classifier.md": ready_own_classifier,
    "docs/recipes.md": ready_recipes,
    "docs/series.md": ready_series,
    "docs/traffic.md": ready_traffic,
    "docs/tuning.md": ready_tuning,
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in PAGES if RUN[page]])
def test_every_command_of_a_page_does_what_the_page_says(page: str, clone: Clone) -> None:
    READY[page](clone)
    for command in RUN[page]:
        if (
            page == "docs/series.md"
        ):  # its lines are a choice, not a sequence: two of a network would share a run folder
            shutil.rmtree(clone.folder / "runs", ignore_errors=True)
        if "eyJ" in command.text:  # a receipt that the page shortens: the one that was just given
            (receipt,) = (found["receipt"] for found in json.loads(clone.printed)["predictions"])
            clone.words = {r"eyJ[^\"]*": receipt}
        clone.run(command)
