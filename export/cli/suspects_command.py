"""The command that names images whose label is in doubt: its words, and where held-out probabilities come from."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.cli.options import add_repository, add_shared, add_skip_damaged, positive
from export.cli.quiet_import import load_keras
from export.errors import DataError, UsageError

if TYPE_CHECKING:
    from artifact.card import Provenance
    from artifact.image_policy import ImagePolicy
    from export.data.datasets import DataSet
    from export.data.samples import Samples
    from export.report.calibration import Floats

SHOWN = 300


def add_suspects(commands: Any) -> None:
    parser = commands.add_parser(
        "suspects",
        help="images whose label may be wrong, as a table and a page of thumbnails",
        description="Name the images whose given label is in doubt by confident learning (Northcutt, Jiang and Chuang "
        "2021), the most suspect first. Only images that the network wasn't trained on are looked at: those that its "
        "training held back to validate or to test, or with --folds all training images, each by a training without "
        "it.",
    )
    parser.add_argument("model", metavar="RUN|MODEL", help="a run folder, or NAME or NAME/VERSION in the repository")
    parser.add_argument(
        "--dataset", metavar="D", help="for a MODEL: a data set's name, or a folder (default: what it was trained on)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--part",
        choices=("validation", "test"),
        help="part of the data set (default: validation; test for a data set that it wasn't trained on)",
    )
    which.add_argument(
        "--folds",
        type=positive,
        metavar="K",
        help="for a RUN: all training images, by K trainings as its own; the same command continues where it stopped",
    )
    parser.add_argument(
        "--shown", type=positive, default=SHOWN, metavar="N", help=f"thumbnails on the page (default: {SHOWN})"
    )
    parser.add_argument(
        "--code", type=Path, metavar="FILE.py", help="for a RUN: definitions of custom layers; it is executed"
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="for a RUN: allow Lambda layers, which run code from its file"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/suspects, or suspects-NAME for a MODEL")
    add_repository(parser, "where a MODEL is: a folder")
    add_skip_damaged(parser)
    add_shared(parser, _suspects, data=True)


def _suspects(options: argparse.Namespace) -> None:
    from export.sources.run_folder import RUN_FILE

    if not (Path(options.model) / RUN_FILE).is_file():
        if options.folds is not None:
            raise UsageError(
                f"--folds {options.folds}: {options.model} is not a run folder, and only a run records its recipe"
            )
        for word, said in (("--code", options.code), ("--unsafe", options.unsafe)):
            if said:
                raise UsageError(f"{word} is for runs, a model that was published needs no code: leave it out")
        _look_at_model(options)
        return
    if options.dataset is not None:
        raise UsageError("--dataset: a run's suspects are in its own data set; convert it to look at another one")
    load_keras()
    if options.folds is not None:
        _look_by_folds(options)
    else:
        _look_at_run(options)


def _look_by_folds(options: argparse.Namespace) -> None:
    from export.sources.load_options import LoadOptions
    from export.training.held_out import predict_by_folds, refuse_seen_images
    from export.training.initial.begin import Words, begin
    from export.training.recipes.files import recorded_run

    if options.folds < 2:
        raise UsageError("--folds 1: a fold is held out of a training on the others, so there are at least 2")
    folder = Path(options.model)
    recorded = recorded_run(folder)
    refuse_seen_images(folder, recorded.recipe.weights, recorded.dataset)
    load = LoadOptions(code=options.code, unsafe=options.unsafe)
    begun = begin(Words(data_dir=options.data_dir, skip_damaged=options.skip_damaged, load=load), recorded)
    assert begun.dataset.train is not None
    out = options.out or folder / "suspects"
    probabilities = predict_by_folds(begun, options.folds, out)
    _tell(
        options,
        out,
        begun.dataset,
        f"training images, {options.folds} folds",
        begun.dataset.train,
        probabilities,
        begun.initial.image,
    )


def _look_at_run(options: argparse.Namespace) -> None:
    from export.sources.load_options import LoadOptions
    from export.sources.run_folder import read_run
    from export.sources.run_source import load_run_data
    from export.training.held_out import predict_run

    folder = Path(options.model)
    run = read_run(folder)
    dataset = load_run_data(folder, run, options.data_dir)
    part, samples = choose_part(options.part, dataset, run, options.model)
    probabilities = predict_run(folder, samples, LoadOptions(code=options.code, unsafe=options.unsafe))
    _tell(options, options.out or folder / "suspects", dataset, part, samples, probabilities, run.image)


def _look_at_model(options: argparse.Namespace) -> None:
    from export.data.samples import relabel
    from export.data.trained_on import load_for_test, locate
    from export.publish.place import open_place
    from export.publish.read_back import match_classes, run_published

    with open_place(options.repository) as place:
        published = place.fetch(options.model)
        card = published.card
        if card.multilabel:
            raise UsageError(f"{card.name} gives several labels for an image: confident learning needs exactly one")
        if not (name := options.dataset):
            if card.training is None:
                raise UsageError(f"--dataset is missing: what {card.name} was trained on isn't recorded")
            name = locate(card.training.dataset, card.name)
        dataset = load_for_test(name, options.data_dir, card, skip_damaged=options.skip_damaged)
        part, samples = choose_part(options.part, dataset, card, card.name)
        samples = relabel(samples, match_classes(card, dataset))
        probabilities = run_published(published, samples, title=part)
    out = options.out or Path(f"suspects-{card.name}")
    _tell(options, out, replace(dataset, labels=card.labels), part, samples, probabilities, card.image)


def choose_part(part: str | None, dataset: DataSet, known: Provenance, name: str) -> tuple[str, Samples]:
    """The images that the network called `name` wasn't trained on, behind a description of them for people ("test
    images"). `part` is "test", "validation" or None: validation images where the network
    was trained on the data set, else test images.

    Raises UsageError where they aren't known, DataError where the data set has changed.
    """
    from export.data.holdout import validation_images
    from export.data.samples import PartOfSamples
    from export.data.trained_on import has_name, is_trained_on

    training = known.training
    if part == "test":
        return "test images", dataset.test
    known_again = is_trained_on(training, dataset)
    if part is None and not known_again and not has_name(training, dataset.name):
        return "test images", dataset.test
    if training is None or dataset.train is None or not known_again:
        raise UsageError(
            f"{name} records no training on {dataset.title} as it is now: its validation images aren't known, "
            "pass --part test"
        )
    places = validation_images(dataset.train.labels, training, name)
    return "validation images", PartOfSamples(dataset.train, places)


def _tell(
    options: argparse.Namespace,
    out: Path,
    dataset: DataSet,
    part: str,
    samples: Samples,
    probabilities: Floats,
    policy: ImagePolicy,
) -> None:
    """Write the table and the page, and say what is in them."""
    from export.data.samples import decode_samples
    from export.progress import say
    from export.report.suspects import find_suspects
    from export.report.suspects_page import PAGE_FILE, TABLE_FILE, describe_suspects, write_suspects

    suspects = find_suspects(probabilities, samples.labels)
    title = f"Suspects of wrong labels: {dataset.title}, {part}"
    try:
        write_suspects(
            out,
            suspects,
            dataset.labels,
            title=title,
            name_image=samples.name,
            show_images=lambda places: decode_samples(samples, places, policy),
            shown=options.shown,
        )
    except OSError as error:
        raise DataError(
            f"{out}: {error.strerror or error}: the table can't be written; name another folder with --out"
        ) from error
    say(f"{dataset.title}, {part}: {describe_suspects(suspects)}")
    print(f"{out / TABLE_FILE}\n{out / PAGE_FILE}")
