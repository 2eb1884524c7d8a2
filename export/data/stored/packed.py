"""Images inside larger files, read by offset: nothing is unpacked, and no image is kept in memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy
from artifact.images.formats import FORMATS, find_format
from artifact.images.frame import Pixels
from export.data.samples import Labels, decode_samples

Places = npt.NDArray[np.int64]
"""[n, 3]: which of the files an image lies in, its first byte there, its size in bytes."""


class Scratch:
    """A file without a name, in the folder for temporary ones: it goes with the process, however that ends."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.size = 0

    def append(self, content: bytes) -> None:
        """Raises OSError where the disk is full."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(content)

    def read(self, offset: int, size: int) -> bytes:
        """By any thread."""
        return os.pread(self._descriptor, size, offset)


class PackedSamples:
    """Encoded images that lie uncompressed in a few files: `places` [n, 3] says where. `names` are for people, one an
    image.
    """

    def __init__(
        self, files: Sequence[Path | Scratch], places: Places, labels: npt.ArrayLike, names: Sequence[str]
    ) -> None:
        self.files, self.places, self.names = list(files), places, names
        self.labels: Labels = np.asarray(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.places)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        return decode_samples(self, indices, policy)

    def encoded(self, index: int) -> tuple[bytes, str]:
        place, offset, size = self.places[index].tolist()
        file = self.files[place]
        content = file.read(offset, size) if isinstance(file, Scratch) else _read(file, offset, size)
        format = find_format(content)
        return content, FORMATS[format].suffixes[0] if format is not None else ""

    def name(self, index: int) -> str:
        return self.names[index]

    def select(self, indices: npt.NDArray[np.intp], labels: Labels) -> PackedSamples:
        """The images at `indices` [n], of the classes `labels` [n]."""
        return PackedSamples(self.files, self.places[indices], labels, [self.names[index] for index in indices])


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:  # opened each time: several threads decode
        file.seek(offset)
        return file.read(size)
