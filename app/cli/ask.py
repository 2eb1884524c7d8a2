"""`convserve predict`, `models` and `bench`: what a service, or a repository in this process, is asked."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from app.cli.read_settings import read_settings
from app.cli.usage import UsageError, repository


def predict(arguments: list[str]) -> int:
    """Classify images. Raises UsageError."""
    parser = _parser(
        "predict",
        "Classify images: files, those of a folder or below s3:// gs:// az://, those that a CSV file names, http(s) "
        "addresses. Where folders or the file give the classes, accuracy is printed at the end.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "images",
        metavar="IMAGE|FOLDER|MANIFEST.csv|ADDRESS",
        nargs="+",
        help="a manifest has the columns path[, label]",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="classes for each image (default: 5)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the best class of each image to a CSV file")
    parser.add_argument("--explain", type=Path, metavar="PNG", help="draw where the network looked (one image only)")
    given = parser.parse_args(arguments)
    from app.client.predict import predict_images

    return _run(
        predict_images(
            given.model,
            given.images,
            url=given.url,
            repository=given.repository,
            top_k=given.top_k,
            as_json=given.json,
            csv_file=given.csv,
            picture=given.explain,
        )
    )


def models(arguments: list[str]) -> int:
    """List models."""
    given = _parser("models", "List models and their state.").parse_args(arguments)
    from app.client.models import show_models

    return _run(show_models(url=given.url, repository=given.repository, as_json=given.json))


def bench(arguments: list[str]) -> int:
    """Time a model. Raises UsageError."""
    parser = argparse.ArgumentParser(
        prog="convserve bench", description="Measure a model at each batch size, in this process and without HTTP."
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "--repository", type=repository, metavar="DIR", help="folder or store of the model (default: ./repository)"
    )
    parser.add_argument("--version", type=int, metavar="N", help="default: the newest")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="time for each batch size (default: 1)")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw images a second over the batch size")
    given = parser.parse_args(arguments)
    from app.client.sweep import run_bench
    from artifact.errors import ArtifactError

    flags = [f"--{name}={value}" for name in ("repository", "device") if (value := getattr(given, name))]
    settings = read_settings(flags, None)
    try:
        print(run_bench(settings, given.model, version=given.version, plot=given.plot, seconds=given.seconds))
    except (ArtifactError, OSError) as error:
        print(f"convserve: {error}", file=sys.stderr)
        return 1
    return 0


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"convserve {command}", description=description)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="a running service, such as http://127.0.0.1:8000")
    where.add_argument(
        "--repository", type=repository, metavar="DIR", help="a folder or store to load from (default: ./repository)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Exit status 1 and a line where it fails. Raises UsageError for words that name no images."""
    from app.client.connect import RequestFailed
    from artifact.errors import InputError, StoreError

    # An app within this process says everything in its answers; its log would say it twice.
    logging.basicConfig(level=logging.CRITICAL)
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        raise
    except InputError as error:
        raise UsageError(str(error)) from error
    except (RequestFailed, StoreError) as error:
        print(f"convserve: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convserve: {error.filename} can't be used: {error.strerror}", file=sys.stderr)
        return 1
