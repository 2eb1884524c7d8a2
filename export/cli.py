"""convserve-export: parses the words, calls the stages, prints one-line errors."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from export.errors import ExportError, UsageError

HEADS = ("auto", "softmax", "logits", "sigmoid", "multilabel")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failure, 2 for usage, 130 after Ctrl-C."""
    # TensorFlow's start-up chatter would bury the progress.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ExportError as error:
        print(f"convserve-export: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("\nconvserve-export: stopped; nothing was left half-written, the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convserve-export", description="From a Keras classifier to a served artifact, with a proof."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="train, evaluate, convert and verify by a recipe")
    build.add_argument("recipe", nargs="+", help="quickstart (the embedded default), lenet5-mnist, ...")
    build.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders (default: runs)")
    build.add_argument("--name", help="the model's name in the repository (default: NETWORK-DATASET)")
    build.add_argument("--if-missing", action="store_true", help="do nothing where the repository has the model")
    _add(build, _build, repository=True, data=True, seed=True)

    train = commands.add_parser("train", help="train a network into a run folder; the same command resumes it")
    train.add_argument("network", help="a name from `convserve-export networks`")
    train.add_argument("--dataset", required=True, help="digits, mnist, fashion-mnist")
    train.add_argument("--epochs", type=_positive, help="instead of the recipe's")
    train.add_argument("--out", type=Path, help="run folder (default: runs/NETWORK-DATASET)")
    _add(train, _train, data=True, seed=True)

    convert = commands.add_parser(
        "convert",
        help="convert a run folder or a Keras file, prove it, publish it",
        description="Convert a finished run folder, or your own .keras or .h5 file, to ONNX; prove that nothing "
        "changed; publish it into a repository.",
    )
    convert.add_argument("source", type=Path, metavar="RUN|FILE", help="a run folder, or a .keras or .h5 file")
    convert.add_argument("--name", help="the model's name in the repository (needed for a file)")
    _add_image_options(convert)
    _add(convert, _convert, repository=True, data=True)

    evaluate = commands.add_parser("evaluate", help="accuracy of an artifact through the serving decoder")
    evaluate.add_argument("model", help="NAME or NAME/VERSION")
    evaluate.add_argument("--dataset", required=True, help="digits, mnist, fashion-mnist, photos")
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    _add(evaluate, _evaluate, repository=True, data=True)

    verify = commands.add_parser("verify", help="the proof of an artifact again, on this machine")
    verify.add_argument("model", help="NAME or NAME/VERSION")
    _add(verify, _verify, repository=True)

    networks = commands.add_parser("networks", help="the networks that can be trained")
    networks.add_argument("--json", action="store_true", help="print the table as JSON")
    _add(networks, _networks)
    return parser


def _add(
    parser: argparse.ArgumentParser, run: object, *, repository: bool = False, data: bool = False, seed: bool = False
) -> None:
    """The options that several commands share, and what the command does."""
    parser.set_defaults(run=run)
    if repository:
        parser.add_argument("--repository", type=Path, required=True, help="folder of the served models")
    if data:
        parser.add_argument(
            "--data-dir",
            type=Path,
            default=os.environ.get("CONVSERVE_DATA_DIR"),
            help="folder that holds the original files of the data sets (default: $CONVSERVE_DATA_DIR)",
        )
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (default: 0)")


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "image options (for files; a run knows its own)",
        "How the network was fed when it was trained. keras.utils.image_dataset_from_directory: --resize bilinear "
        "--fit stretch. load_img, ImageDataGenerator, flow_from_directory: --resize nearest --fit stretch. "
        "torchvision and most published ImageNet accuracies: --resize antialias --fit crop.",
    )
    group.add_argument(
        "--labels", metavar="FILE|imagenet", help="one name a line, synset lines, a class_index JSON, or imagenet"
    )
    group.add_argument("--preprocessing", choices=("caffe", "tf", "torch", "unit", "none"), help="the pixel arithmetic")
    group.add_argument("--size", type=_size, metavar="HxW", help="where the network reads images of any size")
    group.add_argument("--fit", choices=("stretch", "crop", "content"), default="stretch")
    group.add_argument("--crop-fraction", type=float, default=0.875, metavar="F")
    group.add_argument("--resize", choices=("antialias", "bilinear", "nearest"), default="antialias")
    group.add_argument("--reduced-decode", action="store_true", help="decode large JPEGs at 1/2, 1/4 or 1/8")
    group.add_argument("--polarity", choices=("light-on-dark", "dark-on-light", "any"), default="any")
    group.add_argument("--head", choices=HEADS, default="auto", help="what the last layer gives (default: auto)")
    images = group.add_mutually_exclusive_group()
    images.add_argument("--images", type=Path, metavar="DIR", help="real images for the proof")
    images.add_argument("--dataset", metavar="D", help="a data set for the proof and the accuracy")


