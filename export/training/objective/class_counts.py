"""What accuracy, balanced accuracy and macro F1 are made of, counted while Keras trains and validates."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="convserve")
class ClassCounts(keras.metrics.Metric):  # type: ignore[misc]  # Keras has no types
    """float32 [3, classes]: a class's images that were called right, all of them, and all images called so.

    The class of a mixed image is that of its larger part. Weights of images count nothing.
    """

    def __init__(self, classes: int, name: str = "class_counts", **others: Any) -> None:
        super().__init__(name=name, **others)
        self.classes = classes
        self.counts = self.add_variable((3, classes), "zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true, called = (self._one_hot(values) for values in (y_true, y_pred))
        found = [keras.ops.sum(rows, axis=0) for rows in (true * called, true, called)]
        self.counts.assign_add(keras.ops.stack(found))

    def _one_hot(self, values: Any) -> Any:
        return keras.ops.one_hot(keras.ops.argmax(values, axis=-1), self.classes, dtype=self.dtype)

    def result(self) -> Any:
        # A sum is a tensor of its own: TensorFlow's view of a variable shows what is counted later.
        return keras.ops.add(self.counts, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}
