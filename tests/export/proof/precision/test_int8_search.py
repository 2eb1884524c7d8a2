"""int8 leaves in float what costs accuracy, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from artifact.image_policy import ImagePolicy
from export.data.samples import ArraySamples
from export.errors import ProofError
from export.proof import runtime
from export.proof.precision.int8_search import SearchImages, search_int8
from tests.export.graph.precision.test_int8 import graph

POLICY = ImagePolicy(height=8, width=8, channels=3)
"""Of samples that are never decoded here."""
BUDGET = 0.02


def network(*sensitive: int) -> onnx.ModelProto:
    """Five 1x1 convolutions that hand three channels on; the `sensitive` ones weigh a channel that is always 0 with
    1,000, so that in int8 all their other weights become 0.
    """
    kernels = []
    for place in range(5):
        kernel = np.eye(4) + 0.01
        if place in sensitive:
            kernel[:, 3] = 1000
            kernel[3] = 0
        elif place + 1 in sensitive or place == 0:
            kernel[3] = 0
        kernels.append((kernel[:, :, None, None] * (1.0 if place < 4 else 0.2), 1))
    return graph(*kernels)


def images(model: onnx.ModelProto) -> SearchImages:
    """48 of which the brightest channel is the class."""
    generator = np.random.default_rng(0)
    labels = np.arange(48) % 3
    pixels = generator.integers(0, 100, (48, 8, 8, 4), dtype=np.uint8)
    pixels[:, :, :, 3] = 0
    pixels[np.arange(48), :, :, labels] += 20
    session = runtime.open_session(model.SerializeToString())
    fp32: npt.NDArray[np.float32] = runtime.run_graph(session, pixels).probabilities
    assert (fp32.argmax(axis=1) == labels).all()
    return SearchImages(pixels, pixels, labels, fp32)


def test_a_network_that_keeps_its_accuracy_is_int8_as_a_whole() -> None:
    model = network()
    search = next(search_int8(model, images(model), BUDGET, None, 32)).search
    assert (search.ranges, search.in_float, search.effects) == ("minmax", (), ())
    assert [step.float_layers for step in search.steps] == [0]


def test_the_layer_that_costs_accuracy_stays_in_float() -> None:
    model = network(2)
    search = next(search_int8(model, images(model), BUDGET, None, 32)).search
    assert search.in_float == ("conv2",)
    assert [(step.ranges, step.float_layers) for step in search.steps[:3]] == [
        ("minmax", 0),
        ("percentile", 0),
        ("entropy", 0),
    ]
    assert search.steps[-1].top1 == search.fp32_top1 == 1
    assert search.effects[0].layer == "conv2"
    assert search.effects[0].moved > 10 * search.effects[1].moved


def test_who_wants_another_gets_more_layers_in_float() -> None:
    model = network(2)
    offered = [candidate.search for candidate in search_int8(model, images(model), BUDGET, "minmax", 32)]
    assert [len(search.in_float) for search in offered] == [1, 2]
    assert {step.ranges for step in offered[-1].steps} == {"minmax"}


def test_no_candidate_is_an_error_that_says_how_near_it_came() -> None:
    model = network(0, 2, 4)
    with pytest.raises(ProofError, match=r"int8 falls from 100\.00% to .* top-1 on the 48 images .*--budget POINTS"):
        next(search_int8(model, images(model), BUDGET, "minmax", 32))


def test_accuracy_is_judged_on_other_images_than_ranges_are_taken_from_where_there_are_enough() -> None:
    pixels = np.broadcast_to((np.arange(600) % 256)[:, None, None], (600, 8, 8)).astype(np.uint8)
    policy = ImagePolicy(height=8, width=8, channels=1)
    session = _mean_session()
    taken = SearchImages.take(ArraySamples(pixels, np.arange(600) % 2), policy, session, 32, known=True)
    assert len(taken.calibration) == len(taken.judged) == 256
    assert not np.array_equal(taken.calibration, taken.judged)
    few = SearchImages.take(ArraySamples(pixels[:9], np.zeros(9)), policy, session, 32, known=False)
    assert np.array_equal(few.calibration, few.judged)
    assert np.array_equal(few.labels, few.fp32.argmax(axis=1))


def _mean_session() -> runtime.Session:
    from tests.makers.artifacts import make_graph

    return runtime.open_session(make_graph().SerializeToString())
