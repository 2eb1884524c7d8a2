"""How many workers: each case of the decision with its reason, and what each worker gets of the whole."""

import json

import pytest

from app.settings import Settings
from app.workers.count import Machine, Report, ThreadedModel, decide, decide_beforehand, make_worker_settings

MB = 1_000_000
GB = 1000 * MB
RESNET = ThreadedModel("resnet18", 4.2, 6.5)
VGG = ThreadedModel("vgg16", 310.0, 590.0)


def report(
    inline: tuple[str, ...] = ("lenet5",),
    threaded: tuple[ThreadedModel, ...] = (),
    gpus: tuple[int, ...] = (),
    memory: int = 100 * MB,
    model_memory: int = 20 * MB,
) -> Report:
    return Report(inline, threaded, gpus, memory, model_memory)


def machine(cores: int = 4, memory: int = 16 * GB, model_memory: int = 0) -> Machine:
    return Machine(cores, memory, model_memory)


@pytest.mark.parametrize(
    ("found", "where", "said"),
    [
        (report(), machine(), "4 workers: one per core, because every model runs on the event loop; each takes 100 MB"),
        (report(), machine(memory=GB), "4 workers: one per core, because every model runs on the event loop; each"),
        (
            report(),
            machine(memory=700 * MB),
            "3 workers: each takes 100 MB, and half of the memory, 700 MB, is for them; "
            "--workers 4 would take 100 MB more and answer up to 1.3 times as many requests",
        ),
        (
            report(),
            machine(memory=150 * MB),
            "1 worker: each takes 100 MB, and half of the memory, 150 MB, is for them; "
            "--workers 4 would take 300 MB more and answer up to 4 times as many requests",
        ),
        (
            report(),
            machine(model_memory=50 * MB),
            "2 workers: the models of each take 20 MB of the 50 MB of memory_budget; "
            "--workers 4 would take 200 MB more and answer up to 2 times as many requests",
        ),
        (report(), machine(model_memory=100 * MB), "4 workers: one per core"),
        (report(memory=0), machine(memory=0), "4 workers: one per core"),  # the system tells neither
        (
            report(inline=(), threaded=(RESNET,)),
            machine(),
            "1 worker: resnet18 uses all cores from one process; --workers 4 would take 300 MB more, and 6.5 instead "
            "of 4.2 ms for a lone resnet18 image, and gain only where Python is the limit",
        ),
        (
            report(threaded=(RESNET, VGG)),
            machine(),
            "1 worker: resnet18, vgg16 use all cores from one process; --workers 4 would take 300 MB more, and 590 "
            "instead of 310 ms for a lone vgg16 image, and spread lenet5 over the cores",
        ),
        (
            report(threaded=(ThreadedModel("resnet18", 6.5, 6.5),)),  # as measured by one of several workers
            machine(),
            "1 worker: resnet18 uses all cores from one process; --workers 4 would take 300 MB more, and spread lenet5",
        ),
        (report(inline=()), machine(), "1 worker: no model is loaded, so none could be measured"),
        (
            report(inline=(), gpus=(0,)),
            machine(),
            "1 worker: there is one GPU (cuda:0); --workers 2 would take 100 MB more and gain only where Python",
        ),
        (report(gpus=(1,)), machine(), "1 worker: there is one GPU (cuda:1)"),  # and a tiny model on the CPU
    ],
)
def test_the_number_follows_from_what_the_first_worker_measured(found: Report, where: Machine, said: str) -> None:
    assert str(decide(found, where)).startswith(said)


def test_there_is_one_worker_for_each_gpu_that_is_set() -> None:
    first = report(inline=(), gpus=(2,))
    assert str(decide(first, machine(cores=16), "cuda:2,3")) == "2 workers: one per GPU; each takes 100 MB"
    assert str(decide(first, machine(memory=300 * MB), "cuda:2,3")).startswith("1 worker: each takes 100 MB, and half")


@pytest.mark.parametrize(
    ("device", "cores", "said"),
    [
        ("auto", 1, "1 worker: there is one core"),
        ("cpu", 1, "1 worker: there is one core"),
        ("cuda", 16, "1 worker: there is one GPU (cuda:0)"),
        ("cuda:3", 1, "1 worker: there is one GPU (cuda:3)"),
        ("auto", 2, None),
        ("cuda:0,1", 1, None),
    ],
)
def test_where_only_one_is_possible_no_worker_must_find_out(device: str, cores: int, said: str | None) -> None:
    decision = decide_beforehand(Settings(device=device), cores)
    assert (decision is None) if said is None else str(decision).startswith(said)


def test_a_report_comes_whole_through_the_channel() -> None:
    sent = report(threaded=(RESNET, VGG), gpus=(0, 1))
    assert Report.read(json.loads(json.dumps(sent.write()))) == sent


def test_workers_share_cores_and_the_memory_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.workers.count.count_cores", lambda: 8)
    one = make_worker_settings(Settings(memory_budget=900), 3, 1, port=80)
    assert (one.port, one.threads, one.decode_threads, one.memory_budget) == (80, 2, 2, 300)
    assert make_worker_settings(Settings(), 16, 0, port=80).threads == 1
    assert make_worker_settings(Settings(threads=5, decode_threads=6), 3, 1, port=80).threads == 5


def test_each_worker_gets_a_gpu_unless_their_number_is_set() -> None:
    settings = Settings(device="cuda:2,3")
    assert [make_worker_settings(settings, 2, number, port=80).device for number in (0, 1)] == ["cuda:2", "cuda:3"]
    assert make_worker_settings(settings, 1, 0, port=80).device == "cuda:2", "the first one, which measures"
    fixed = settings.model_copy(update={"workers": 2})
    assert [make_worker_settings(fixed, 2, number, port=80).device for number in (0, 1)] == ["cuda:2,3", "cuda:2,3"]
    assert make_worker_settings(Settings(), 4, 3, port=80).device == "auto"
