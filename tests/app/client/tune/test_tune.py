"""The command over fake trials: a queue of known capacity in the place of services; and once over real ones."""

import json
import re
import signal
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.cli.main import main
from app.client.load.open_loop import OpenResult
from app.client.tune.service import ServiceFailed
from app.client.tune.setting import Setting
from app.client.tune.trials import Facts, Trial, Trials
from app.client.tune.tune import Wish, tune
from app.settings import Settings
from app.settings_sources import load_settings
from tests.makers.artifacts import gray_image, make_artifact

SVG = "{http://www.w3.org/2000/svg}"


class FakeTrials(Trials):
    """10 ms alone, twice as many requests with the int8 variant, and a little less in the long run."""

    closed: ClassVar[int] = 0
    at_trial: ClassVar[Callable[[int], None]] = lambda count: None
    count: ClassVar[int] = 0
    alone_ms: ClassVar[float] = 10.0
    lost: ClassVar[int] = 0
    dies_after_s: ClassVar[float] = inf

    def start(self, setting: Setting) -> Facts:
        if setting.workers == 2:
            raise ServiceFailed("no memory is left")
        return Facts(workers=1, on_gpu=False, batch_size=1, lone_ms=self.alone_ms)

    def measure(self, setting: Setting, rate: float, seconds: float, seed: int = 0) -> Trial:
        self.start(setting)
        type(self).count += 1
        type(self).at_trial(self.count)
        if seconds > self.dies_after_s:
            raise ServiceFailed("convserve serve ended with status -9: out of memory")
        capacity = (200.0 if setting.model.endswith("int8") else 100.0) * (1 if seconds < 30 else 0.93)
        p99 = self.alone_ms / (1 - rate / capacity) if rate < capacity else inf
        lost = self.lost if rate < capacity else 9
        result = OpenResult(rate, rate, p99, p99, p99, 0, lost, 0.0, rate >= capacity)
        return Trial(setting, seconds, result, result.keeps(self._p99_ms), 0.1)

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> type[FakeTrials]:
    for name, value in (
        ("closed", 0),
        ("count", 0),
        ("at_trial", lambda count: None),
        ("alone_ms", 10.0),
        ("lost", 0),
        ("dies_after_s", inf),
    ):
        monkeypatch.setattr(FakeTrials, name, value)
    monkeypatch.setattr("app.client.tune.tune.count_cores", lambda: 2)
    return FakeTrials


def make_wish(tmp_path: Path, **changes: Any) -> Wish:
    out = tmp_path / "tuned.toml"
    return replace(Wish("tiny", 50.0, [b"image"], 1.0, 600.0, 60.0, out), **changes)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("tiny", "tiny-int8", "tiny-other"):
        make_artifact(tmp_path / "repository", name)
    return Settings(repository=tmp_path / "repository")


