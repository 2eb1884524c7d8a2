"""Labeled images, one interface for arrays in memory and files on disk: what training, proof and evaluation read."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image, decode_small, open_image
from artifact.images.fit import FindFrame, fit_image, fit_pixels
from artifact.images.frame import Opened, Pixels
from artifact.images.limits import Limits
from export.errors import DataError
from export.progress import Progress

# Decoded at once: a whole data set under a large policy wouldn't fit into memory.
CHUNK = 64

Labels = npt.NDArray[np.int64]


class Samples(Protocol):
    """`labels` is int64 [n], -1 where the class isn't known; images come as pixels under a policy or as file bytes."""

    labels: Labels

    def __len__(self) -> int: ...

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        """uint8 [len(indices), height, width, channels], as the service would decode them."""
        ...

    def encoded(self, index: int) -> tuple[bytes, str]:
        """The bytes of an image file and its suffix: what a client would post."""
        ...

    def name(self, index: int) -> str:
        """For people: where the image lies, else its number."""
        ...


class ArraySamples:
    """Images of one size in memory: uint8 [n, h, w] (gray) or [n, h, w, 3] (RGB).

    The array under the last policy asked for is kept: these sets are small, and every epoch reads them. Raises
    DataError where images and labels aren't equally many.
    """

    def __init__(self, images: Pixels, labels: npt.ArrayLike) -> None:
        self.images = images
        self.labels: Labels = np.asarray(labels, dtype=np.int64)
        if len(images) != len(self.labels):
            raise DataError(
                f"{len(images):,} images but {len(self.labels):,} labels: the files belong to different data sets"
            )
        self._policy: ImagePolicy | None = None
        self._prepared: Pixels | None = None

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        if self._prepared is None or policy != self._policy:
            prepared = np.empty((len(self), *policy.shape), np.uint8)
            for image, pixels in zip(self.images, prepared, strict=True):
                pixels[:] = fit_pixels(image, policy)
            self._prepared, self._policy = prepared, policy
        return self._prepared[indices]

    def encoded(self, index: int) -> tuple[bytes, str]:
        buffer = io.BytesIO()
        Image.fromarray(self.images[index]).save(buffer, "PNG")
        return buffer.getvalue(), ".png"

    def name(self, index: int) -> str:
        return f"image {index}"


class FileSamples:
    """Image files, decoded when asked for: the set may be far larger than memory."""

    def __init__(self, paths: Sequence[Path], labels: npt.ArrayLike) -> None:
        self.paths = list(paths)
        self.labels: Labels = np.asarray(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        return decode_samples(self, indices, policy)

    def encoded(self, index: int) -> tuple[bytes, str]:
        path = self.paths[index]
        return path.read_bytes(), path.suffix.lower()

    def name(self, index: int) -> str:
        path = self.paths[index]
        return f"{path.parent.name}/{path.name}" if path.parent.name else path.name

    def select(self, indices: npt.NDArray[np.intp], labels: Labels) -> FileSamples:
        """The files at `indices` [n], of the classes `labels` [n]."""
        return FileSamples([self.paths[index] for index in indices], labels)


class BytesSamples:
    """Encoded images in memory, as (bytes, suffix); without labels their classes are unknown."""

    def __init__(self, files: Sequence[tuple[bytes, str]], labels: npt.ArrayLike | None = None) -> None:
        self.files = list(files)
        self.labels: Labels = np.asarray(np.full(len(files), -1) if labels is None else labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        return decode_samples(self, indices, policy)

    def encoded(self, index: int) -> tuple[bytes, str]:
        return self.files[index]

    def name(self, index: int) -> str:
        return f"image {index}"


class PartOfSamples:
    """The images of `samples` at `places` [n], in that order."""

    def __init__(self, samples: Samples, places: npt.NDArray[np.intp]) -> None:
        self.samples, self.places = samples, places
        self.labels: Labels = samples.labels[places]

    def __len__(self) -> int:
        return len(self.places)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        return self.samples.pixels(self.places[indices], policy)

    def encoded(self, index: int) -> tuple[bytes, str]:
        return self.samples.encoded(int(self.places[index]))

    def name(self, index: int) -> str:
        return self.samples.name(int(self.places[index]))


def relabel(samples: Samples, places: Labels) -> Samples:
    """The same images, with class i called `places[i]`; `places` is [classes]."""
    renamed = copy.copy(samples)
    renamed.labels = places[samples.labels]
    return renamed


def decode_samples(samples: Samples, indices: Sequence[int] | npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
    """Some images through the serving decoder, from their encoded bytes: uint8 [len(indices), h, w, channels].

    As in the service, small images are decoded at once and the others handed to threads, about one per core.
    """
    limits = Limits()
    rows: list[Pixels | Future[Pixels]] = []
    for index in indices:
        data = samples.encoded(index)[0]
        small = decode_small(data, policy, limits)
        rows.append(decoders().submit(decode_image, data, policy, limits) if small is None else small)
    return np.stack([row.result() if isinstance(row, Future) else row for row in rows])


def cut_samples(
    samples: Samples, indices: npt.NDArray[np.intp], policy: ImagePolicy, finds: Sequence[FindFrame]
) -> Pixels:
    """As `samples.pixels`, but each image shows the part that its own function of `finds` chooses, as a training has
    it: uint8 [len(indices), h, w, channels].
    """
    rows = [
        decoders().submit(_cut_sample, samples, index, policy, find) for index, find in zip(indices, finds, strict=True)
    ]
    return np.stack([row.result() for row in rows])


def _cut_sample(samples: Samples, index: int, policy: ImagePolicy, find: FindFrame) -> Pixels:
    if isinstance(samples, ArraySamples):
        image = Image.fromarray(samples.images[index])
        opened = Opened(image, *image.size)
    else:
        opened = open_image(samples.encoded(index)[0], policy=policy)
    return fit_image(opened, policy, find)[0]


@cache
def decoders() -> ThreadPoolExecutor:
    """The threads that decode, in all of a process."""
    return ThreadPoolExecutor(thread_name_prefix="decode")


Outputs = TypeVar("Outputs")


def run_samples(
    samples: Samples,
    policy: ImagePolicy,
    call: Callable[[Pixels], Outputs],
    *,
    title: str,
    indices: Sequence[int] | None = None,
) -> list[Outputs]:
    """What `call` gives for every CHUNK of the samples, uint8 [n, h, w, channels] by the serving decoder, in order: of
    all, or of those at `indices`.
    """
    found = []
    places = range(len(samples)) if indices is None else indices
    with Progress(title, len(places)) as progress:
        for start in range(0, len(places), CHUNK):
            pixels = decode_samples(samples, places[start : start + CHUNK], policy)
            found.append(call(pixels))
            progress.advance(len(pixels))
    return found
