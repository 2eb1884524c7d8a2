"""The command convserve: serve, predict, models, bench, tune, key. One clear line for an error, exit status 2 for a
wrong use.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from app.cli.ask import bench, models, predict
from app.cli.serve import serve
from app.cli.tune import tune
from app.cli.usage import UsageError
from app.client.terminal import survive_any_encoding
from artifact.errors import near_miss

USAGE = """usage: convserve serve | predict | models | bench | tune | key [options]

  serve     answer HTTP requests from the models of a repository
  predict   classify images or whole folders, by a running service or from a repository
  models    list the models of a service or a repository
  bench     how fast a model runs at each batch size on this machine
  tune      which settings answer most requests a second and keep a p99
  key       make an API key and the hash that the settings api_keys and admin_keys take

convserve COMMAND --help says more, convserve --version which one this is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 where something failed, 2 for a wrong use."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name not in _COMMANDS:
        unknown = f"convserve: unknown command {name!r}{near_miss(name, _COMMANDS)}\n" if name else ""
        print(f"{unknown}{USAGE}", file=sys.stderr)
        return 2
    survive_any_encoding()
    try:
        status = _COMMANDS[name](arguments[1:])
        sys.stdout.flush()
    except UsageError as error:
        print(f"convserve {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)
        if not output.poll(0):
            raise  # another pipe or socket: that is a failure
        # `head` has seen enough; what is left to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def key(arguments: list[str]) -> int:
    """Print a new API key and its hash."""
    argparse.ArgumentParser(
        prog="convserve key", description="Make an API key; the server's settings contain only its hash."
    ).parse_args(arguments)
    from app.admission.keys import hash_key, make_key

    api_key = make_key()
    print(f"key   {api_key}\nhash  {hash_key(api_key)}")
    print("the key is for the client, the hash for api_keys or admin_keys", file=sys.stderr)
    return 0


def _show_usage(_: list[str]) -> int:
    print(USAGE)
    return 0


def _show_version(_: list[str]) -> int:
    print(f"convserve {version('convserve')}")
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "serve": serve,
    "predict": predict,
    "models": models,
    "bench": bench,
    "tune": tune,
    "key": key,
    "-h": _show_usage,
    "--help": _show_usage,
    "--version": _show_version,
}
