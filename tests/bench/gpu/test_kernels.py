import hashlib
import json

import numpy as np
import pytest

from bench.gpu.kernels import Kernel, draw, find_kernel


def test_what_is_drawn_never_changes() -> None:
    """A pack made with other bits couldn't be unpacked."""
    drawn = draw("lenet5/3", (5, 7, 3))
    assert drawn.dtype == np.float32
    assert hashlib.sha256(drawn.astype("<f4").tobytes()).hexdigest()[:16] == "8d50817f2301aaa9"


def test_the_drawn_are_odd_multiples_of_a_256th_of_mean_0_and_variance_a_third() -> None:
    drawn = draw("x", (100_000,))
    steps = drawn * 256
    assert (steps == np.round(steps)).all()
    assert (steps % 2 == 1).all()
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.var() - 1 / 3) < 0.01
    assert (draw("y", (100_000,)) != drawn).mean() > 0.9


@pytest.mark.parametrize(
    ("shape", "axes", "channel"),
    [((3, 3, 8, 64), (3, 2, 0, 1), 0), ((96, 50), (0, 1), 1), ((96, 50), (1, 0), 0), ((64, 64), (1, 0), 0)],
)
def test_a_drawn_kernel_is_found_whatever_its_channels_are_multiplied_by(
    shape: tuple[int, ...], axes: tuple[int, ...], channel: int
) -> None:
    turned = draw("two", shape).transpose(axes)
    factors = np.random.default_rng(0).uniform(0.001, 9, turned.shape[channel]).astype(np.float32)
    tensor = turned * factors.reshape([-1 if i == channel else 1 for i in range(turned.ndim)])
    kernel = find_kernel(tensor, {"one": shape, "two": shape, "three": (7, 7)})
    assert kernel is not None
    assert (kernel.seed, kernel.axes, kernel.channel) == ("two", axes, channel)
    np.testing.assert_allclose(kernel.values(), tensor, rtol=1e-6)
    again = Kernel.from_json(json.loads(json.dumps(kernel.to_json())))
    assert again == kernel
    assert again.content("float16") == kernel.values().astype(np.float16).tobytes()


def test_another_tensor_is_no_drawn_kernel() -> None:
    tensor = np.random.default_rng(1).normal(size=(96, 50)).astype(np.float32)
    assert find_kernel(tensor, {"one": (96, 50)}) is None
