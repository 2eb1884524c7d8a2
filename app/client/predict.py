"""The command `convserve predict`: prints answers as a table, JSON or CSV, and a summary."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from app.client.bulk import classify_all
from app.client.connect import BYTES, RequestFailed, Service, connect, fetch, fetch_picture
from app.client.image_lists import ListedImage, list_images
from app.client.image_reader import ImageReader, UnreadableImage
from app.client.progress import Progress
from app.client.tally import Tally
from app.client.terminal import draw_bar
from app.observe.logs import escape
from app.settings_sources import load_settings
from artifact.errors import InputError

Write = Callable[[ListedImage, dict[str, Any]], None]


async def predict_images(
    model: str,
    words: Sequence[str],
    *,
    url: str | None,
    repository: Path | str | None,
    top_k: int | None,
    as_json: bool,
    csv_file: Path | None,
    picture: Path | None,
) -> int:
    """Classify the images that `words` name, in the forms that `list_images` takes; returns the exit status, 1 if any
    failed.

    Prints a table or JSON lines, or writes `csv_file`, and sums up several images on standard error. For a single image
    `picture` is a file that gets the image with the evidence for its class drawn over it.

    Raises InputError, StoreError, RequestFailed and OSError.
    """
    images = list_images(words)
    if picture is not None and len(images) > 1:
        raise InputError(f"--explain draws one image, and these are {len(images):,}: name one file")
    options = {} if top_k is None else {"top_k": top_k}
    async with connect(url, repository, [model]) as service, ImageReader(load_settings().max_image_bytes) as reader:
        tally = Tally(await _find_classes(service, model, images))
        answers = classify_all(service, model, images, lambda image: reader.read(image.name), options)
        with _open_csv(csv_file) if csv_file else nullcontext(_print_json if as_json else _print_answer) as write:
            # Between the lines of answers on the same terminal it would be in the way.
            progress = Progress(len(images)) if csv_file or not sys.stdout.isatty() else None
            await _write_all(answers, write, tally, progress)
        if len(images) > 1:
            for line in tally.summarize():
                print(escape(line), file=sys.stderr)
        if picture is not None and not tally.failed:
            picture.write_bytes(await _explain(service, model, images[0], reader))
    return 1 if tally.failed else 0


async def _find_classes(service: Service, model: str, images: Sequence[ListedImage]) -> frozenset[str]:
    """The model's labels, where the list has labels to hold against them."""
    if not any(image.label for image in images):
        return frozenset()
    return frozenset((await fetch(service.client, "GET", f"/models/{model}/card"))["labels"])


async def _write_all(
    answers: AsyncIterator[tuple[ListedImage, dict[str, Any]]], write: Write, tally: Tally, progress: Progress | None
) -> None:
    try:
        async for image, answer in answers:
            tally.note(image, answer)
            write(image, answer)
            if progress is not None:
                progress.show(tally.done, tally.failed)
    finally:
        if progress is not None:
            progress.end()


async def _explain(service: Service, model: str, image: ListedImage, reader: ImageReader) -> bytes:
    try:
        content = await reader.read(image.name)
    except UnreadableImage as error:
        raise RequestFailed(f"{image.name}: {error}") from error
    return await fetch_picture(service.client, f"/explain/{model}", content=content, headers=BYTES)


@contextmanager
def _open_csv(path: Path) -> Iterator[Write]:
    """A CSV file with one line for each image: file, label, probability, error. Lines are written to `path`.part, which
    is renamed to `path` at the end, after Ctrl-C too.

    Always UTF-8: bytes of a file's name that aren't (zip files from Windows) are escaped, as \\udce9.
    """
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", buffering=1, newline="", encoding="utf-8", errors="backslashreplace") as out:
        writer = csv.writer(out)
        writer.writerow(["file", "label", "probability", "error"])

        def write(image: ListedImage, answer: dict[str, Any]) -> None:
            if "error" in answer:
                writer.writerow([image.name, "", "", answer["error"]])
            else:
                best = answer["predictions"][0]["classes"][0]
                writer.writerow([image.name, best["label"], best["probability"], ""])

        try:
            yield write
        finally:
            unfinished.replace(path)


def _print_json(image: ListedImage, answer: dict[str, Any]) -> None:
    print(json.dumps({"file": image.name, **answer}))


def _print_answer(image: ListedImage, answer: dict[str, Any]) -> None:
    if "error" in answer:
        print(escape(f"{image.name}: {answer['error']}"), file=sys.stderr)
        return
    prediction = answer["predictions"][0]
    by = f"  ({prediction['model']} version {prediction['version']})" if "model" in prediction else ""
    print(escape(f"{image.name}{by}"))
    classes = prediction["classes"]
    labels = [escape(entry["label"]) for entry in classes]
    width = max(map(len, labels))
    for label, entry in zip(labels, classes, strict=True):
        print(f"  {label:<{width}}  {entry['probability']:7.2%}  {draw_bar(round(entry['probability'] * 30))}")
