import numpy as np

from artifact.card import ImagePolicy
from export.data.samples import CHUNK, ArraySamples, run_samples


def test_a_set_is_run_in_order_a_chunk_at_a_time() -> None:
    levels = np.arange(CHUNK + 6, dtype=np.uint8)
    samples = ArraySamples(np.broadcast_to(levels[:, None, None], (len(levels), 4, 4)), np.zeros(len(levels)))
    policy = ImagePolicy(height=4, width=4, channels=1)
    parts = run_samples(samples, policy, lambda pixels: pixels[:, 0, 0, 0], title="levels")
    assert [len(part) for part in parts] == [CHUNK, 6]
    assert np.concatenate(parts).tolist() == levels.tolist()
