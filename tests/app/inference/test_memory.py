import asyncio
from pathlib import Path

import numpy as np
import pytest

from app.errors import DeviceUnavailable
from app.inference.devices import choose_devices, name_devices
from app.inference.memory import measure_gpu, measure_resident
from app.inference.model import load_model
from app.settings import Settings
from tests.makers.artifacts import make_artifact
from tests.makers.fake_runtime import FakeRuntime


def test_the_resident_memory_of_this_process_is_known() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc on this system")
    assert 10_000_000 < measure_resident() < 100_000_000_000


def test_a_gpu_that_cannot_be_asked_counts_as_nothing() -> None:
    assert measure_gpu(0, "no-such-library.so") == 0


def test_several_gpus_are_named_in_one_setting_and_each_must_work() -> None:
    devices = choose_devices("cuda:0,2,0", FakeRuntime())
    assert [device.name for device in devices] == ["cuda:0", "cuda:2"]
    assert name_devices(devices) == "cuda:0,2"
    with pytest.raises(DeviceUnavailable):
        choose_devices("cuda:0,1", FakeRuntime(has_cuda=False))
    assert name_devices(choose_devices("cpu", FakeRuntime())) == "cpu"


def test_several_gpus_share_one_queue(tmp_path: Path) -> None:
    folder, runtime = make_artifact(tmp_path), FakeRuntime()

    async def play() -> None:
        model = await load_model(folder, Settings(device="cuda:0,1", max_batch_size=1), runtime=runtime)
        assert [device.name for device in model.devices] == ["cuda:0", "cuda:1"]
        rows = [np.full((8, 8, 1), level, np.uint8) for level in (0, 255, 128, 64)]
        with model.batcher.reserve(4, asyncio.get_running_loop().time() + 60) as places:
            results = await asyncio.gather(*(places.run(row) for row in rows))
        assert [int(result.output.probabilities.argmax()) for result in results] == [0, 4, 2, 1]
        assert model.memory_bytes > 0
        await model.close()

    asyncio.run(play())
