"""The command that trains: its words, which all become fields of a recipe, a data set and image options."""

from __future__ import annotations

import argparse
import shlex
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.cli.options import (
    DATASET,
    add_policy_options,
    add_shared,
    add_skip_damaged,
    positive,
    read_policy_options,
    size,
)
from export.cli.quiet_import import load_keras
from export.errors import UsageError
from export.training.recipes.fields import help_text, read_setting

if TYPE_CHECKING:  # which imports Keras
    from export.training.initial.begin import Beginning


def add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network, or a file or a run further, into a run folder; the same command resumes it",
        description=textwrap.fill(  # the epilog has lines of its own, so that argparse fills neither
            "Train into a run folder, which `convert` publishes; the same command continues where it stopped. "
            "NETWORK is a name from `convserve-export networks` or, with --weights, of keras.applications. "
            "FILE.keras and RUN begin with their own weights: other classes get a new head, RUN keeps its "
            "preprocessing. What isn't given is taken from the recipe shipped for this network and data set, or from "
            "RUN's.",
            shutil.get_terminal_size().columns - 2,
        ),
        epilog=f"fields of a recipe (--set KEY=VALUE; augmentation. and options. may be left out):\n{help_text()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", nargs="?", metavar="NETWORK|FILE.keras|RUN", help="what to train")
    parser.add_argument("--dataset", metavar="D", help=f"{DATASET} (default: the recipe's, RUN's)")
    parser.add_argument(
        "--recipe", metavar="NAME|FILE.toml|CARD", help="a shipped one, a file, or a card.json or run.json to repeat"
    )
    parser.add_argument(
        "--set",
        dest="changes",
        metavar="KEY=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="a field of the recipe, as below; several are allowed",
    )
    short = parser.add_argument_group("short forms of --set")
    for flag, key, shown, help in (
        ("--weights", "weights", "imagenet|FILE", "start from these weights with a new head"),
        ("--epochs", "epochs", "N", "how many times each image is seen"),
        ("--batch-size", "batch_size", "N", "images in a training step"),
        ("--learning-rate", "learning_rate", "RATE", "the highest rate of the schedule"),
    ):
        short.add_argument(
            flag, dest="changes", metavar=shown, type=_value_of(key), action="append", help=f"{help} ({key}=)"
        )
    for flag, setting, help in (
        ("--freeze", ("freeze", True), "train only the new layers (freeze=true)"),
        ("--no-flip", ("augmentation.flip", False), "no mirrored training images: left and right differ (flip=false)"),
    ):
        short.add_argument(flag, dest="changes", const=setting, action="append_const", help=help)
    parser.add_argument("--size", type=size, metavar="HxW", help="size of the network's input, if it takes any")
    add_policy_options(parser, "crop for photos")
    add_skip_damaged(parser)
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder that keeps decoded pixels for later epochs and trainings",
    )
    parser.add_argument(
        "--cache-gb",
        type=positive,
        default=20,
        metavar="GB",
        help="most gigabytes that the cache may take (default: 20)",
    )
    parser.add_argument(
        "--code", type=Path, metavar="FILE.py", help="Python file with the definitions of custom layers; it is executed"
    )
    parser.add_argument("--unsafe", action="store_true", help="allow Lambda layers, which run code from the file")
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="tensorboard|mlflow[:FOLDER]",
        help="log each epoch, the recipe and the report there, too: tensorboard into RUN/tensorboard, mlflow into "
        "mlruns, unless a FOLDER is named (pip install '.[log]')",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="run folder (default: runs/NETWORK-DATASET, or the name of the --recipe; for RUN, RUN-further)",
    )
    add_shared(parser, _train, data=True, seed=True)


def _setting(text: str) -> tuple[str, Any]:
    try:
        return read_setting(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _value_of(key: str) -> Callable[[str], tuple[str, Any]]:
    return lambda text: (key, text) if key == "weights" else read_setting(f"{key}={text}")


def _train(options: argparse.Namespace) -> None:
    from export.progress import say
    from export.training.logs.log import read_log

    words = [read_log(text) for text in options.log]  # what isn't installed is said before anything is loaded
    load_keras()
    from export.training.train import train

    begun = choose_beginning(options)
    folder = options.out or begun.folder
    if begun.before is not None and folder.resolve() == begun.before.resolve():
        raise UsageError(f"--out {folder}: the run that is trained further stays as it is: name another folder")
    train(
        begun.recipe,
        begun.dataset,
        folder,
        initial=begun.initial,
        seed=begun.seed,
        data_dir=begun.data_dir,
        logs=[word.open(folder) for word in words],
    )
    say(f"next: convserve-export convert {shlex.quote(str(folder))} --repository repository")


def choose_beginning(options: argparse.Namespace) -> Beginning:
    """What the words of the command line begin. Raises UsageError or DataError as `begin` does."""
    from export.sources.load_options import LoadOptions
    from export.training.initial.begin import Words, begin
    from export.training.recipes.files import read_recorded

    words = Words(
        network=options.network,
        dataset=options.dataset,
        data_dir=options.data_dir,
        changes=options.changes,
        image=read_policy_options(options),
        load=LoadOptions(code=options.code, unsafe=options.unsafe),
        seed=options.seed,
        skip_damaged=options.skip_damaged,
        cache=options.cache,
        cache_bytes=options.cache_gb * 10**9,
    )
    return begin(words, read_recorded(options.recipe) if options.recipe is not None else None)
