"""`python -m bench.gpu`: every piece in turn, each in a process of its own, and the report. docs/gpu.md says more."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from app.client.terminal import end_like_ctrl_c
from bench.gpu.needs import FOR_PREPARING, ROOT, explain_missing, find_missing, lay_out

# Name: module, on a CPU too.
PIECES = {
    "a": ("cuda", True),
    "b": ("precision", True),
    "c": ("speed", True),
    "d": ("served", True),
    "e": ("decoding", False),
    "f": ("failures", False),
}
OTHERS = ("prepare", "report")
# Exit status where nothing can be measured: packages, artifacts or the device are missing.
UNABLE = 2
# A piece ends by itself; this is for one that hangs.
_GRACE_S = 120


@end_like_ctrl_c()
def main(words: list[str] | None = None) -> int:
    options = _parse(words)
    lay_out(options.wheels, options.out / "site")
    preparing = "prepare" in options.words
    if missing := find_missing(FOR_PREPARING if preparing else ()):
        print(explain_missing(missing, options.wheels), file=sys.stderr)
        return UNABLE
    if preparing:
        from bench.gpu.plan import SMALL
        from bench.gpu.prepare import prepare

        return prepare(options.networks or (SMALL if options.runtime == "cpu" else ()), options.pack)
    if options.words == ["report"]:
        _report(options.out)
        return 0
    if options.inside:
        return _run_here(options)
    pieces = [word for word in options.words if word in PIECES]
    pieces = pieces or [name for name, (_, on_cpu) in PIECES.items() if on_cpu or options.runtime == "gpu"]
    unfinished = False
    for name in pieces:
        status = _run_apart(name, options)
        if status == UNABLE:
            return UNABLE
        unfinished |= status != 0
    _report(options.out)
    return int(unfinished)


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="PIECE", help=f"{', '.join(PIECES)}, {' or '.join(OTHERS)}")
    parser.add_argument("--runtime", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--out", type=Path, help="results, report, unpacked artifacts: build/gpu or build/gpu-cpu")
    parser.add_argument("--pack", type=Path, default=ROOT / "build" / "gpu-pack", help="artifacts made by prepare")
    parser.add_argument(
        "--wheels", type=Path, default=ROOT / "wheels", help="a folder of wheels to run with (default: %(default)s)"
    )
    parser.add_argument("--networks", type=lambda text: text.split(","), default=[], metavar="A,B")
    parser.add_argument(
        "--minutes", type=float, default=9, help="limit of one piece; the same command continues with what is left"
    )
    parser.add_argument("--again", choices=("all", "failed"), help="measure again what has results already")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    unknown = [word for word in options.words if word not in (*PIECES, *OTHERS)]
    if unknown:
        parser.error(f"there is no piece {unknown[0]!r}: {', '.join((*PIECES, *OTHERS))}")
    for name in ("pack", "wheels"):
        setattr(options, name, getattr(options, name).resolve())
    options.out = (options.out or ROOT / "build" / ("gpu" if options.runtime == "gpu" else "gpu-cpu")).resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def _run_apart(name: str, options: argparse.Namespace) -> int:
    """In a process of its own, which a lost device may take along; 0 where every step of the piece is done."""
    command = [sys.executable, "-m", "bench.gpu", name, "--inside", "--runtime", options.runtime]
    command += ["--out", str(options.out), "--pack", str(options.pack), "--wheels", str(options.wheels)]
    command += ["--minutes", str(options.minutes), *(["--again", options.again] if options.again else [])]
    command += ["--networks", ",".join(options.networks)] if options.networks else []
    piece = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        return piece.wait(options.minutes * 60 + _GRACE_S)
    except subprocess.TimeoutExpired:
        print(f"[{name}] hung for {_GRACE_S} s beyond its {options.minutes:g} minutes and was ended", file=sys.stderr)
        return 1
    finally:
        if piece.poll() is None:  # hung, or Ctrl-C: servers that it started would go on holding the card
            os.killpg(piece.pid, signal.SIGKILL)
            piece.wait()


def _run_here(options: argparse.Namespace) -> int:
    from importlib import import_module

    from artifact.errors import ConvserveError
    from bench.gpu.pack import PackError
    from bench.gpu.plan import Plan, plan_for_cpu
    from bench.gpu.results import Results
    from bench.gpu.run import run_piece

    (name,) = options.words
    networks = tuple(options.networks)
    plan = Plan("gpu", options.pack, options.out, networks)
    if options.runtime == "cpu":
        plan = plan_for_cpu(options.pack, options.out, networks)
    if options.again:
        Results(options.out, name).forget(failed_only=options.again == "failed")
    try:
        print(f"[{name}] on {plan.device.name} ({plan.device.reason}): {', '.join(plan.names)}", flush=True)
        finished = run_piece(name, import_module(f"bench.gpu.{PIECES[name][0]}").steps, plan, options.minutes)
    except (PackError, ConvserveError) as error:
        print(f"[{name}] {error}", file=sys.stderr)
        return UNABLE
    failures = [step for step, found in Results(options.out, name).steps.items() if "error" in found]
    return int(bool(failures) or not finished)


def _report(out: Path) -> None:
    from bench.gpu.report import write_report

    print(f"wrote {write_report(out)}")


if __name__ == "__main__":
    sys.exit(main())
