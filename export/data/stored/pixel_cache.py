"""Decoded pixels on disk, so that an epoch needn't decode again what an earlier one did.

An image is known by its bytes, a folder of the cache by what its pixels depend on besides: the image policy and the
decoders. So the same image of two sets is kept once, and what changes is decoded anew. Only training reads a cache.

<cache>/<key>/about.json   what the key stands for
<cache>/<key>/pixels       images of one size, one after the other
<cache>/<key>/index        for each of them the digest of the image file and the checksum of its pixels, written last
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import weakref
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy
from artifact.images.frame import Pixels
from export.data.samples import Labels, Samples, decoders
from export.errors import DataError
from export.progress import say

_FORMAT = 1
_RECORD = np.dtype([("digest", "V16"), ("checksum", "<u4")])
_DECODERS = ("convserve", "numpy", "pillow", "pyspng", "simplejpeg")


class PixelCache:
    """Pixels under one policy, uint8 [height, width, channels], by the digest of their image file.

    Nothing is thrown out: every epoch reads all images once, so that what is thrown out would be what is needed next.
    Not for several threads at once. Raises DataError where the folder can't be written, or another process uses it.
    """

    def __init__(self, home: Path, policy: ImagePolicy, limit: int) -> None:
        """`limit`: the bytes that all of the cache may take, other policies' pixels included."""
        about = {"format": _FORMAT, "policy": policy.model_dump(mode="json")}
        about |= {"decoders": {name: version(name) for name in _DECODERS}}
        text = json.dumps(about, sort_keys=True, indent=1)
        self.policy, self.folder = policy, home / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.damaged = 0
        """Images that were found damaged, and are decoded again."""
        self._size = int(np.prod(policy.shape))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "about.json").write_text(text, encoding="utf-8")
            self._pixels, self._index = (_open(self.folder / name) for name in ("pixels", "index"))
            weakref.finalize(self, _close, self._pixels, self._index)
            fcntl.flock(self._index, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = {self.folder / "pixels", self.folder / "index"}
            others = sum(file.stat().st_size for file in home.rglob("*") if file.is_file() and file not in own)
        except BlockingIOError as error:
            raise DataError(f"the cache {home} is used by another training now: name another folder") from error
        except OSError as error:
            raise DataError(f"the cache {home} can't be used: {error.strerror}") from error
        self._slots = max(0, (limit - others) // (self._size + _RECORD.itemsize))
        records = np.fromfile(self.folder / "index", _RECORD, count=os.fstat(self._index).st_size // _RECORD.itemsize)
        self._next = len(records)
        self._places = {
            record["digest"].tobytes(): (slot, int(record["checksum"])) for slot, record in enumerate(records)
        }
        self._free = sorted({*range(self._next)} - {slot for slot, _ in self._places.values()})
        self._full = False

    def __len__(self) -> int:
        return len(self._places)

    def read(self, digest: bytes, pixels: Pixels) -> bool:
        """Fill `pixels`, uint8 [height, width, channels] of the cache's policy; False where they aren't there, or not
        as they were written.
        """
        slot, checksum = self._places.get(digest, (-1, 0))
        if slot < 0:
            return False
        try:
            found = os.preadv(self._pixels, [pixels.data], slot * self._size)
        except OSError:  # a bad sector
            found = -1
        if found == self._size and zlib.crc32(pixels.data) == checksum:
            return True
        del self._places[digest]
        self._free.append(slot)
        self.damaged += 1
        if self.damaged == 1:
            say(f"the cache {self.folder} has damaged pixels: these images are decoded again")
        return False

    def write(self, digest: bytes, pixels: Pixels) -> None:
        """Keep `pixels`, uint8 [height, width, channels], while there is room."""
        if self._full or digest in self._places:
            return
        slot = self._free.pop() if self._free else self._next
        if slot >= self._slots:
            return self._stop("its limit is reached, --cache-gb raises it")
        record = np.zeros((), _RECORD)
        record["digest"], record["checksum"] = np.void(digest), zlib.crc32(pixels.data)
        try:
            os.pwrite(self._pixels, pixels.data, slot * self._size)
            os.pwrite(self._index, record.tobytes(), slot * _RECORD.itemsize)
        except OSError as error:
            return self._stop(error.strerror or str(error))
        self._places[digest] = slot, int(record["checksum"])
        self._next = max(self._next, slot + 1)

    def _stop(self, why: str) -> None:
        self._full = True
        say(f"the cache {self.folder} keeps {len(self):,} images and no more ({why}): others are decoded each epoch")


class CachedSamples:
    """Samples whose pixels under the cache's policy are decoded once."""

    def __init__(self, samples: Samples, cache: PixelCache) -> None:
        self.samples, self.cache = samples, cache
        self.labels: Labels = samples.labels
        self._digests: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.samples)

    def pixels(self, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Pixels:
        if policy != self.cache.policy:
            return self.samples.pixels(indices, policy)
        with self._lock:
            digests = self._find_digests(indices.tolist())
            pixels = np.empty((len(indices), *policy.shape), np.uint8)
            missed = [place for place, digest in enumerate(digests) if not self.cache.read(digest, pixels[place])]
            if missed:
                pixels[missed] = self.samples.pixels(indices[missed], policy)
            for place in missed:
                self.cache.write(digests[place], pixels[place])
        return pixels

    def encoded(self, index: int) -> tuple[bytes, str]:
        return self.samples.encoded(index)

    def name(self, index: int) -> str:
        return self.samples.name(index)

    def _find_digests(self, indices: list[int]) -> list[bytes]:
        """Read from the images once a process."""
        unknown = [index for index in indices if index not in self._digests]
        self._digests |= zip(unknown, decoders().map(self._digest, unknown), strict=True)
        return [self._digests[index] for index in indices]

    def _digest(self, index: int) -> bytes:
        return hashlib.blake2b(self.samples.encoded(index)[0], digest_size=16).digest()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
