"""`convserve tune`: words to a wish."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.cli.read_settings import read_settings
from app.cli.usage import UsageError, repository


def tune(arguments: list[str]) -> int:
    """Find the settings for a p99. Raises UsageError."""
    parser = argparse.ArgumentParser(
        prog="convserve tune",
        description="Find the settings with which a model answers most requests a second while 99 of 100 are answered "
        "within a time, and write them as a settings file. Each setting is served by a process of its own and gets "
        "requests as they come, not as answers allow; the load is made on this machine, too, and takes a part of its "
        "cores.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="the model; its variants MODEL-int8 and MODEL-fp16 are tried, too"
    )
    parser.add_argument("--p99", type=_positive, required=True, metavar="MS", help="the p99 to keep, in ms")
    parser.add_argument(
        "--repository", type=repository, metavar="DIR", help="folder or store of the model (default: ./repository)"
    )
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="an image like those of your clients; several are sent in turn (default: the model's golden images)",
    )
    parser.add_argument("--seconds", type=_positive, default=6.0, metavar="S", help="length of each trial (default: 6)")
    parser.add_argument(
        "--budget-minutes",
        type=_positive,
        default=10.0,
        metavar="M",
        help="time that the search may take (default: 10)",
    )
    parser.add_argument(
        "--confirm",
        type=_positive,
        default=60.0,
        metavar="S",
        help="length of the last trial; the rate is lowered until it holds (default: 60)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("tuned.toml"),
        metavar="FILE",
        help="the settings file; a plot is written beside it as SVG (default: tuned.toml)",
    )
    given = parser.parse_args(arguments)
    if not given.out.parent.is_dir() or given.out.is_dir():
        raise UsageError(f"--out {given.out} can't be written: name a file in a folder that exists")
    if given.out.suffix.lower() == ".svg":
        raise UsageError(f"--out {given.out} would be the settings file and the plot in one: name a .toml file")
    flags = [f"--{name}={value}" for name in ("repository", "device") if (value := getattr(given, name))]
    settings = read_settings(flags, None)
    from app.client.tune.service import ServiceFailed
    from app.client.tune.tune import Wish, tune
    from artifact.errors import ArtifactError

    try:
        wish = Wish(
            model=given.model,
            p99_ms=given.p99,
            images=[_read(path) for path in given.image],
            seconds=given.seconds,
            budget_s=60 * given.budget_minutes,
            confirm_s=given.confirm,
            out=given.out,
        )
        return tune(settings, wish)
    except (ArtifactError, ServiceFailed, OSError) as error:
        print(f"convserve: {error}", file=sys.stderr)
        return 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--image {path} can't be read: {error.strerror}") from error


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number
