"""A finished training as a source to convert."""

from __future__ import annotations

from pathlib import Path

from export.data.datasets import DataSet, load_dataset
from export.errors import DataError
from export.sources.keras_file import load_keras_file
from export.sources.load_options import LoadOptions
from export.sources.run_folder import Run, read_run, trained_file
from export.sources.source import ProofImages, Source


def load_run(
    folder: Path,
    name: str | None,
    data_dir: Path | None,
    load: LoadOptions | None = None,
    dataset: DataSet | None = None,
) -> Source:
    """A finished training. `dataset` is its data set, where it is loaded already. Raises DataError where the run isn't
    finished, its data set can't be found, or has other classes now.
    """
    run, load = read_run(folder), load or LoadOptions()
    file = trained_file(folder)
    if dataset is None:
        dataset = load_run_data(folder, run, data_dir)
    else:
        _check_classes(folder, run, dataset)
    return Source(
        name=name or run.model_name,
        model=load_keras_file(file, load.definitions(), unsafe=load.unsafe),
        provenance=run,
        head="logits",
        images=ProofImages(dataset.test, f"{dataset.title} test set", dataset.title, dataset.train),
        report=folder / "report",
    )


def load_run_data(folder: Path, run: Run, data_dir: Path | None) -> DataSet:
    """The data set of a run, in `data_dir` or where it was. Raises DataError where its classes have changed."""
    # What is damaged in a folder was decided on before the training.
    where = data_dir or (Path(run.data_dir) if run.data_dir else None)
    dataset = load_dataset(run.dataset, where, skip_damaged=True)
    _check_classes(folder, run, dataset)
    return dataset


def _check_classes(folder: Path, run: Run, dataset: DataSet) -> None:
    if dataset.labels != run.labels:
        raise DataError(
            f"{run.dataset} has {len(dataset.labels)} classes now, other than the {len(run.labels)} that {folder} was "
            "trained on: restore them, or train again into another folder"
        )
