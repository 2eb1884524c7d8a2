"""ImageFolder: the images of disagreements as files, which stay when the service ends: FOLDER/SHADOW/ID.png (or the
suffix of the format that was sent), and ID.json with both answers. All workers write into the same folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from app.catalog.threads import run_in_thread
from app.catalog.traffic import images
from artifact.images.formats import FORMATS, find_format

T = TypeVar("T")

log = logging.getLogger(__name__)

# Limits for each shadow, over all workers and earlier starts.
MAX_IMAGES = 1_000
MAX_BYTES = 256_000_000
# Each process drops what is beyond the limits after every 50 images that it wrote, so until then the folder may hold 50
# more for each process.
_LOOK_EVERY = 50
# What was written here, by the ids of disagreements: anything else in the folder is somebody else's.
_OURS = re.compile(r"[0-9a-f]{16}\.[a-z0-9]+")
# Images that wait to be written.
_MOST_BACKLOG_BYTES = 16_000_000


def check_folder(folder: Path) -> None:
    """Make the folder if there is none. Raises ValueError, which says what to do, if it can't be written into."""
    probe = folder / ".convserve"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"shadow_images {folder} can't be written to ({error.strerror}): name another folder"
        ) from error


class ImageFolder:
    """The Images (app.catalog.traffic.images) that writes files. Call it on the event loop only; it reads and writes
    files in threads, one file at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, dict[str, Path]] = {}  # by this process, oldest first
        self._written: dict[str, int] = {}
        self._backlog_bytes = 0
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def keep(self, shadow: str, disagreement: Mapping[str, Any], image: bytes) -> None:
        if self._backlog_bytes + len(image) > _MOST_BACKLOG_BYTES:
            return  # the disk is slow: the newest are let go
        self._backlog_bytes += len(image)
        kept, name = self._kept.setdefault(shadow, {}), disagreement["id"]
        kept[name] = self._folder / shadow / f"{name}{_find_suffix(image)}"
        if len(kept) > images.MAX_IMAGES:
            del kept[next(iter(kept))]
        looks = self._written.get(shadow, 0) % _LOOK_EVERY == 0
        self._written[shadow] = self._written.get(shadow, 0) + 1
        self._begin(self._keep(shadow, kept[name], dict(disagreement), image, looks))

    def holds(self, shadow: str, disagreement_id: str) -> bool:
        return disagreement_id in self._kept.get(shadow, {})

    async def find(self, shadow: str, disagreement_id: str) -> bytes | None:
        if (file := self._kept.get(shadow, {}).get(disagreement_id)) is None:
            return None
        return await self._begin(self._in_turn(partial(_read, file)))

    def forget(self, shadow: str) -> None:
        self._kept.pop(shadow, None)  # there may be some of earlier starts without any of this one
        self._begin(self._in_turn(partial(_delete, self._folder / shadow)))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Every task that reads or writes files is started here, so that they run in order."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await run_in_thread(work)

    async def _keep(self, shadow: str, file: Path, answers: dict[str, Any], image: bytes, looks: bool) -> None:
        try:
            await self._in_turn(lambda: _write(file, answers, image, looks))
        except OSError as error:
            log.error("the image %s of a disagreement can't be kept: %s", file, error.strerror)
            self._kept.get(shadow, {}).pop(answers["id"], None)
        finally:
            self._backlog_bytes -= len(image)


def _find_suffix(image: bytes) -> str:
    format = find_format(image)
    return FORMATS[format].suffixes[0] if format else ".bin"


def _write(file: Path, answers: dict[str, Any], image: bytes, looks: bool) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # these are other people's images
    file.write_bytes(image)
    file.with_suffix(".json").write_text(json.dumps(answers) + "\n", encoding="utf-8")
    if looks:
        _drop_oldest(file.parent)


def _drop_oldest(folder: Path) -> None:
    """Delete the oldest images beyond the limits. Another worker may do so at the same time."""
    found = []
    for file in folder.iterdir():
        if file.suffix != ".json":
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, status.st_size, file))
    size = 0
    for place, (_, bytes_, file) in enumerate(sorted(found, reverse=True)):
        size += bytes_
        if place >= MAX_IMAGES or size > MAX_BYTES:
            file.unlink(missing_ok=True)
            file.with_suffix(".json").unlink(missing_ok=True)


def _delete(folder: Path) -> None:
    """All that was written, and the folder where nothing else is in it. Another worker may do the same."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            if _OURS.fullmatch(file.name):
                file.unlink(missing_ok=True)
        folder.rmdir()


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
