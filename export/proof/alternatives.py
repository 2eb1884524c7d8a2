"""Tries other assumptions than the declared ones on labeled images: does another one classify more of them rightly?

A wrong assumption is on both sides of a proof, which can't find it; accuracy on labeled images does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from artifact.card import Head
from artifact.image_policy import ImagePolicy, Preprocessing
from artifact.images.frame import Pixels
from export.data.preprocessing import PRESETS, preset
from export.data.samples import CHUNK, decode_samples
from export.proof import runtime
from export.proof.compare import probabilities_from
from export.proof.own_outputs import network_outputs, rows_at_once
from export.sources.source import Source

Right = npt.NDArray[np.bool_]

MOST_IMAGES = 500
# The user's own network is slow: an alternative that isn't ahead on this many images isn't tried on more.
FIRST_IMAGES = 50
# Images per class from which a permutation of the labels is found.
IMAGES_A_CLASS = 10
POLICY_WORDS = ("resize", "fit", "decode")
UNTRIED = ("content",)  # needs a polarity and a margin, too


@dataclass(frozen=True)
class Alternative:
    """One other assumption beside the declared one, on the same images."""

    what: str
    value: str
    images: int
    declared_right: int
    right: int
    score: float
    """By how many standard deviations it is better, counted on the images that only one of them gets right (McNemar
    1947).
    """

    @property
    def gain(self) -> float:
        return (self.right - self.declared_right) / self.images

    def __str__(self) -> str:
        return f"{self.value} gets {self.right:,} of {self.images:,} images right, not {self.declared_right:,}"


def judge(what: str, value: str, declared: Right, other: Right) -> Alternative:
    """Compare two assumptions by which of the same images each gets right, both bool [n]."""
    gained, lost = int(np.count_nonzero(other & ~declared)), int(np.count_nonzero(declared & ~other))
    score = (gained - lost) / max(1, gained + lost) ** 0.5
    return Alternative(what, value, len(declared), int(declared.sum()), int(other.sum()), score)


def try_orders(
    predicted: npt.NDArray[np.intp], truth: npt.NDArray[np.int64], labels: Sequence[str]
) -> list[Alternative]:
    """Other orders of the labels: alphabetical, numerical, reversed, and the one that the answers themselves show. Of
    each image the class that was `predicted` [n] and the true one, `truth` [n].
    """
    count, right = len(labels), predicted == truth
    orders = {
        "alphabetical order": sorted(range(count), key=lambda index: labels[index]),
        "alphabetical order, numbers by size": sorted(range(count), key=lambda index: _natural(labels[index])),
        "reversed order": list(reversed(range(count))),
    }
    if len(truth) >= IMAGES_A_CLASS * count:
        confusion = np.bincount(predicted * count + truth, minlength=count**2).reshape(count, count)
        orders["the order that the answers show"] = confusion.argmax(axis=1).tolist()
    return [
        judge(
            "labels",
            f"{title} ({_join([labels[index] for index in order])})",
            right,
            np.array(order)[predicted] == truth,
        )
        for title, order in orders.items()
        if sorted(order) == list(range(count)) and order != list(range(count))
    ]


def try_pixels(source: Source, graph: runtime.Session, batch: int) -> Iterator[Alternative]:
    """Other ways of making the pixels, through the finished graph: the image policy's words, and swapped axes."""
    policy = source.provenance.image
    trial = _Trial(source, MOST_IMAGES)

    def predict(pixels: Pixels) -> npt.NDArray[np.intp]:
        return _best(runtime.run_graph(graph, pixels, batch).probabilities)

    declared = trial.right(policy, predict)
    for word in POLICY_WORDS:
        for value in get_args(ImagePolicy.model_fields[word].annotation):
            if value != getattr(policy, word) and value not in UNTRIED and policy.fit not in UNTRIED:
                yield judge(word, value, declared, trial.right(policy.model_copy(update={word: value}), predict))
    changed: dict[str, Callable[[Pixels], Pixels]] = {"inverted brightness": lambda pixels: 255 - pixels}
    if policy.channels == 3:
        changed["channels in the order BGR"] = lambda pixels: pixels[..., ::-1]
    if policy.height == policy.width:
        changed["rows for columns"] = lambda pixels: pixels.transpose(0, 2, 1, 3)
    for title, change in changed.items():

        def predict_changed(pixels: Pixels, change: Callable[[Pixels], Pixels] = change) -> npt.NDArray[np.intp]:
            return predict(np.ascontiguousarray(change(pixels)))

        yield judge("pixels", title, declared, trial.right(policy, predict_changed))


def _best(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """The most probable class of each row."""
    best: npt.NDArray[np.intp] = probabilities.argmax(axis=1)
    return best


def try_preprocessing(source: Source, head: Head) -> Iterator[Alternative]:
    """The other presets of pixel arithmetic, through the user's own network."""
    known = source.provenance
    rows = source.max_batch or rows_at_once(known.image)

    def run(trial: _Trial, preprocessing: Preprocessing) -> Right:
        def predict(pixels: Pixels) -> npt.NDArray[np.intp]:
            own = network_outputs(source.model, pixels, preprocessing, rows, source.prepare)
            return _best(probabilities_from(np.nan_to_num(own), head))

        return trial.right(known.image, predict)

    few, many = _Trial(source, FIRST_IMAGES), _Trial(source, MOST_IMAGES)
    declared = run(few, known.preprocessing)
    for name in PRESETS:
        if known.image.channels == 1 and name in ("caffe", "torch"):
            continue
        other = preset(name, known.image.channels)
        if _same(other, known.preprocessing):
            continue
        alternative = judge("preprocessing", name, declared, run(few, other))
        if alternative.score > 1 and len(many.indices) > len(few.indices):
            alternative = judge("preprocessing", name, run(many, known.preprocessing), run(many, other))
        yield alternative


class _Trial:
    """Some of the proof images, spread over all, and which of them are right."""

    def __init__(self, source: Source, most: int) -> None:
        self._samples = source.images.samples
        self.indices = np.linspace(0, len(self._samples) - 1, min(most, len(self._samples))).round().astype(np.intp)

    def right(self, policy: ImagePolicy, predict: Callable[[Pixels], npt.NDArray[np.intp]]) -> Right:
        parts = [
            predict(decode_samples(self._samples, self.indices[start : start + CHUNK], policy))
            for start in range(0, len(self.indices), CHUNK)
        ]
        right: Right = np.concatenate(parts) == self._samples.labels[self.indices]
        return right


def _same(first: Preprocessing, second: Preprocessing) -> bool:
    return (
        first.channel_order == second.channel_order
        and np.allclose(first.mean, second.mean, atol=1)
        and np.allclose(first.std, second.std, atol=1)
    )


def _natural(label: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", label)]


def _join(labels: Sequence[str]) -> str:
    return ", ".join(labels[:4]) + (", ..." if len(labels) > 4 else "")
