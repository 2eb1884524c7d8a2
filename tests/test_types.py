"""What the type check passes over: one kind of error at a time, with the reason beside it."""

from __future__ import annotations

import re

from tests.makers.sources import ROOT, tracked_files

# Written so that this file isn't found by it.
IGNORED = re.compile(r"# type:" + r" ignore(?P<rest>.*)")
REASONED = re.compile(r"\[[a-z-]+\]  # \S+.*")


def test_each_ignored_type_error_is_of_one_kind_and_has_its_reason() -> None:
    lines = [
        f"{name}: {line.strip()}"
        for name in tracked_files(("app", "artifact", "models", "export", "deploy", "bench", "tests/makers"))
        if name.endswith(".py")
        for line in (ROOT / name).read_text().splitlines()
        if (found := IGNORED.search(line)) and not REASONED.fullmatch(found["rest"])
    ]
    assert lines == []
