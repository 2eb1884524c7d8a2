"""MLflow's folder of local files. Nothing leaves the machine: no server is asked, telemetry is off."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Since 3.7 MLflow refuses a store of files unless it is told so; its databases need more than mlflow-skinny brings.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from export.errors import TrainingError
from export.sources.run_folder import Run, disk_in_a_line, replace_text
from export.training.logs.log import final_figures

ID_FILE = "mlflow.txt"
"""In the run folder: the id of its MLflow run, so that a resumed training goes on in it."""


class MlflowLog:
    """A run of the experiment that bears the data set's name, in the store `place`, or MLflow's own ./mlruns.

    Steps are epochs. Raises TrainingError where the disk or MLflow refuses.
    """

    def __init__(self, place: Path | None, run_folder: Path) -> None:
        self.place, self.run_folder = place or Path("mlruns"), run_folder
        self._logged: set[int] = set()
        self._id = ""
        with self._refusals():
            self._client = MlflowClient(self.place.resolve().as_uri())

    def begin(self, run: Run, history: Sequence[Mapping[str, float]]) -> None:
        with self._refusals():
            self._id = self._find_run() or self._make_run(run)
            # An epoch may have been logged and then lost with a kill, before its checkpoint: it isn't logged twice.
            self._logged = {metric.step for metric in self._client.get_metric_history(self._id, "loss")}
            recipe = {**run.recipe, "seed": run.seed}
            self._client.log_batch(self._id, params=[Param(name, str(value)) for name, value in recipe.items()])
        for row in history:
            self.add_epoch(row)

    def add_epoch(self, row: Mapping[str, float]) -> None:
        epoch = int(row["epoch"])
        if epoch not in self._logged:
            self._log({name: value for name, value in row.items() if name != "epoch"}, epoch)

    def finish(self, run: Run, report: Path) -> None:
        assert run.training is not None
        self._log(final_figures(run), run.training.epochs)
        with self._refusals():
            self._client.log_artifacts(self._id, str(report), "report")
            self._client.set_terminated(self._id)

    def _log(self, figures: Mapping[str, float], epoch: int) -> None:
        now = round(time.time() * 1000)
        with self._refusals():
            self._client.log_batch(self._id, [Metric(name, value, now, epoch) for name, value in figures.items()])

    def _find_run(self) -> str | None:
        """That of this run folder, unless it isn't in this store, or was deleted."""
        try:
            run_id = (self.run_folder / ID_FILE).read_text(encoding="utf-8").strip()
            self._client.update_run(run_id, status="RUNNING")
        except (FileNotFoundError, MlflowException):
            return None
        return run_id

    def _make_run(self, run: Run) -> str:
        title = Path(run.dataset).name
        experiment = self._client.get_experiment_by_name(title)
        number = experiment.experiment_id if experiment is not None else self._client.create_experiment(title)
        run_id: str = self._client.create_run(number, run_name=self.run_folder.resolve().name).info.run_id
        replace_text(self.run_folder / ID_FILE, run_id + "\n")
        return run_id

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            with disk_in_a_line(self.place):
                yield
        except MlflowException as error:
            raise TrainingError(f"--log mlflow: {self.place}: {' '.join(str(error).split())}") from error
