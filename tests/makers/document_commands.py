"""The command lines of README.md and docs/*.md, and which of them a machine alone can't run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.makers.sources import ROOT

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PROGRAMS = (
    *("convserve", "convserve-export", "make", "python", "curl", "pip", "docker", "kubectl", "git"),
    *("openssl", "tensorboard", "mlflow", "systemctl", "kill", "."),
)
_COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:{'|'.join(map(re.escape, PROGRAMS))})(?: |$)")
_PAGE_OF_ITS_OWN = "tests/test_clients_document.py runs this page"
_CHANGES = "changes the environment that the tests run in"
_STAYS = "a program of others that goes on until it is stopped"
_LONG = "bench/ has tests of its own: a measurement takes minutes to an hour, alone on the machine"

# By reason, the page and how the line begins; everything else is run. An entry that fits no line is an error.
NOT_RUN: dict[str, list[tuple[str, str]]] = {
    "a GPU": [
        ("docs/gpu.md", "convserve "),
        ("docs/gpu.md", "make gpu-check"),
        ("docs/gpu.md", "python -m bench.gpu"),
        ("docs/gpu.md", "git clone ... && cp"),
    ],
    "a cluster: `make test-cluster` runs Ray": [
        ("docs/cluster.md", "make cluster"),
        ("docs/cluster.md", "python -m deploy.ray_batch"),
    ],
    "a cloud": [
        ("docs/cluster.md", "convserve predict resnet https://example.org/cat.jpg s3://"),
        ("docs/operating.md", "convserve serve --repository s3://"),
        ("docs/operating.md", "convserve-export convert RUN --repository s3://"),
    ],
    "containers: `make smoke` runs them": [("README.md", "docker compose up")],
    "the suite itself": [("README.md", "make test ")],
    "two networks trained for an hour: between two that guess no threshold can be chosen": [("docs/cascades.md", "")],
    "ImageNet, and days": [
        ("docs/recipes.md", "convserve-export train resnet50 --dataset imagenet"),
        ("docs/series.md", "-imagenet --data-dir DATA"),
        ("docs/series.md", "--dataset FOLDER"),
    ],
    "hours: tests/export/test_series.py publishes every network": [
        ("docs/series.md", "convserve-export train --recipe vgg11_series"),
        ("docs/series.md", "convserve-export train --recipe resnet1001"),
        ("docs/series.md", "--dataset cifar10"),
        ("docs/series.md", "convserve-export train vgg11_series"),
    ],
    "another program's service: tests/deploy/test_nginx.py restarts one": [
        ("docs/operating.md", "systemctl restart"),
        ("docs/operating.md", "curl -sS --fail --retry 60 --retry-delay 1 --retry-all-errors http://127.0.0.1:8001"),
        ("docs/operating.md", "kill %1"),
    ],
    _PAGE_OF_ITS_OWN: [("docs/clients.md", "")],
    _CHANGES: [
        ("docs/cluster.md", "pip install"),
        ("docs/gpu.md", "pip install"),
        ("docs/operating.md", "pip install"),
        ("docs/recipes.md", "pip install"),
    ],
    _STAYS: [
        ("docs/recipes.md", "tensorboard --logdir"),
        ("docs/recipes.md", "MLFLOW_ALLOW_FILE_STORE=true mlflow ui"),
    ],
    _LONG: [("docs/performance.md", "make bench"), ("docs/performance.md", "python -m bench.")],
    "eleven trainings of twelve epochs": [("docs/recipes.md", "python -m bench.gains")],
}


@dataclass
class Command:
    """One command as it stands, lines that go on joined, and the lines of output that its page shows below it."""

    page: str
    line: int
    text: str
    shown: list[str] = field(default_factory=list)

    def matches(self, page: str, part: str) -> bool:
        """`part` is how the text begins; with a space or a dash in front, also what stands in it."""
        return self.page == page and (self.text.startswith(part) or (part.startswith("-") and part in self.text))

    @property
    def why_not_run(self) -> str | None:
        return next((why for why, lines in NOT_RUN.items() if any(self.matches(*line) for line in lines)), None)


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Indented blocks, and fenced ones of a shell: numbered lines without their indent."""
    fence: str | None = None
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            yield block
            block, fence = [], None if fence is not None else line.strip().removeprefix("```")
        elif (fence is None and line.startswith("    ")) or fence in ("sh", "bash", "console"):
            block.append((number, line.strip() if fence is None else line))
        else:
            yield block
            block = []
    yield block


def list_commands(page: str) -> list[Command]:
    """Where commands begin with "$ ", a block shows output too; in any other every line is a command, or none is."""
    found = []
    for block in _blocks((ROOT / page).read_text()):
        prompts = any(line.startswith("$ ") for _, line in block)
        goes_on = False
        inside: list[Command] = []
        for number, line in block:
            text = line.removeprefix("$ ")
            if goes_on:
                inside[-1].text += f"\n{text}"
            elif _COMMAND.match(text) and (not prompts or line.startswith("$ ")):
                inside.append(Command(page, number, text))
            elif inside:
                assert prompts, f"{page}:{number}: no command, in a block of commands: {line}"
                inside[-1].shown.append(line)
            goes_on = text.endswith("\\")
        found += inside
    return found