def _build(options: argparse.Namespace) -> None:
    from export.artifact import published_versions
    from export.progress import say
    from export.recipes import find_recipe

    if options.name and len(options.recipe) > 1:
        raise UsageError("--name names one model: build one recipe at a time with it")
    for title in options.recipe:
        recipe = find_recipe(title)
        name = options.name or recipe.model_name
        if options.if_missing and published_versions(options.repository / name):
            say(f"{options.repository} has {name} already")
            continue
        _build_one(options, title, name)


def _build_one(options: argparse.Namespace, title: str, name: str) -> None:
    from export.progress import say
    from export.recipes import find_recipe

    say(f"{title}: loading TensorFlow and the data")
    from export.datasets import load_dataset
    from export.pipeline import convert
    from export.pretrained import load_run
    from export.published import open_published, verify_published
    from export.training import train

    recipe = find_recipe(title)
    dataset = load_dataset(recipe.dataset, options.data_dir)
    folder = options.runs / (title if options.seed == 0 else f"{title}-seed{options.seed}")
    train(recipe, dataset, folder, seed=options.seed, data_dir=options.data_dir)
    published = convert(load_run(folder, name, options.data_dir), options.repository)
    proof = verify_published(open_published(options.repository, f"{name}/{published.name}"))
    say(
        f"verified {name} version {published.name}: max |p - p'| {proof.max_abs_difference:.1e} "
        f"on {proof.images} golden images"
    )


def _train(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from export.datasets import load_dataset
    from export.networks import check_network
    from export.progress import say
    from export.recipes import default_recipe
    from export.training import train

    check_network(options.network)
    recipe = default_recipe(options.network, options.dataset)
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    folder = options.out or Path("runs") / recipe.model_name
    train(recipe, load_dataset(options.dataset, options.data_dir), folder, seed=options.seed, data_dir=options.data_dir)
    say(f"next: convserve-export convert {folder} --repository repository")


def _convert(options: argparse.Namespace) -> None:
    from export.labels import read_labels
    from export.pipeline import convert
    from export.pretrained import ImageOptions, load_file, load_run

    path: Path = options.source
    if path.is_dir():
        convert(load_run(path, options.name, options.data_dir), options.repository)
        return
    if path.suffix not in (".keras", ".h5") or not path.exists():
        raise UsageError(f"{path} is neither a run folder nor a .keras or .h5 file that exists")
    if options.labels is None:
        raise UsageError(f"--labels is missing: name {path.name}'s classes with a file of one name a line, or imagenet")
    if options.name is None:
        raise UsageError("--name is missing: it becomes the model's address, /predict/NAME")
    image = ImageOptions(
        labels=options.labels,
        preprocessing=options.preprocessing,
        size=options.size,
        fit=options.fit,
        crop_fraction=options.crop_fraction,
        resize=options.resize,
        polarity=options.polarity,
        reduced_decode=options.reduced_decode,
        head=None if options.head == "auto" else options.head,
        images=options.images,
        dataset=options.dataset,
    )
    convert(load_file(path, image, read_labels(options.labels), options.name, options.data_dir), options.repository)


def _evaluate(options: argparse.Namespace) -> None:
    from export.datasets import load_dataset
    from export.published import evaluate_published, open_published

    published = open_published(options.repository, options.model)
    result = evaluate_published(published, load_dataset(options.dataset, options.data_dir))
    if options.json:
        print(result.model_dump_json())
        return
    print(
        f"{published.card.name} version {published.card.version} on {result.images:,} {result.dataset} test images: "
        f"top-1 {result.top1:.2%}, top-5 {result.top5:.2%}, calibration error {result.ece:.4f}"
    )


def _verify(options: argparse.Namespace) -> None:
    from export.published import open_published, verify_published

    published = open_published(options.repository, options.model)
    proof = verify_published(published)
    print(
        f"{published.card.name} version {published.card.version}: sha256 right, {proof.images} golden images, "
        f"max |p - p'| {proof.max_abs_difference:.1e} (tolerance {proof.abs_tolerance:g}), "
        f"relative log difference {proof.max_log_difference:.1e} (tolerance {proof.log_tolerance:g})"
    )


def _networks(options: argparse.Namespace) -> None:
    from export.networks import network_rows, print_networks

    if options.json:
        print(json.dumps(network_rows(), indent=1))
    else:
        print_networks()


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    try:
        return _positive(height), _positive(width)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, such as 224x224") from error
