import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from export.sources.proof_images import choose_foreign_images


@pytest.mark.parametrize(
    ("channels", "count", "name"),
    [(1, 48, "pieces of two photos"), (3, 360, "handwritten digits")],
)
def test_a_network_is_given_images_of_another_kind(channels: int, count: int, name: str) -> None:
    samples, source = choose_foreign_images(channels)
    assert (len(samples), source) == (count, name)
    policy = ImagePolicy(height=8, width=8, channels=channels)
    assert samples.pixels(np.arange(count), policy).shape == (count, 8, 8, channels)
