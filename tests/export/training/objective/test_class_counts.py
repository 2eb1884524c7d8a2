from __future__ import annotations

import keras
import numpy as np

from export.training.objective.class_counts import ClassCounts


def test_batches_are_counted_together_by_class() -> None:
    metric = ClassCounts(3)
    targets = np.eye(3)[[0, 0, 1, 2, 1, 0]]
    logits = np.float32([[2, 1, 0], [0, 3, 1], [1, 9, 0], [5, 0, 1], [0, 1, 0], [1, 0, 0]])
    metric.update_state(targets[:4], logits[:4], sample_weight=np.float32([9, 0, 0, 0]))
    metric.update_state(targets[4:], logits[4:])
    found = metric.result()
    metric.reset_state()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), [[2, 2, 0], [3, 2, 1], [3, 3, 0]])
    assert not keras.ops.convert_to_numpy(metric.result()).any()


def test_a_mixed_image_is_of_its_larger_part() -> None:
    metric = ClassCounts(2)
    metric.update_state(np.float32([[0.4, 0.6]]), np.float32([[0, 1]]))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(metric.result()), [[0, 1], [0, 1], [0, 1]])


def test_it_is_read_back_as_it_was() -> None:
    assert keras.metrics.deserialize(keras.metrics.serialize(ClassCounts(7))).classes == 7
