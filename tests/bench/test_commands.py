"""Benchmarks take minutes and are run by hand: what they say of themselves is read here, so that none breaks unseen."""

import os
import re
import subprocess
import sys
from importlib import import_module
from textwrap import dedent

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
    module = import_module(f"{command}.__main__" if ROOT.joinpath(*command.split(".")).is_dir() else command)
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


STARTING = re.compile(r"^from bench\.(service|load\.(servers|contest)|gpu\.needs) import", re.MULTILINE)


def find_source(command: str) -> str:
    file = ROOT.joinpath(*command.split("."))
    return (file / "__main__.py" if file.is_dir() else file.with_suffix(".py")).read_text()


def test_what_starts_servers_is_ended_by_sigterm_as_by_ctrl_c() -> None:
    starting = [command for command in COMMANDS if STARTING.search(find_source(command))]
    assert len(starting) > 8
    assert [command for command in starting if "@end_like_ctrl_c()\ndef main(" not in find_source(command)] == []


def test_a_measurement_that_is_ended_leaves_no_server() -> None:
    code = """
        import signal
        from app.client.terminal import end_like_ctrl_c
        from bench.service import running

        @end_like_ctrl_c()
        def main():
            with running() as server:
                print(server.process.pid, flush=True)
                signal.pause()

        main()
        """
    command = [sys.executable, "-c", dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as measuring:
        assert measuring.stdout is not None
        server = int(measuring.stdout.readline())
        os.kill(server, 0)
        measuring.terminate()
        _, said = measuring.communicate(timeout=60)
    assert said.endswith("KeyboardInterrupt\n")
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
