"""Benchmarks take minutes and are run by hand: what they say of themselves is read here, so that none breaks unseen."""

import re
import sys
from importlib import import_module

import pytest

from tests.makers.document_commands import PAGES, list_commands
from tests.makers.sources import ROOT

# Those that read their words by argparse. None needs its packages (Ray, say) to say what it does.
FILES = [*ROOT.glob("bench/*.py"), *ROOT.glob("bench/*/__main__.py"), *ROOT.glob("deploy/*.py")]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in FILES
    if "argparse" in (text := path.read_text()) and '__name__ == "__main__"' in text
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_benchmark_says_what_it_does_and_knows_the_words_that_are_written_of_it(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = ROOT.joinpath(*command.split("."))
    module = import_module(f"{command}.__main__" if folder.is_dir() else command)
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    said, noise = capfd.readouterr()
    assert (ended.value.code, noise) == (0, "")
    assert module.__doc__ is not None
    assert " ".join(module.__doc__.split()) in " ".join(said.split())
    written = [line.text for page in PAGES for line in list_commands(page)] + module.__doc__.splitlines()
    words = {word for line in written if f"python -m {command} " in line for word in re.findall(r"--[a-z-]+", line)}
    assert words <= set(re.findall(r"--[a-z-]+", said))
