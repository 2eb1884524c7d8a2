"""Batches for Keras' fit, on any backend: normalized float32 images and one-hot classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from artifact.card import ImagePolicy, Preprocessing
from artifact.images.frame import Pixels
from export.data.preprocessing import normalize
from export.data.samples import Samples, cut_samples
from export.training.augmentation import Augmentation
from export.training.scale_jitter import jitter_scale


class Batches(keras.utils.PyDataset):
    """Batches of `samples[indices]`: x float32 [batch, h, w, c], y float32 [batch, classes] (a dict by `outputs`), and
    with `class_weights`, float32 [classes], the weight of each image's loss, float32 [batch].

    With a seed the order and the augmentation change every epoch, and depend on seed and epoch alone, so that a
    resumed training sees what an uninterrupted one would have seen.
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
    ) -> None:
        # By one thread beside the training: Keras' queue for several of them waits 0.1 s at the end of each epoch.
        super().__init__(workers=1)
        self.samples, self.indices, self.classes = samples, indices, classes
        self.policy, self.preprocessing, self.batch_size = policy, preprocessing, batch_size
        self.augmentation, self.seed, self.epoch, self.outputs = augmentation, seed, epoch, outputs
        self.class_weights = class_weights
        self.ready = np.zeros(len(self))
        """When each batch was last ready, in seconds of time.monotonic(): `Epochs` finds out by it who waits."""
        self._order = self._shuffled()

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __getitem__(self, batch: int) -> tuple[Any, ...]:
        made = self._make(batch)
        self.ready[batch] = time.monotonic()
        return made

    def _make(self, batch: int) -> tuple[Any, ...]:
        chosen = self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
        if self.augmentation is not None and self.seed is not None:
            generator = np.random.default_rng((self.seed, self.epoch, batch))
            pixels = self.augmentation.apply(self._read(chosen, self.augmentation.scale_jitter, generator), generator)
        else:
            pixels = self.samples.pixels(chosen, self.policy)
        one_hot = np.eye(self.classes, dtype=np.float32)[self.samples.labels[chosen]]
        x = normalize(pixels, self.preprocessing)
        y: Any = {name: one_hot for name in self.outputs} if self.outputs else one_hot
        if self.class_weights is None:
            return x, y
        return x, y, self.class_weights[self.samples.labels[chosen]]

    def _read(
        self, chosen: npt.NDArray[np.intp], scale_jitter: Sequence[int], generator: np.random.Generator
    ) -> Pixels:
        if not scale_jitter:
            return self.samples.pixels(chosen, self.policy)
        return cut_samples(self.samples, chosen, self.policy, jitter_scale(scale_jitter, len(chosen), generator))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._order = self._shuffled()

    def _shuffled(self) -> npt.NDArray[np.intp]:
        if self.seed is None:
            return self.indices
        return self.indices[np.random.default_rng((self.seed, self.epoch)).permutation(len(self.indices))]
