"""The commands that bring a network into a repository: their words, and what each calls."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from artifact.figures.precision import Precision, Ranges
from export.cli.options import (
    add_image_options,
    add_publish_options,
    add_shared,
    points,
    positive,
    read_policy_options,
    size,
)
from export.cli.quiet_import import load_keras
from export.errors import UsageError

if TYPE_CHECKING:
    from export.sources.image_options import ImageOptions


def add_convert(commands: Any) -> None:
    parser = commands.add_parser(
        "convert",
        help="convert a run, a Keras file, a SavedModel or a network by name; prove it, publish it",
        description="Convert a network to ONNX; prove that nothing changed; publish it into a repository. "
        "RUN is a finished training. FILE is your own .keras or .h5 file or SavedModel folder: pass --labels, --name "
        "and how its pixels were prepared. NETWORK is a name from `convserve-export networks` or of keras.applications "
        "(mobilenet_v2, convnext_tiny, ...): without --weights it gets random ones, fitted to the proof images.",
    )
    parser.add_argument("source", metavar="RUN|FILE|NETWORK", help="what to convert")
    parser.add_argument("--name", help="the model's name in the repository (needed for a file)")
    parser.add_argument(
        "--weights",
        metavar="imagenet|FILE",
        help="for a NETWORK: imagenet is keras.applications' own network with its weights; a file fills the one named",
    )
    parser.add_argument("--signature", metavar="NAME", help="of a SavedModel (default: serving_default)")
    parser.add_argument("--code", type=Path, metavar="FILE.py", help="definitions of custom layers; it is executed")
    parser.add_argument("--unsafe", action="store_true", help="allow Lambda layers, which run code from the file")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="fp16 (for CUDA) or int8 (for CPUs; needs --dataset or --images) make a model of its own, NAME-fp16 or "
        "NAME-int8, published if top-1 falls by --budget at most; int8 leaves layers in float where that needs it, and "
        "is published where it is faster than fp32 here (default: fp32)",
    )
    parser.add_argument(
        "--budget",
        type=points,
        metavar="POINTS",
        help="for a lower precision: how far top-1 may fall, in percentage points (default: 0.5)",
    )
    parser.add_argument(
        "--calibration",
        choices=("auto", *get_args(Ranges)),
        help="for int8: how the ranges of activations are chosen; auto takes the first that keeps "
        "the budget (default: auto)",
    )
    parser.add_argument("--allow-slower", action="store_true", help="publish int8 even if it is slower than fp32")
    add_image_options(parser)
    add_publish_options(parser)
    add_shared(parser, _convert, repository=True, data=True)


def add_adopt(commands: Any) -> None:
    parser = commands.add_parser(
        "adopt",
        help="publish an ONNX classifier made elsewhere, with pixel arithmetic and softmax put into its graph",
        description="Adopt an ONNX file: float32 images in (NCHW or NHWC, any opset from 7, fixed or dynamic batch), "
        "logits or probabilities out. The arithmetic on pixels, the layout and the softmax are put into its graph, and "
        "the result is proved against the untouched file. Pass --labels, and the arithmetic by --mean and --std, by "
        "--preprocessing or by --like.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="its external data must be in the same folder")
    parser.add_argument("--name", help="the model's name in the repository (default: the file's)")
    add_image_options(parser)
    add_publish_options(parser)
    add_shared(parser, _adopt, repository=True, data=True)


def add_time(commands: Any) -> None:
    parser = commands.add_parser(
        "time",
        help="time the forward pass: Keras and ONNX Runtime",
        description="Time the forward pass: 10 burn-in batches, then the measured ones, Keras and ONNX Runtime by "
        "turns in one run, mean +/- standard deviation per batch as a table and a plot.",
    )
    parser.add_argument("source", metavar="NETWORK|RUN|FILE", help="a network by name gets random weights")
    parser.add_argument("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--batches", type=positive, default=100, metavar="N", help="batches that are measured (default: 100)"
    )
    parser.add_argument("--size", type=size, metavar="HxW", help="another input size")
    parser.add_argument("--code", type=Path, metavar="FILE.py", help="definitions of custom layers; it is executed")
    parser.add_argument("--unsafe", action="store_true", help="allow Lambda layers, which run code from the file")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="default: time-NETWORK.png")
    add_shared(parser, _time)


def read_image_options(options: argparse.Namespace) -> ImageOptions:
    return read_policy_options(
        options,
        labels=options.labels,
        polarity=options.polarity,
        reduced_decode=options.reduced_decode,
        head=None if options.head == "auto" else options.head,
        output=options.output,
        images=options.images,
        dataset=options.dataset,
        skip_damaged=options.skip_damaged,
    )


def check_lowering(options: argparse.Namespace) -> None:
    """Raise UsageError for words of a lower precision that would do nothing."""
    if options.precision == "fp32" and options.budget is not None:
        raise UsageError("--budget is for a lower precision: pass --precision fp16 or int8, too")
    if options.precision != "int8" and (options.calibration is not None or options.allow_slower):
        word = "--calibration" if options.calibration is not None else "--allow-slower"
        raise UsageError(f"{word} is for int8: pass --precision int8, too")


def _convert(options: argparse.Namespace) -> None:
    from export.publish.place import open_place

    image = read_image_options(options)
    check_lowering(options)
    with open_place(options.repository) as place:
        place.check_writable()
        load_keras()
        from export.proof.precision.lowering import Lowering
        from export.publish.pipeline import convert, name_published
        from export.sources.find import find_source
        from export.sources.load_options import LoadOptions

        source = find_source(
            options.source,
            name=options.name,
            image=image,
            load=LoadOptions(options.weights, options.signature, options.code, options.unsafe),
            data_dir=options.data_dir,
        )
        place.prepare(name_published(source, options.precision))
        lowering = Lowering(
            ranges=None if options.calibration in (None, "auto") else options.calibration,
            allow_slower=options.allow_slower,
            **({} if options.budget is None else {"budget": options.budget}),
        )
        published = convert(
            source,
            place.folder,
            options.precision,
            lowering=lowering,
            replace_config=options.replace_config,
            robustness=options.robustness,
        )
        _print_published(published, place.deliver(published), options)


def _adopt(options: argparse.Namespace) -> None:
    from export.publish.adopt import adopt
    from export.publish.place import open_place

    with open_place(options.repository) as place:
        place.check_writable()
        place.prepare(options.name or options.file.stem)
        published = adopt(
            options.file,
            read_image_options(options),
            place.folder,
            name=options.name,
            data_dir=options.data_dir,
            replace_config=options.replace_config,
            robustness=options.robustness,
        )
        _print_published(published, place.deliver(published), options)


def _print_published(published: Path, where: str, options: argparse.Namespace) -> None:
    """With --json, what was published, as one object on standard output."""
    if options.json:
        from export.publish.read_back import describe_published

        print(json.dumps({**describe_published(published), "folder": where}))


def _time(options: argparse.Namespace) -> None:
    load_keras()
    from export.proof.forward_timing import time_network

    timing = time_network(
        options.source,
        batch_size=options.batch_size,
        batches=options.batches,
        size=options.size,
        code=options.code,
        unsafe=options.unsafe,
        plot=options.plot or Path(f"time-{Path(options.source).stem}.png"),
    )
    print(timing.table())
