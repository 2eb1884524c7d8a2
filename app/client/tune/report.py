"""The report of `convserve tune`: the best setting and its rate, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite

from app.client.terminal import print_table
from app.client.tune.setting import Setting
from app.client.tune.trials import Trial

_HEAD = ("", "REQUESTS/s", "P99 ms", "MODEL", "WORKERS", "THREADS", "BATCH", "WAIT ms", "")


@dataclass
class Found:
    """The record of a search, which grows."""

    model: str
    p99_ms: float
    first: Setting | None = None
    """The setting that the service chooses by itself."""
    searched: list[Trial] = field(default_factory=list)
    confirmed: list[Trial] = field(default_factory=list)
    """Long trials; the last of them held, unless the command was interrupted."""
    failures: dict[Setting, str] = field(default_factory=dict)
    """Settings that can't be served, and why."""

    @property
    def is_confirmed(self) -> bool:
        return bool(self.confirmed) and self.confirmed[-1].holds

    @property
    def chosen(self) -> Trial | None:
        """The long trial that held or, without one, the best short one that no long one contradicts; None where there
        is none.
        """
        if self.is_confirmed:
            return self.confirmed[-1]
        limit = min((trial.rate for trial in self.confirmed), default=float("inf"))
        return self._best(trial for trial in self.searched if trial.rate < limit)

    def settings(self) -> list[Setting]:
        """Every setting that was tried, in this order."""
        return list(dict.fromkeys(trial.setting for trial in self.searched))

    def trials_of(self, setting: Setting) -> list[Trial]:
        """Its short trials by rate."""
        return sorted((trial for trial in self.searched if trial.setting == setting), key=lambda trial: trial.rate)

    def best_of(self, setting: Setting) -> Trial | None:
        """Its short trial with the highest rate that held."""
        return self._best(self.trials_of(setting))

    def _best(self, trials: Iterator[Trial] | list[Trial]) -> Trial | None:
        return max((trial for trial in trials if trial.holds), key=lambda trial: trial.rate, default=None)


def print_report(found: Found, cores: int) -> None:
    """The settings as a table, the chosen one first, then by rate, and what was chosen or why nothing was."""
    rows = [_write_row(found, setting) for setting in found.settings()]
    rows.sort(key=lambda row: row[0], reverse=True)
    failed = [("", "-", "-", *_write_setting(setting), why) for setting, why in found.failures.items()]
    if rows or failed:
        print_table([_HEAD, *(row for _, row in rows), *failed])
        print()
    for line in describe(found):
        print(line)
    if (chosen := found.chosen) is not None:
        print(
            f"The load was made on the same {cores} cores: it took {chosen.generator_cores:.2f} of one, and sent "
            f"{chosen.result.sent_late:.1%} of its requests late."
        )


def describe(found: Found) -> list[str]:
    """Sentences: the answer, how sure it is, and what the service does as it comes."""
    chosen = found.chosen
    if chosen is None:
        return [_explain_unreachable(found)]
    failed = chosen.result.failed
    answered = f"{failed:,} requests failed: they count as late" if failed else "every request was answered"
    lines = [
        f"{chosen.rate:,.1f} requests/s keep a p99 of {found.p99_ms:g} ms: {chosen.setting}",
        f"For {chosen.seconds:g} s the p99 was {chosen.result.p99_ms:.1f} ms, and {answered}."
        + ("" if found.is_confirmed else " No long run has confirmed it."),
    ]
    if chosen.setting.model != found.model:
        lines.append(f"Clients ask for {chosen.setting.model}: its card says how the precision changes the answers.")
    if found.first not in (None, chosen.setting) and (usual := found.best_of(found.first)) is not None:
        lines.append(f"As it comes the service kept it at {usual.rate:,.1f} requests/s for {usual.seconds:g} s.")
    return lines


def _explain_unreachable(found: Found) -> str:
    lowest = min(found.searched, key=lambda trial: trial.rate, default=None)
    if lowest is None:
        return f"Nothing was measured of {found.model}."
    p99_ms = lowest.result.p99_ms
    became = f"it was {p99_ms:.1f} ms" if isfinite(p99_ms) else "more than one of a hundred failed"
    return (
        f"{found.model} kept a p99 of {found.p99_ms:g} ms at no rate: at {lowest.rate:,.2f} requests/s, the lowest "
        f"that was tried, {became}. Allow more with --p99."
    )


def _write_row(found: Found, setting: Setting) -> tuple[tuple[bool, float], tuple[str, ...]]:
    """What to sort by, and the row: the rate that is named, else the best that held or the lowest that didn't."""
    chosen = found.chosen
    is_chosen = chosen is not None and chosen.setting == setting
    best = chosen if is_chosen else found.best_of(setting)
    shown = best or found.trials_of(setting)[0]
    sign = "*" if is_chosen else ""
    rate = f"{shown.rate:10,.1f}" if best else f"{'< ' + format(shown.rate, ',.1f'):>10}"
    p99_ms = shown.result.p99_ms
    p99 = (f"{p99_ms:6.1f}" if isfinite(p99_ms) else f"{'none':>6}") + ("+" if shown.result.ended_early else "")
    note = "as it comes" if setting == found.first else ""
    return (is_chosen, shown.rate if best else 0.0), (sign, rate, p99, *_write_setting(setting), note)


def _write_setting(setting: Setting) -> tuple[str, ...]:
    return (
        setting.model,
        str(setting.workers),
        str(setting.threads or "shared"),
        str(setting.max_batch_size),
        f"{setting.max_wait_ms:g}",
    )
