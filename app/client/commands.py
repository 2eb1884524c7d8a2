"""The commands `convserve predict` and `convserve models`: requests to the service, answers as tables, JSON or CSV."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2

from app.client.connect import RequestFailed, connect, fetch, fetch_picture
from app.client.terminal import draw_bar, print_table
from app.observe.logs import escape
from artifact.images.formats import IMAGE_SUFFIXES

# Enough to fill batches, few enough to leave places in the queue for others.
_AT_ONCE = 16
_BYTES = {"Content-Type": "application/octet-stream"}


async def predict_images(
    model: str,
    paths: Sequence[Path],
    *,
    url: str | None,
    repository: Path | str | None,
    top_k: int | None,
    as_json: bool,
    csv_file: Path | None,
    picture: Path | None = None,
) -> int:
    """Classify files, and the images of folders.

    Prints a table or JSON lines, or fills `csv_file`; 1 where any failed. `picture` gets the first file with the
    evidence for its class laid over it.
    """
    files = list(find_images(paths))
    options = {} if top_k is None else {"top_k": top_k}
    failed = 0
    async with connect(url, repository, [model]) as client:
        answers = _post_all(client, f"/predict/{model}", files, options)
        if csv_file is not None:
            return await _write_csv(csv_file, answers, len(files))
        async for file, answer in answers:
            failed += "error" in answer
            if as_json:
                print(json.dumps({"file": str(file), **answer}))
            else:
                _print_answer(file, answer)
        if picture is not None and not failed:
            content = files[0].read_bytes()
            picture.write_bytes(await fetch_picture(client, f"/explain/{model}", content=content, headers=_BYTES))
    return 1 if failed else 0


async def show_models(*, url: str | None, repository: Path | str | None, as_json: bool) -> int:
    """List the models with their state."""
    async with connect(url, repository, []) as client:
        answer = await fetch(client, "GET", "/models")
    if as_json:
        print(json.dumps(answer, indent=2))
        return 0
    rows = [("MODEL", "VERSION", "STATE", "DEVICE", "INPUT", "CLASSES", "")]
    for model in answer["models"]:
        for version in model["versions"] or [{"version": "-", **model}]:
            size = version.get("input")
            shape = f"{size['width']}x{size['height']}x{size['channels']}" if size else ""
            rows.append(
                (
                    model["name"],
                    str(version["version"]),
                    version["state"],
                    version.get("device", ""),
                    shape,
                    str(version.get("classes", "")),
                    version.get("reason", ""),
                )
            )
    print_table(rows)
    return 0


def find_images(paths: Iterable[Path]) -> Iterable[Path]:
    """The files named, and the images in the folders named (by suffix, sorted, subfolders too)."""
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in IMAGE_SUFFIXES)
        else:
            yield path


async def _post_all(
    client: httpx2.AsyncClient, path: str, files: Sequence[Path], options: dict[str, int]
) -> AsyncIterator[tuple[Path, dict[str, Any]]]:
    """Answers in the order of `files`, several requests at once; a failed one's answer is {"error": words}."""

    async def post(file: Path) -> dict[str, Any]:
        try:
            content = file.read_bytes()
            return await fetch(client, "POST", path, content=content, params=options, headers=_BYTES)
        except RequestFailed as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"can't be read: {error.strerror}"}

    waiting: deque[tuple[Path, asyncio.Task[dict[str, Any]]]] = deque()
    left = iter(files)
    try:
        while True:
            waiting.extend((file, asyncio.create_task(post(file))) for file in islice(left, _AT_ONCE - len(waiting)))
            if not waiting:
                return
            file, answer = waiting[0]
            yield file, await answer
            waiting.popleft()
    finally:
        for _, unwanted in waiting:
            unwanted.cancel()
        await asyncio.gather(*(unwanted for _, unwanted in waiting), return_exceptions=True)


async def _write_csv(path: Path, answers: AsyncIterator[tuple[Path, dict[str, Any]]], total: int) -> int:
    """One line a file: file, label, probability, error. Each is written beside `path` as it comes, and takes its place
    at the end, also at an early one: Ctrl-C leaves what was done.

    UTF-8, always: what in a file's name isn't (zip files from Windows) becomes \\udce9, say.
    """
    failed = done = 0
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", buffering=1, newline="", encoding="utf-8", errors="backslashreplace") as out:
        writer = csv.writer(out)
        writer.writerow(["file", "label", "probability", "error"])
        try:
            async for file, answer in answers:
                done += 1
                if "error" in answer:
                    failed += 1
                    writer.writerow([file, "", "", answer["error"]])
                else:
                    best = answer["predictions"][0]["classes"][0]
                    writer.writerow([file, best["label"], best["probability"], ""])
                print(f"\r{done:,} of {total:,} images, {failed:,} failed", end="", file=sys.stderr, flush=True)
        finally:
            print(file=sys.stderr)
            unfinished.replace(path)
    return 1 if failed else 0


def _print_answer(file: Path, answer: dict[str, Any]) -> None:
    if "error" in answer:
        print(escape(f"{file}: {answer['error']}"), file=sys.stderr)
        return
    prediction = answer["predictions"][0]
    by = f"  ({prediction['model']} version {prediction['version']})" if "model" in prediction else ""
    print(escape(f"{file}{by}"))
    classes = prediction["classes"]
    labels = [escape(entry["label"]) for entry in classes]
    width = max(map(len, labels))
    for label, entry in zip(labels, classes, strict=True):
        print(f"  {label:<{width}}  {entry['probability']:7.2%}  {draw_bar(round(entry['probability'] * 30))}")