def test_the_best_setting_is_written_at_the_rate_that_held_for_long(
    settings: Settings, tmp_path: Path, fakes: type[FakeTrials], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(settings, make_wish(tmp_path), fakes) == 0
    text = (tmp_path / "tuned.toml").read_text()
    assert tomllib.loads(text)["load"] == ["tiny-int8"]
    rate = float(text.split()[1])
    assert 0.8 * 186 * 0.8 < rate <= 0.8 * 186  # what the queue allows in the long run, less what steps leave
    out, err = capsys.readouterr()
    (chosen,) = (line.split() for line in out.splitlines() if line.startswith("*"))
    assert (chosen[1], chosen[3]) == (f"{rate:,.1f}", "tiny-int8")
    assert "every request was answered" in out
    assert "As it comes the service kept it at" in out
    assert "no memory is left" in out
    assert "tiny-other" not in out + err
    assert fakes.closed == 1
    drawing = ET.fromstring((tmp_path / "tuned.svg").read_text())
    assert len(list(drawing.iter(f"{SVG}circle"))) == err.count("held\n") - err.count("For 60 s") + 2
    assert not re.search(r"\b(nan|inf)\b", (tmp_path / "tuned.svg").read_text() + out + err)


def test_requests_that_failed_within_a_p99_are_told(
    settings: Settings, tmp_path: Path, fakes: type[FakeTrials], capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.lost = 3
    assert tune(settings, make_wish(tmp_path), fakes) == 0
    told = "3 requests failed: they count as late."
    out, err = capsys.readouterr()
    assert told in out
    assert told in (tmp_path / "tuned.toml").read_text()
    assert ", 3 failed: held" in err


def test_a_p99_that_no_rate_keeps_is_told_with_that_of_the_lowest(
    settings: Settings, tmp_path: Path, fakes: type[FakeTrials], capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.alone_ms = 60.0
    assert tune(settings, make_wish(tmp_path), fakes) == 1
    assert "tiny kept a p99 of 50 ms at no rate: at 1.67 requests/s, the lowest" in capsys.readouterr().out
    assert not (tmp_path / "tuned.toml").exists()
    assert fakes.closed == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("at", "said"), [(4, "No long run has confirmed it"), (1, "Nothing was measured of tiny")])
def test_ctrl_c_leaves_nothing_running_and_writes_what_is_known(
    number: signal.Signals,
    at: int,
    said: str,
    settings: Settings,
    tmp_path: Path,
    fakes: type[FakeTrials],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(count: int) -> None:
        if count == at:
            signal.raise_signal(number)

    fakes.at_trial = interrupt
    # As at a terminal: what a script starts by & ignores SIGINT.
    handler = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, handler)
    try:
        assert tune(settings, make_wish(tmp_path), fakes) == 130
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert fakes.closed == 1
    assert said in capsys.readouterr().out
    assert (tmp_path / "tuned.toml").exists() == (at > 1)


def test_a_search_whose_budget_is_spent_takes_the_best_so_far(
    settings: Settings, tmp_path: Path, fakes: type[FakeTrials], capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.at_trial = lambda count: time.sleep(0.3)
    assert tune(settings, make_wish(tmp_path, budget_s=0.2), fakes) == 0
    out, err = capsys.readouterr()
    assert "are over" in err
    assert "10.0 requests/s keep a p99 of 50 ms: tiny, workers 1" in out


def test_a_service_that_ends_while_it_confirms_leaves_what_was_found(
    settings: Settings, tmp_path: Path, fakes: type[FakeTrials], capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.dies_after_s = 30.0
    assert tune(settings, make_wish(tmp_path), fakes) == 0
    out, err = capsys.readouterr()
    assert "convserve serve ended with status -9" in err
    assert "No long run has confirmed it" in out
    assert tomllib.loads((tmp_path / "tuned.toml").read_text())["load"] == ["tiny-int8"]


def test_an_unknown_model_names_those_that_exist(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "absent", "--p99", "50", "--repository", str(settings.repository)]) == 1
    assert "there are: tiny, tiny-int8, tiny-other" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--p99", "0"],
        ["--p99", "nan"],
        ["--p99", "x"],
        ["--p99", "9", "--out", "absent/tuned.toml"],
        ["--p99", "9", "--out", "tuned.svg"],
        ["--p99", "9", "--image", "absent.png"],
        ["--p99", "9", "--device", "tpu"],
    ],
)
def test_what_cant_be_meant_is_refused_before_the_work(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["tune", "tiny", *words])
    except SystemExit as end:
        status = end.code  # type: ignore[assignment]
    assert status == 2
    assert words[-2] in capsys.readouterr().err or words[-2] == "--device"


def test_a_real_service_is_tuned_and_serves_by_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_artifact(tmp_path / "repository")
    monkeypatch.setenv("CONVSERVE_API_KEYS", json.dumps(["0" * 64]))  # the services of a search have no clients
    monkeypatch.chdir(tmp_path)
    (tmp_path / "white.png").write_bytes(gray_image(255))
    words = ["tune", "tiny", "--p99", "10000", "--image", "white.png", "--repository", "repository", "--device", "cpu"]
    assert main([*words, "--seconds", "0.2", "--budget-minutes", "0.01", "--confirm", "0.2"]) == 0
    settings = load_settings([], tmp_path / "tuned.toml", environment=False)
    assert (settings.repository, settings.load) == (tmp_path / "repository", ["tiny"])
    assert "requests/s keep a p99 of 10000 ms: tiny" in capsys.readouterr().out


def test_an_image_that_the_service_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_artifact(tmp_path / "repository")
    (tmp_path / "notes.txt").write_text("no image")
    words = ["--image", str(tmp_path / "notes.txt"), "--repository", str(tmp_path / "repository")]
    assert main(["tune", "tiny", "--p99", "10", *words, "--out", str(tmp_path / "tuned.toml")]) == 1
    assert "an image is answered with status 4" in capsys.readouterr().err


def test_a_model_that_is_refused_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_artifact(tmp_path / "repository")
    graph = tmp_path / "repository/tiny/1/model.onnx"
    graph.write_bytes(bytes(graph.stat().st_size))
    words = ["--repository", str(tmp_path / "repository"), "--out", str(tmp_path / "tuned.toml")]
    assert main(["tune", "tiny", "--p99", "10", *words]) == 1
    assert "model.onnx" in capsys.readouterr().err
