"""TensorBoard's event files, written at once and by this thread, so that a killed training loses no epoch of them."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from export.sources.run_folder import Run, disk_in_a_line
from export.training.logs.log import final_figures


class TensorBoardLog:
    """Into `place`, which is one training's, or the run folder's `tensorboard/`: `tensorboard --logdir runs` shows all.

    Steps are epochs. Raises TrainingError where the disk refuses.
    """

    def __init__(self, place: Path | None, run_folder: Path) -> None:
        self.folder = place or run_folder / "tensorboard"
        # A file for each start: behind a record that a kill cut off nothing could be read.
        self._file = self.folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"

    def begin(self, run: Run, history: Sequence[Mapping[str, float]]) -> None:
        began = any(self.folder.glob("events.out.tfevents.*"))
        with disk_in_a_line(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        recipe = {name: value for name, value in {**run.recipe, "seed": run.seed}.items() if value is not None}
        shown = summary.hparams(recipe, {"val_accuracy": 0.0, "test_top1": 0.0})[:2]
        self._append(
            Event(file_version="brain.Event:2"),
            # Epochs that were logged and then lost with a kill, before their checkpoint: TensorBoard forgets them.
            Event(step=len(history) + 1, session_log=SessionLog(status=SessionLog.START)),
            *(Event(summary=part) for part in shown),
        )
        for row in () if began else history:
            self.add_epoch(row)

    def add_epoch(self, row: Mapping[str, float]) -> None:
        epoch = int(row["epoch"])
        figures = {name: value for name, value in row.items() if name != "epoch"}
        self._append(*(Event(summary=summary.scalar(*figure), step=epoch) for figure in figures.items()))

    def finish(self, run: Run, report: Path) -> None:
        assert run.training is not None
        parts = [summary.scalar(*figure) for figure in final_figures(run).items()]
        for picture in sorted(report.glob("*.png")):
            with Image.open(picture) as image:
                pixels = np.asarray(image.convert("RGB"))
            parts.append(summary.image(f"report/{picture.stem}", pixels, dataformats="HWC"))
        parts.append(summary.hparams({}, {})[2])  # the session's end
        self._append(*(Event(summary=part, step=run.training.epochs) for part in parts))

    def _append(self, *events: Any) -> None:
        """As records: length, its checksum, the event, its checksum."""
        records = []
        for event in events:
            event.wall_time = time.time()
            data = event.SerializeToString()
            length = struct.pack("<Q", len(data))
            for part in (length, data):
                records += [part, struct.pack("<I", masked_crc32c(part))]
        with disk_in_a_line(self.folder), self._file.open("ab") as file:
            file.write(b"".join(records))
