"""convserve-export: parses the words, calls the stages, prints one-line errors."""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from artifact.errors import near_miss
from export.cli.cascade_command import add_cascade
from export.cli.convert_commands import add_adopt, add_convert, add_time
from export.cli.missing import explain_missing, find_extra
from export.cli.options import DATASET, add_shared, add_skip_damaged
from export.cli.quiet_import import load_keras
from export.cli.suspects_command import add_suspects
from export.cli.train_command import add_train
from export.errors import ExportError, UsageError

if TYPE_CHECKING:  # read when a command runs: --help answers at once
    from export.publish.place import Place
    from export.publish.published import Published
    from export.training.recipes.files import Recorded


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failure, 2 for usage, 130 after Ctrl-C."""
    options = make_parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except ExportError as error:
        print(f"convserve-export: {error}", file=sys.stderr)
        return error.exit_status
    except ModuleNotFoundError as error:
        if (extra := find_extra(error)) is None:
            raise
        print(f"convserve-export: {options.command} needs {explain_missing(error, extra)}", file=sys.stderr)
        return UsageError.exit_status
    except KeyboardInterrupt:
        print("\nconvserve-export: stopped; every file is complete, and the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)
        if not output.poll(0):
            raise  # another pipe or socket: that is a failure
        # `head` has seen enough; what is left to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words in one line, without a page of options above it."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unknown argument {rest[0]}{near_miss(rest[0], re.findall(r'--[a-z-]+', self.format_help()))}")
        return options, rest

    def error(self, message: str) -> NoReturn:
        self.exit(UsageError.exit_status, f"{self.prog}: {message}: `{self.prog} --help` says more\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `run` of what it parses does the work."""
    parser = _Parser(prog="convserve-export", description="From a Keras classifier to a served artifact, with a proof.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('convserve')}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")

    build = commands.add_parser("build", help="train, evaluate, convert and verify by a recipe")
    build.add_argument(
        "recipe",
        nargs="+",
        help="quickstart (the embedded default), lenet5-mnist, ..., or a file, as --recipe of train",
    )
    build.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders (default: runs)")
    build.add_argument("--name", help="the model's name in the repository (default: NETWORK-DATASET)")
    build.add_argument("--if-missing", action="store_true", help="do nothing if the repository has the model")
    add_shared(build, _build, repository=True, data=True, seed=True)

    add_train(commands)
    add_convert(commands)
    add_adopt(commands)
    add_time(commands)

    evaluate = commands.add_parser("evaluate", help="accuracy of an artifact through the serving decoder")
    evaluate.add_argument("model", help="NAME or NAME/VERSION")
    evaluate.add_argument("--dataset", required=True, metavar="D", help=DATASET)
    add_skip_damaged(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    add_shared(evaluate, _evaluate, repository=True, data=True)

    add_suspects(commands)
    add_cascade(commands)

    verify = commands.add_parser("verify", help="repeat the proof of an artifact on this machine")
    verify.add_argument("model", help="NAME or NAME/VERSION")
    add_shared(verify, _verify, repository=True)

    pack = commands.add_parser(
        "pack",
        help="a published model as a container image, without a container engine",
        description="Write an OCI image layout, in a tar, that holds one version of a model under /models and nothing "
        "else: for image volumes and oci:// addresses. The same version gives the same bytes.",
    )
    pack.add_argument("model", help="NAME or NAME/VERSION")
    pack.add_argument("--out", type=Path, help="the tar (default: NAME-VERSION.tar)")
    add_shared(pack, _pack, repository=True)

    networks = commands.add_parser("networks", help="the networks that can be trained")
    networks.add_argument("--json", action="store_true", help="print the table as JSON")
    add_shared(networks, _networks)
    return parser


def _build(options: argparse.Namespace) -> None:
    from artifact.layout import list_versions
    from export.progress import say
    from export.publish.place import open_place
    from export.training.recipes.files import read_recorded

    if options.name and len(options.recipe) > 1:
        raise UsageError("--name names one model: build one recipe at a time with it")
    with open_place(options.repository) as place:
        for word in options.recipe:
            recorded = read_recorded(word)
            if not (recorded.recipe.network and recorded.recipe.dataset):
                raise UsageError(f"{word} does not name its network or its data set: `build` needs both in the file")
            name = options.name or recorded.recipe.model_name
            place.prepare(name)
            if options.if_missing and list_versions(place.folder / name):
                say(f"{options.repository} already has {name}")
                continue
            place.check_writable()
            _build_one(options, place, recorded, name)


def _build_one(options: argparse.Namespace, place: Place, recorded: Recorded, name: str) -> None:
    from export.progress import say

    say(f"{recorded.title}: loading TensorFlow and the data")
    load_keras()
    from export.publish.pipeline import convert
    from export.publish.published import open_published
    from export.publish.read_back import verify_published
    from export.sources.run_source import load_run
    from export.training.initial.begin import Words, begin
    from export.training.train import train

    begun = begin(Words(data_dir=options.data_dir, seed=options.seed), recorded)
    folder = options.runs / (begun.title if begun.seed == 0 else f"{begun.title}-seed{begun.seed}")
    train(begun.recipe, begun.dataset, folder, initial=begun.initial, seed=begun.seed, data_dir=begun.data_dir)
    source = load_run(folder, name, begun.data_dir, dataset=begun.dataset)
    version_folder = convert(source, place.folder)
    proof = verify_published(open_published(place.folder, f"{name}/{version_folder.name}"))
    published = place.deliver(version_folder)
    say(f"verified {published}: max |p - p'| {proof.max_abs_difference:.1e} on {proof.images} golden images")


def _evaluate(options: argparse.Namespace) -> None:
    from export.publish.place import open_place

    with open_place(options.repository) as place:
        _evaluate_published(options, place.fetch(options.model))


def _evaluate_published(options: argparse.Namespace, published: Published) -> None:
    from export.data.trained_on import load_for_test
    from export.publish.read_back import evaluate_published
    from export.report.evaluation import describe_evaluation

    dataset = load_for_test(options.dataset, options.data_dir, published.card, skip_damaged=options.skip_damaged)
    result = evaluate_published(published, dataset)
    if options.json:
        print(result.model_dump_json())
        return
    print(
        f"{published.card.name} version {published.card.version} on {result.images:,} {result.dataset} test images: "
        f"{describe_evaluation(result)}"
    )


def _verify(options: argparse.Namespace) -> None:
    from export.publish.place import open_place
    from export.publish.read_back import verify_published

    with open_place(options.repository) as place:
        published = place.fetch(options.model)
        proof = verify_published(published)
    print(
        f"{published.card.name} version {published.card.version}: sha256 right, {proof.images} golden images, "
        f"max |p - p'| {proof.max_abs_difference:.1e} (tolerance {proof.abs_tolerance:g}), "
        f"relative log difference {proof.max_log_difference:.1e} (tolerance {proof.log_tolerance:g})"
    )


def _pack(options: argparse.Namespace) -> None:
    from export.publish.pack import pack
    from export.publish.place import open_place

    with open_place(options.repository) as place:
        published = place.fetch(options.model)
        out = options.out or Path(f"{published.card.name}-{published.card.version}.tar")
        digest = pack(published, out)
    print(f"{out}: {published.card.name} version {published.card.version}, {out.stat().st_size:,} bytes, {digest}")


def _networks(options: argparse.Namespace) -> None:
    load_keras()
    from export.cli.networks_table import network_rows, print_networks

    if options.json:
        print(json.dumps(network_rows(), indent=1))
    else:
        print_networks()
