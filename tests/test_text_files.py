"""Text files are UTF-8 whatever the locale says: another machine reads them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifact.card import read_card
from artifact.layout import LABELS_FILE
from tests.makers.artifacts import make_artifact
from tests.makers.sources import PACKAGES, ROOT, tracked_files

# Whose `open` opens no file for text: `self` and `view` are of export/sources/user_code.py.
OTHERS = {"Image", "os", "self", "tarfile", "view"}
TEXT_MODE = re.compile(r"[rwax]\+?t?\+?")
# Publishes again under the next number, and writes the files beside the version's folder.
PUBLISH_AGAIN = """
import sys
from pathlib import Path
from export.publish import write
from export.sources.run_folder import replace_text
folder = write.renumber(Path(sys.argv[1]))
write._write_model_files(folder.parent, write.read_card(folder))
replace_text(folder.parent / "run.json", "K\\u00e4se")
"""


def calls_without_encoding(source: str) -> Iterator[ast.Call]:
    """Calls that open, read or write a file as text and don't say in which encoding."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and _handles_text(call):
            yield call


def _handles_text(call: ast.Call) -> bool:
    receiver, _, name = ast.unparse(call.func).rpartition(".")
    given = {word.arg: word.value for word in call.keywords}
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    places = {"open": 0 if receiver else 1, "fdopen": 1, "NamedTemporaryFile": 0, "TemporaryFile": 0}
    if name not in places or (name == "open" and receiver in OTHERS):
        return False
    mode = call.args[places[name]] if len(call.args) > places[name] else given.get("mode")
    if mode is None:
        return "Temporary" not in name
    return isinstance(mode, ast.Constant) and TEXT_MODE.fullmatch(str(mode.value)) is not None


@pytest.mark.parametrize(
    "source",
    ["p.read_text()", "(p / 'a').write_text(x)", "p.open()", "p.open('w', newline='')", "open(p)", "open(p, mode='a')"],
)
def test_a_text_file_without_its_encoding_is_found(source: str) -> None:
    assert len(list(calls_without_encoding(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["p.read_text('utf-8')", "p.write_text(x, encoding='utf-8')", "open(p, 'rb')", "journal.open('POST', path)"],
)
def test_bytes_and_files_with_their_encoding_are_passed_over(source: str) -> None:
    assert list(calls_without_encoding(source)) == []


def test_every_text_file_is_opened_with_its_encoding() -> None:
    found = [
        f"{name}:{call.lineno}: {ast.unparse(call)}"
        for name in tracked_files((*PACKAGES, "docs"))
        if name.endswith(".py")
        for call in calls_without_encoding((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_is_published_is_utf_8_under_a_locale_that_is_not(tmp_path: Path) -> None:
    labels = ("Käse", "Brot", "子猫")
    folder = make_artifact(tmp_path, labels=labels)
    other = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH_AGAIN, str(folder)],
        env={**os.environ, **other},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert read_card(folder.with_name("2")).labels == labels
    assert (folder.parent / LABELS_FILE).read_text(encoding="utf-8").split() == list(labels)
    assert (folder.parent / "run.json").read_text(encoding="utf-8") == "Käse"
