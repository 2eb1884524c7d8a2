"""What --log writes, read back from the event files and from MLflow's folder."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from artifact.card import NetworkInfo, Training
from artifact.figures.evaluation import Evaluation
from artifact.image_policy import ImagePolicy
from export.cli.main import main
from export.data.preprocessing import preset
from export.errors import UsageError
from export.report.plots import draw_curves
from export.sources.run_folder import Run
from export.training.logs.log import Log, read_log

ROWS = [
    {"epoch": epoch, "loss": 1 / epoch, "val_loss": 2 / epoch, "val_accuracy": epoch / 4, "learning_rate": 0.1 / epoch}
    for epoch in (1, 2, 3)
]


@pytest.fixture
def run() -> Run:
    """A finished run, as `finish` is given it."""
    training = Training(
        dataset="digits", images=9, validation_images=1, epochs=3, seed=5, recipe={}, seconds=1, backend="none"
    )
    return Run(
        license="CC0-1.0",
        network=NetworkInfo(name="lenet5", origin="convserve", parameters=1, weights="trained"),
        labels=("no", "yes"),
        image=ImagePolicy(height=8, width=8, channels=1),
        preprocessing=preset("unit", 1),
        training=training,
        evaluation=Evaluation(dataset="digits", split="test", images=8, top1=0.75, top5=1, ece=0.25),
        model_name="lenet5-digits",
        dataset="digits",
        data_dir=None,
        split="the set's own",
        seed=5,
        recipe={"network": "lenet5", "learning_rate": 0.1, "freeze": False, "options.width": None},
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    draw_curves([{**row, "accuracy": 0.5} for row in ROWS], 3, "accuracy", 10, folder / "curves.png")
    return folder


def log_and_be_killed(word: str, folder: Path, run: Run, report: Path) -> None:
    """Killed after epoch 2 was logged, before its checkpoint: resumed at epoch 2, then finished."""
    first = open_log(word, folder)
    first.begin(run, [])
    first.add_epoch(ROWS[0])
    first.add_epoch(ROWS[1])
    second = open_log(word, folder)
    second.begin(run, ROWS[:1])
    second.add_epoch(ROWS[1])
    second.add_epoch(ROWS[2])
    second.finish(run, report)


def open_log(word: str, folder: Path) -> Log:
    folder.mkdir(exist_ok=True)
    return read_log(word).open(folder)


def read_events(file: Path) -> Iterator[Any]:
    """The records of an event file: length, checksum, bytes, checksum."""
    data = file.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record, (checksum,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert checksum == masked_crc32c(record)
        yield Event.FromString(record)
        data = data[16 + length :]


def shown(folder: Path) -> dict[str, dict[int, Any]]:
    """What TensorBoard shows of a folder: a start of a session takes back all events from its step on."""
    found: dict[str, dict[int, Any]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in read_events(file):
            if event.session_log.status == SessionLog.START:
                found = {tag: {s: v for s, v in values.items() if s < event.step} for tag, values in found.items()}
            for value in event.summary.value:
                known = found.setdefault(value.tag, {})
                # The figures of the end may stand there twice, but alike.
                ends = value.tag.startswith(("_hparams_", "test_", "report/"))
                assert event.step not in known or (ends and known[event.step].simple_value == value.simple_value)
                known[event.step] = value
    return found


def test_a_resumed_training_goes_on_in_its_event_files(tmp_path: Path, run: Run, report: Path) -> None:
    log_and_be_killed("tensorboard", tmp_path / "run", run, report)
    found = shown(tmp_path / "run" / "tensorboard")
    for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
        steps = {step: value.simple_value for step, value in found[name].items()}
        assert steps == pytest.approx({row["epoch"]: row[name] for row in ROWS})
    assert found["test_top1"][3].simple_value == 0.75
    assert found["report/curves"][3].image.encoded_image_string.startswith(b"\x89PNG")
    assert b"learning_rate" in found["_hparams_/session_start_info"][0].metadata.plugin_data.content


def test_a_resumed_training_goes_on_in_its_mlflow_run(tmp_path: Path, run: Run, report: Path) -> None:
    store = tmp_path / "store"
    log_and_be_killed(f"mlflow:{store}", tmp_path / "lenet5-digits", run, report)
    client = MlflowClient(store.as_uri())
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert (logged.info.run_name, logged.info.status) == ("lenet5-digits", "FINISHED")
    assert {"network": "lenet5", "learning_rate": "0.1", "seed": "5"}.items() <= logged.data.params.items()
    for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
        history = client.get_metric_history(logged.info.run_id, name)
        assert [(metric.step, metric.value) for metric in history] == [(row["epoch"], row[name]) for row in ROWS]
    assert logged.data.metrics["test_top1"] == 0.75
    files = {file.path for file in client.list_artifacts(logged.info.run_id, "report")}
    assert files == {"report/metrics.json", "report/curves.png"}


@pytest.mark.parametrize("word", ["tensorboard:{}", "mlflow:{}"])
def test_a_log_that_is_asked_for_later_has_the_epochs_before(tmp_path: Path, run: Run, report: Path, word: str) -> None:
    log = open_log(word.format(tmp_path / "log"), tmp_path / "run")
    log.begin(run, ROWS[:2])
    log.add_epoch(ROWS[2])
    log.finish(run, report)
    if word.startswith("tensorboard"):
        assert shown(tmp_path / "log")["loss"].keys() == {1, 2, 3}
    else:
        client = MlflowClient((tmp_path / "log").as_uri())
        run_id = (tmp_path / "run" / "mlflow.txt").read_text().strip()
        assert [metric.step for metric in client.get_metric_history(run_id, "loss")] == [1, 2, 3]


def test_a_missing_package_is_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "export.training.logs.tensorboard", None)
    assert main(["train", "lenet5", "--dataset", "no such set", "--log", "tensorboard"]) == 2
    told = capsys.readouterr().err
    assert "--log tensorboard needs tensorboardX" in told
    assert "pip install '.[log]'" in told


def test_an_unknown_kind_of_log_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean tensorboard"):
        read_log("tensorbord:x")


def test_a_training_logs_every_epoch_and_its_end(tmp_path: Path) -> None:
    words = ["train", "lenet5", "--dataset", "digits", "--epochs", "2", "--batch-size", "256"]
    words += ["--out", str(tmp_path / "run"), "--log", "tensorboard", "--log", f"mlflow:{tmp_path}"]
    assert main(words) == 0
    (tmp_path / "run" / "model.keras").unlink()  # as if killed behind the last epoch
    assert main(words) == 0
    found = shown(tmp_path / "run" / "tensorboard")
    assert found["loss"].keys() == found["learning_rate"].keys() == {1, 2}
    run_id = (tmp_path / "run" / "mlflow.txt").read_text().strip()
    metrics = MlflowClient(tmp_path.as_uri()).get_run(run_id).data.metrics
    assert metrics["test_top1"] == pytest.approx(found["test_top1"][2].simple_value)
