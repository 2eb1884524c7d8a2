"""Which real images a proof runs on: a data set's, the user's, or those that scikit-learn bundles; and those of another
kind than a network's, with which a training measures how many the warning of unfamiliar images notices.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from artifact.images.formats import IMAGE_SUFFIXES
from artifact.images.frame import Pixels
from export.data.datasets import load_dataset
from export.data.folder_layout import LeftOut, find_images
from export.data.labels import describe_difference, match_labels
from export.data.samples import ArraySamples, BytesSamples, FileSamples, Samples, relabel
from export.errors import DataError
from export.progress import say
from export.sources.image_options import ImageOptions
from export.sources.source import ProofImages

# Of a foreign photo: squares, an image each.
_PIECE = 106


def choose_images(options: ImageOptions, labels: tuple[str, ...], channels: int, data_dir: Path | None) -> ProofImages:
    """--dataset, else --images, else the bundled ones. Accuracy is measured where the data set's classes are `labels`.

    Raises UsageError or DataError where what the options name can't be had.
    """
    if options.dataset is not None:
        return dataset_images(options.dataset, labels, data_dir, skip_damaged=options.skip_damaged)
    if options.images is not None:
        return folder_images(options.images)
    return bundled_images(channels)


def dataset_images(name: str, labels: tuple[str, ...], data_dir: Path | None, *, skip_damaged: bool) -> ProofImages:
    dataset = load_dataset(name, data_dir, skip_damaged=skip_damaged, seen=False)
    calibration = dataset.train if dataset.train is not None else dataset.test
    places = match_labels(dataset.labels, labels)
    if places is None:
        why = f"{dataset.title}'s classes aren't the network's ({describe_difference(dataset.labels, labels)})"
        return ProofImages(dataset.test, f"{dataset.title} test set", None, calibration, why)
    if dataset.labels != labels:
        say(
            f"{dataset.title} has {len(dataset.labels):,} of the {len(labels):,} classes, under other numbers or "
            "spellings: they are matched by name"
        )
    test, calibration = relabel(dataset.test, places), relabel(calibration, places)
    return ProofImages(test, f"{dataset.title} test set", dataset.title, calibration)


def folder_images(folder: Path) -> ProofImages:
    if not folder.is_dir():
        raise DataError(
            f"--images {folder} {'is not a folder' if folder.exists() else 'does not exist'}: name a folder"
        )
    left_out = LeftOut()
    files = find_images(folder, left_out)
    left_out.tell(folder)
    if not files:
        raise DataError(f"--images {folder}: no image files there ({', '.join(IMAGE_SUFFIXES)})")
    samples = FileSamples(files, np.full(len(files), -1))
    why = "the images of --images have no classes: pass a folder of class folders with --dataset instead"
    return ProofImages(samples, f"{len(files):,} of your images", None, samples, why)


def bundled_images(channels: int) -> ProofImages:
    """Real images that scikit-learn bundles: two photos and crops of them, or digits for gray inputs."""
    if channels == 1:
        digits = load_dataset("digits", None).test
        files = [digits.encoded(index) for index in range(16)]
        return ProofImages(BytesSamples(files), "16 digits bundled with scikit-learn", None)
    return ProofImages(
        BytesSamples(list(_photo_crops())), "two photos bundled with scikit-learn and crops of them", None
    )


def _photo_crops() -> Iterator[tuple[bytes, str]]:
    from sklearn.datasets import load_sample_images

    for photo in load_sample_images().images:
        whole = Image.fromarray(photo)
        width, height = whole.size
        boxes = [(0, 0, width, height)]
        boxes += [
            (left, top, left + width // 2, top + height // 2)
            for left in (0, width // 4, width // 2)
            for top in (0, height // 2)
        ]
        for box in boxes:
            buffer = io.BytesIO()
            whole.crop(box).save(buffer, "JPEG", quality=92)
            yield buffer.getvalue(), ".jpg"


def choose_foreign_images(channels: int) -> tuple[Samples, str]:
    """Pieces of photos for a network that reads gray images (digits, clothes), digits for one that reads color; and
    their name for people. Their labels mean nothing.
    """
    if channels == 3:
        return load_dataset("digits", None).test, "handwritten digits"
    from sklearn.datasets import load_sample_images

    pieces = np.concatenate([_cut(photo) for photo in load_sample_images().images])
    return ArraySamples(pieces, np.zeros(len(pieces))), "pieces of two photos"


def _cut(photo: Pixels) -> Pixels:
    """uint8 [n, _PIECE, _PIECE, 3], without what is left over at the edges."""
    rows, columns = photo.shape[0] // _PIECE, photo.shape[1] // _PIECE
    grid = photo[: rows * _PIECE, : columns * _PIECE].reshape(rows, _PIECE, columns, _PIECE, 3)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, _PIECE, _PIECE, 3))
