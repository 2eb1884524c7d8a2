"""How many workers there are with `workers = auto`, and why: decided from what the first one measured. Numbers in,
a number and a sentence out; knows no process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from app.machine import count_cores, find_memory_limit
from app.settings import Settings

# For the workers. The other half is for what requests take, for a reload, and for whatever else runs here.
_SHARE_OF_MEMORY = 0.5
# A later worker may measure up to 1.25 times this memory for the same models; above its share of memory_budget it would
# refuse to load one.
_VARIES = 1.25


class Machine(NamedTuple):
    """What the whole service may use."""

    cores: int
    memory: int
    """Bytes."""
    model_memory: int
    """Bytes that loaded models may take, by memory_budget; 0 means any."""

    @classmethod
    def of(cls, settings: Settings) -> Machine:
        return cls(count_cores(), find_memory_limit(), settings.memory_budget * 1_000_000)


class ThreadedModel(NamedTuple):
    """A model on a CPU that isn't run inline: milliseconds of a lone image, over all threads and in one."""

    name: str
    ms_alone: float
    ms_in_lane: float


@dataclass(frozen=True)
class Report:
    """What a worker measured once it had loaded its models."""

    inline: tuple[str, ...]
    """Names of the models that run on its event loop."""
    threaded: tuple[ThreadedModel, ...]
    gpus: tuple[int, ...]
    """GPUs that its other models run on."""
    memory: int
    """Bytes that the process takes; 0 where the system doesn't tell."""
    model_memory: int
    """Bytes that its models take."""

    def write(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, written: dict[str, Any]) -> Self:
        threaded = tuple(ThreadedModel(*model) for model in written["threaded"])
        lists = {name: tuple(written[name]) for name in ("inline", "gpus")}
        return cls(**{**written, **lists, "threaded": threaded})


class Decision(NamedTuple):
    """How many workers there are, and why."""

    workers: int
    why: str
    """Why this number, and what another one would gain or cost."""

    def __str__(self) -> str:
        return f"{count_workers(self.workers)}: {self.why}"


def decide_beforehand(settings: Settings, cores: int) -> Decision | None:
    """The decision for one worker, where no model could change it; None where the first worker has to measure."""
    gpus = _list_gpus(settings.device)
    if len(gpus) == 1:
        return Decision(1, f"there is one GPU (cuda:{gpus[0]}); --workers 2 gains only where Python is its limit")
    if not gpus and cores == 1:
        return Decision(1, "there is one core; --workers 2 would take its memory twice and gain nothing")
    return None


def decide(report: Report, machine: Machine, device: str = "auto") -> Decision:
    """One worker per GPU; on a CPU one per core where every model runs inline, otherwise one. Never more than fit into
    half of the memory, or into the memory_budget.
    """
    gpus = _list_gpus(device) or report.gpus
    if gpus:
        wanted, why = len(gpus), "one per GPU" if len(gpus) > 1 else f"there is one GPU (cuda:{gpus[0]})"
    elif report.threaded:
        return Decision(1, _explain_threads(report, machine))
    elif report.inline:
        wanted, why = machine.cores, "one per core, because every model runs on the event loop"
    else:
        return Decision(1, "no model is loaded, so none could be measured")
    fitting, limit = min(_find_limits(report, machine), default=(wanted, ""))
    if fitting < wanted:
        workers = max(1, fitting)
        more, times = _mb((wanted - workers) * report.memory), f"{wanted / workers:.2g} times as many requests"
        return Decision(workers, f"{limit}; --workers {wanted} would take {more} more and answer up to {times}")
    each = _mb(report.memory)
    if wanted == 1:
        return Decision(1, f"{why}; --workers 2 would take {each} more and gain only where Python is the limit")
    return Decision(wanted, f"{why}; each takes {each}")


def make_worker_settings(settings: Settings, count: int, number: int, port: int) -> Settings:
    """The settings of worker `number` (from 0) of `count`: an equal part of the cores and of the memory budget and,
    where `workers` is auto and there are several GPUs, a GPU of its own.
    """
    cores = max(1, count_cores() // count)
    gpus = _list_gpus(settings.device) if settings.workers == "auto" else []
    return settings.model_copy(
        update={
            "port": port,
            "threads": settings.threads or cores,
            "decode_threads": settings.decode_threads or cores,
            "memory_budget": settings.memory_budget // count,
            "device": f"cuda:{gpus[number]}" if len(gpus) > 1 else settings.device,
        }
    )


def count_workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _find_limits(report: Report, machine: Machine) -> Iterator[tuple[int, str]]:
    """How many workers fit into each limit, and the limit in words."""
    if report.memory:
        fit = int(machine.memory * _SHARE_OF_MEMORY) // report.memory
        yield fit, f"each takes {_mb(report.memory)}, and half of the memory, {_mb(machine.memory)}, is for them"
    if machine.model_memory and report.model_memory:
        fit = int(machine.model_memory / (_VARIES * report.model_memory))
        yield (
            fit,
            f"the models of each take {_mb(report.model_memory)} of the {_mb(machine.model_memory)} of memory_budget",
        )


def _explain_threads(report: Report, machine: Machine) -> str:
    """Why a CPU has one worker, and what one per core would change."""
    slowest = max(report.threaded, key=lambda model: model.ms_alone)
    names, several = _list([model.name for model in report.threaded]), max(2, machine.cores)
    cost = f"--workers {several} would take {_mb((several - 1) * report.memory)} more"
    if slowest.ms_in_lane > slowest.ms_alone:
        cost += f", and {slowest.ms_in_lane:.3g} instead of {slowest.ms_alone:.3g} ms for a lone {slowest.name} image"
    gain = f"spread {_list(report.inline)} over the cores" if report.inline else "gain only where Python is the limit"
    return f"{names} {'uses' if len(report.threaded) == 1 else 'use'} all cores from one process; {cost}, and {gain}"


def _list_gpus(device: str) -> list[int]:
    """The GPUs that the setting `device` names."""
    kind, _, indices = device.partition(":")
    return [int(index) for index in dict.fromkeys((indices or "0").split(","))] if kind == "cuda" else []


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
