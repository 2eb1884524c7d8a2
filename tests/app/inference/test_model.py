"""LoadedModel: what its device and its network make of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.inference import plan
from app.inference.model import load_model, prepare_session
from app.inference.plan import Measured, Plan, choose_plan
from app.settings import Settings
from tests.makers.artifacts import make_artifact
from tests.makers.fake_runtime import FakeRuntime


@pytest.mark.parametrize(("on_gpu", "inline_s", "lent"), [(False, 0.0, True), (True, 0.0, False), (False, 1e9, False)])
def test_idle_runners_decode_on_a_cpu_where_they_are_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: bool, inline_s: float, lent: bool
) -> None:
    """A GPU's runner only feeds it; a tiny network's is the event loop."""
    monkeypatch.setattr(plan, "INLINE_S", inline_s)
    folder = make_artifact(tmp_path)

    async def play() -> None:
        options = {"runtime": FakeRuntime()} if on_gpu else {}
        model = await load_model(folder, Settings(device="cuda:0" if on_gpu else "cpu"), **options)
        with model.batcher.reserve(1, asyncio.get_running_loop().time() + 60):
            assert (model.batcher.idle_threads is not None) == lent
        await model.close()

    asyncio.run(play())


def test_the_batch_that_was_chosen_is_run_before_its_memory_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.inference.session._CPU_WARM_UP_S", 0.0)

    def choose(measured: Measured) -> Plan:
        assert list(measured.seconds_in_lane) == [1, 2]
        return replace(choose_plan(measured), batch_size=6)

    monkeypatch.setattr("app.inference.model.choose_plan", choose)
    assert list(prepare_session(make_artifact(tmp_path), Settings(device="cpu")).seconds_in_lane) == [1, 2, 6]
