"""Batches for Keras' fit, on any backend: normalized float32 images and a target for each, one-hot unless mixed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy, Preprocessing
from artifact.images.fit import FindFrame
from artifact.images.frame import Pixels
from export.data.preprocessing import normalize
from export.data.samples import Samples, cut_samples
from export.training.augmentation import Augmentation


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of the `samples` at `indices` [n]: x float32 [batch, h, w, c], y float32 [batch, classes] (a dict by
    `outputs`), and with `class_weights`, float32 [classes], the weight of each image's loss, float32 [batch], by its
    target.

    With a seed the order and the augmentation change every epoch, and depend on seed and epoch alone, so that a
    resumed training sees what an uninterrupted one would have seen. Where it is `balanced`, an epoch has of every class
    equally many images.
    """

    def __init__(
        self,
        samples: Samples,
        indices: npt.NDArray[np.intp],
        classes: int,
        policy: ImagePolicy,
        preprocessing: Preprocessing,
        batch_size: int,
        *,
        augmentation: Augmentation | None = None,
        seed: int | None = None,
        epoch: int = 0,
        outputs: Sequence[str] = (),
        class_weights: npt.NDArray[np.float32] | None = None,
        balanced: bool = False,
    ) -> None:
        # By one thread beside the training: Keras' queue for several of them waits 0.1 s at the end of each epoch.
        super().__init__(workers=1)
        self.samples, self.indices, self.classes = samples, indices, classes
        self.policy, self.preprocessing, self.batch_size = policy, preprocessing, batch_size
        self.augmentation, self.seed, self.epoch, self.outputs = augmentation, seed, epoch, outputs
        self.class_weights, self.balanced = class_weights, balanced
        self.ready = np.zeros(len(self))
        """When each batch was last ready, in seconds of time.monotonic(): `Epochs` finds out by it who waits."""
        self.order = self._shuffled()
        """The images of this epoch, [images]."""

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __getitem__(self, batch: int) -> tuple[Any, ...]:
        prepared = self._make(batch)
        self.ready[batch] = time.monotonic()
        return prepared

    def _make(self, batch: int) -> tuple[Any, ...]:
        chosen = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        targets = np.zeros((len(chosen), self.classes), np.float32)
        targets[np.arange(len(chosen)), self.samples.labels[chosen]] = 1
        if self.augmentation is None or self.seed is None:
            x = normalize(self.samples.pixels(chosen, self.policy), self.preprocessing)
        else:
            generator = np.random.default_rng((self.seed, self.epoch, batch))
            pixels = self._read(chosen, self.augmentation.choose_parts(len(chosen), generator))
            x = normalize(self.augmentation.apply(pixels, generator), self.preprocessing)
            x, targets = self.augmentation.mix(x, targets, generator)
        y: Any = {name: targets for name in self.outputs} if self.outputs else targets
        if self.class_weights is None:
            return x, y
        return x, y, targets @ self.class_weights

    def _read(self, chosen: npt.NDArray[np.intp], parts: list[FindFrame] | None) -> Pixels:
        if parts is None:
            return self.samples.pixels(chosen, self.policy)
        return cut_samples(self.samples, chosen, self.policy, parts)

    def begin(self, epoch: int) -> None:
        """Go on with this epoch. Keras calls its own on_epoch_end before the first, too, and not on every backend."""
        self.epoch = epoch
        self.order = self._shuffled()

    def _shuffled(self) -> npt.NDArray[np.intp]:
        if self.seed is None:
            return self.indices
        generator = np.random.default_rng((self.seed, self.epoch))
        chosen = self.indices
        if self.balanced:
            chosen = _draw_evenly(chosen, self.samples.labels[chosen], generator)
        return chosen[generator.permutation(len(chosen))]


def _draw_evenly(
    indices: npt.NDArray[np.intp], labels: npt.NDArray[np.int64], generator: np.random.Generator
) -> npt.NDArray[np.intp]:
    """As many indices, of each class equally many or one more; none again before all others of its class."""
    classes = np.unique(labels)
    least, rest = divmod(len(indices), len(classes))
    counts = least + (generator.permutation(len(classes)) < rest)
    drawn = []
    for label, count in zip(classes, counts, strict=True):
        members = indices[labels == label]
        rounds = [generator.permutation(members) for _ in range(-(-count // len(members)))]
        drawn.append(np.concatenate([members[:0], *rounds])[:count])
    return np.concatenate(drawn)
