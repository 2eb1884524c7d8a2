"""Divides the images of a stored set into training and test images, and leaves out damaged ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from artifact.errors import ConvserveError
from artifact.images.decode import open_image
from export.data.holdout import hold_out
from export.data.samples import CHUNK, Labels
from export.data.stored.listing import Listing, Stored
from export.errors import DataError
from export.progress import Progress, say

TEST_SHARE = 0.2
SHOWN = 10
"""Damaged images that a message names."""

Divided = tuple[tuple[str, ...], Stored, Stored, str]
"""Class names, training and test samples, and how they were told apart."""


def divide(where: str, listing: Listing, *, skip_damaged: bool, seen: bool) -> Divided:
    """Divide a listing by its own split, else by a hash of the names; if the network has not `seen` any of these
    images, a set without a split is all test images, and classes without images are kept.

    Raises DataError for fewer than two classes, and (unless `skip_damaged`, which leaves them out) for classes without
    images and images that can't be decoded: it lists both.
    """
    samples, names, tested = listing.samples, listing.classes, listing.tested
    damaged, digests = _check_images(samples)
    trained = ~damaged if tested is None else ~damaged & ~tested
    held = np.zeros(len(samples), bool) if tested is None else ~damaged & tested
    empty = _find_empty(names, samples.labels[trained])
    untested = [name for name in _find_empty(names, samples.labels[held]) if name not in empty]
    untested = untested if tested is not None else []
    filled = tuple(name for name in names if name not in empty)
    listed = _list(samples, damaged)
    if len(filled) < 2:
        undecoded = f" ({np.count_nonzero(damaged):,} can't be decoded: {listed})" if damaged.any() else ""
        have = f"only {filled[0]} has" if filled else "no class has"
        raise DataError(f"{where}: {have} images{undecoded}: a classifier needs at least 2 classes with images")
    _report(where, int(damaged.sum()), listed, empty, untested, skip_damaged, seen)
    labels = filled if seen else names  # a network that is measured here knows the empty class
    places = {label: index for index, label in enumerate(labels)}
    numbers = np.array([places.get(name, -1) for name in names], np.int64)[samples.labels]
    if tested is None and not seen:
        every = _select(samples, trained, numbers)
        return labels, every, every, "all of it to test on"
    split = "the set's own"
    if tested is None:
        split = f"{TEST_SHARE:.0%} of each class to test on, by a hash of the file name"
        chosen = np.flatnonzero(trained)
        draws = np.array([_draw(listing.names[index]) for index in chosen.tolist()])
        # Two of a class at least are left, one of them to validate on.
        held[chosen[hold_out(draws, numbers[chosen], TEST_SHARE, leave=2)]] = True
        trained &= ~held
    held &= numbers >= 0  # of a class that can't be trained
    if not held.any():
        raise DataError(f"{where} has too few images to keep some for the test: add images, or a test split")
    _tell_repeated(samples, digests, trained, held)
    return labels, _select(samples, trained, numbers), _select(samples, held, numbers), split


def _tell_repeated(
    samples: Stored, digests: Sequence[bytes], trained: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_]
) -> None:
    known = {digests[index] for index in np.flatnonzero(trained).tolist()}
    repeated = [index for index in np.flatnonzero(held).tolist() if digests[index] in known]
    if repeated:
        say(
            f"{len(repeated):,} of {np.count_nonzero(held):,} test images are byte for byte among the training images, "
            f"{samples.name(repeated[0])} the first: the accuracy measured on them is too high; remove the copies"
        )


def _select(samples: Stored, chosen: npt.NDArray[np.bool_], labels: Labels) -> Stored:
    return samples.select(np.flatnonzero(chosen), labels[chosen])


def _report(
    where: str, damaged: int, listed: str, empty: list[str], untested: list[str], skip: bool, seen: bool
) -> None:
    """Say what is left out, or raise DataError that lists it all."""
    found = []
    if damaged:
        found.append(f"{damaged} images can't be decoded: {listed}")
    if empty:
        found.append(f"no images in {', '.join(empty)}")
    if untested:
        found.append(f"no test images of {', '.join(untested)}")
    if found and not skip:
        remedy = "Remove or fill them" if empty or untested else "Remove them"
        raise DataError(f"{where}: {'; '.join(found)}. {remedy}, or leave them out with --skip-damaged")
    if damaged:
        say(f"left out {damaged} damaged images: {listed}")
    if empty and seen:
        say(f"left out {len(empty)} classes without images: {', '.join(empty)}")
    elif empty:
        say(f"no images of {', '.join(empty)}: their accuracy stays unknown")
    if untested:
        say(f"no test images of {', '.join(untested)}: their accuracy stays unknown")


def _find_empty(names: Sequence[str], labels: Labels) -> list[str]:
    count = np.bincount(labels, minlength=len(names))
    return [name for name, images in zip(names, count, strict=True) if not images]


def _draw(name: str) -> float:
    """0..1 by a hash of the name alone: the split stays as it is when images are added."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:4], "big") / 2**32


def _check_images(samples: Stored) -> tuple[npt.NDArray[np.bool_], list[bytes]]:
    """bool [n], which images can't be read or decoded, and a digest of the bytes of each."""

    def check(index: int) -> tuple[bool, bytes]:
        try:
            data = samples.encoded(index)[0]
            open_image(data)
        except (ConvserveError, OSError):
            return True, b""
        return False, hashlib.blake2b(data, digest_size=16).digest()

    found: list[tuple[bool, bytes]] = []
    with Progress("checking", len(samples)) as progress, ThreadPoolExecutor() as pool:
        for start in range(0, len(samples), CHUNK):
            some = range(len(samples))[start : start + CHUNK]
            found += pool.map(check, some)
            progress.advance(len(some))
    return np.array([damaged for damaged, _ in found], bool), [digest for _, digest in found]


def _list(samples: Stored, damaged: npt.NDArray[np.bool_]) -> str:
    shown = sorted(samples.name(index) for index in np.flatnonzero(damaged).tolist())
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")
