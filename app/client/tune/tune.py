"""`convserve tune`: from the words of the command to a table, a plot and a settings file."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from app.client.local_version import find_version
from app.client.progress import format_seconds
from app.client.terminal import end_like_ctrl_c
from app.client.tune.plot import draw_plot
from app.client.tune.report import Found, describe, print_report
from app.client.tune.search import FINEST, climb, find_highest_rate, lower_until
from app.client.tune.service import ServiceFailed
from app.client.tune.setting import DIMENSIONS, Room, Setting, name_variants
from app.client.tune.trials import Facts, Trials
from app.machine import count_cores
from app.settings import Settings
from artifact.card import read_card
from artifact.golden import read_golden
from artifact.layout import list_models

# A setting is tried at this share of what one image after another comes to, first: where the p99 isn't kept even there,
# it isn't at any rate.
_LOWEST = 0.1
# Requests that a trial has at least, however long that takes.
_LEAST_REQUESTS = 5
# Once a rate is known that another setting must beat, the next ones are close to it.
_GROWTH_ABOVE = 1.25


class OutOfTime(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class Wish:
    """What the command was asked for. `images` are encoded; without any, those that the model was replayed with."""

    model: str
    p99_ms: float
    images: Sequence[bytes]
    seconds: float
    budget_s: float
    confirm_s: float
    out: Path
    """The settings file; the plot stands beside it."""


def tune(settings: Settings, wish: Wish, open_trials: type[Trials] = Trials) -> int:
    """Search, confirm, and write what was found, also where it was interrupted (130); 1 where no rate keeps the p99.
    Raises ArtifactError where there is no such model, ServiceFailed where it can't be served, OSError for a file.
    """
    folder = find_version(settings, wish.model, beside=name_variants(wish.model))
    card = read_card(folder)
    images = wish.images or list(read_golden(folder, card).images.values())
    there = list_models(settings.folder)
    variants = tuple(name for name in (wish.model, *name_variants(wish.model)) if name in there)
    repository = settings.repository if isinstance(settings.repository, str) else settings.repository.resolve()

    def write_toml(setting: Setting) -> str:
        return setting.write_toml(repository, settings.device)

    as_it_comes = Setting(wish.model, "auto", 0, settings.of_model(wish.model).max_batch_size, 0.0)
    interrupted = False
    with TemporaryDirectory() as scratch:
        trials = open_trials(write_toml, images, wish.p99_ms, Path(scratch), settings.cache_dir)
        found = Found(wish.model, wish.p99_ms)
        try:
            with end_like_ctrl_c():
                _search(trials, found, wish, as_it_comes, card.max_batch, variants)
                _confirm(trials, found, wish)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            trials.close()
    print_report(found, count_cores())
    if (chosen := found.chosen) is None:
        return 130 if interrupted else 1
    wish.out.write_text(chosen.setting.write_toml(repository, settings.device, describe(found)), encoding="utf-8")
    plot = wish.out.with_suffix(".svg")
    plot.write_text(draw_plot(found), encoding="utf-8")
    print(f"wrote {wish.out} and {plot}\nconvserve serve --settings {wish.out}")
    return 130 if interrupted else 0


def _search(
    trials: Trials, found: Found, wish: Wish, as_it_comes: Setting, largest_batch: int, variants: tuple[str, ...]
) -> None:
    """Fill the record of what was found until nothing better is, or the budget is spent."""
    facts: dict[str, Facts] = {}

    def start(setting: Setting) -> Facts:
        known = trials.start(setting)
        return facts.setdefault(setting.model, known)

    def holds(setting: Setting, rate: float) -> bool:
        """Where one trial fails, a second decides: the machine may have stood still, and trials that fail are short."""
        for seed in (0, 1):
            if (spent := time.monotonic() - began) > wish.budget_s:
                raise OutOfTime
            trial = trials.measure(setting, rate, max(wish.seconds, _LEAST_REQUESTS / rate), seed)
            found.searched.append(trial)
            _say(f"{format_seconds(spent)}  {setting}: {trial}")
            if trial.holds:
                return True
        return False

    def beat(setting: Setting, above: float) -> float:
        try:
            alone = 1e3 / start(setting).lone_ms
            lowest, growth = (FINEST * above, _GROWTH_ABOVE) if above else (_LOWEST * alone, 2.0)
            return find_highest_rate(partial(holds, setting), lowest, growth)
        except ServiceFailed as error:
            _say(f"{setting}: {error}")
            found.failures[setting] = str(error)
            return 0.0

    known, began = start(as_it_comes), time.monotonic()
    first = replace(as_it_comes, workers=known.workers)
    found.first = first
    room = Room(
        variants, count_cores(), known.on_gpu, largest_batch, lambda model: facts[model].batch_size, wish.p99_ms
    )
    _say(f"{first}, as it comes: an image alone takes {known.lone_ms:.1f} ms")
    try:
        climb(first, [partial(vary, room=room) for vary in DIMENSIONS], beat)
    except OutOfTime:
        _say(f"the {format_seconds(wish.budget_s)} of --budget-minutes are over: the best setting so far is used")


def _confirm(trials: Trials, found: Found, wish: Wish) -> None:
    """Have the best rate hold for long, or the next lower one that does. A service that ends leaves what was found."""
    if (best := found.chosen) is None:
        return

    def holds(rate: float) -> bool:
        trial = trials.measure(best.setting, rate, max(wish.confirm_s, _LEAST_REQUESTS / rate), seed=2)
        _say(f"For {wish.confirm_s:g} s  {best.setting}: {trial}")
        found.confirmed.append(trial)
        return trial.holds

    try:
        lower_until(holds, best.rate, min(trial.rate for trial in found.searched))
    except ServiceFailed as error:
        _say(f"{best.setting}: {error}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
