"""Worker: the service within one process that classifies blocks, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from app.client.bulk import classify_all
from app.client.connect import RequestFailed, Service, connect
from app.client.image_reader import ImageReader
from app.settings_sources import load_settings
from artifact.errors import InputError
from deploy.batch.blocks import Block
from deploy.batch.tables import Row, read_rows, write_answers

# Of these an image is innocent: another try may end otherwise.
_OF_THE_SERVICE = frozenset((404, 429, 500, 503, 504))


class Job(NamedTuple):
    """What every worker of a run loads and answers: one version of a model, and the number of classes per image (None:
    the service's default).
    """

    repository: str
    model: str
    version: int
    top_k: int | None


class Answers(NamedTuple):
    """The result of a block."""

    block: str
    content: bytes
    """A Parquet file, as `write_answers` makes it; empty where there is a `failure`."""
    rows: int
    failed: int
    """Number of rows whose answer is an error."""
    began: float
    ended: float
    """By time.time: of the first image and of the last."""
    failure: str = ""
    """Why the block couldn't be read or the model didn't run: nothing is known of its images."""


class Worker:
    """Classifies blocks with one model, in this process. It is made and used in one thread. Raises RequestFailed where
    the model can't be loaded.
    """

    def __init__(self, job: Job, cores: int, device: str) -> None:
        self._job = job
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self._service, self._reader = self._runner.run(self._start(cores, device))

    async def _start(self, cores: int, device: str) -> tuple[Service, ImageReader]:
        # As many threads as the cores that this worker has: count_cores() would see those of the whole machine.
        settings = {"threads": cores, "decode_threads": cores, "device": device, "versions": str(self._job.version)}
        repository = self._job.repository if "://" in self._job.repository else Path(self._job.repository)
        service = await self._open.enter_async_context(connect(None, repository, [self._job.model], **settings))
        return service, await self._open.enter_async_context(ImageReader(load_settings().max_image_bytes))

    def classify(self, block: Block) -> Answers:
        """The answers of every image of a block."""
        return self._runner.run(self._classify(block))

    def close(self) -> None:
        self._runner.run(self._open.aclose())
        self._runner.close()

    async def _classify(self, block: Block) -> Answers:
        began = time()
        try:
            rows: Iterable[Row] = (Row(name, None) for name in block.images)
            if block.table:
                rows = read_rows(block.table, block.group)
            options = {} if self._job.top_k is None else {"top_k": self._job.top_k}
            answers: list[tuple[str, dict[str, Any]]] = []
            async for row, answer in classify_all(self._service, self._job.model, rows, self._read, options):
                if answer.get("status") in _OF_THE_SERVICE:
                    raise RequestFailed(answer["error"])
                answers.append((row.name, answer))
            ended = time()
            failed = sum("error" in answer for _, answer in answers)
            return Answers(block.name, write_answers(answers), len(answers), failed, began, ended)
        except (InputError, RequestFailed) as error:
            return Answers(block.name, b"", block.rows, 0, began, time(), str(error))

    async def _read(self, row: Row) -> bytes:
        return await self._reader.read(row.name) if row.content is None else row.content
