from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.image_policy import ImagePolicy
from export.data.samples import ArraySamples
from export.errors import ProofError
from export.proof.own_outputs import rows_at_once, run_network
from export.proof.prove import ProvedGraph
from export.proof.prove import prove as prove_file
from export.publish.pipeline import convert
from export.sources.source import ProofImages, Source
from tests.export.conftest import color_blobs


def prove(source: Source, file: Path) -> ProvedGraph:
    return prove_file(source, run_network(source).proof, file, "logits", None)


def test_every_image_of_a_set_that_is_no_multiple_of_a_run_is_proved_in_order(
    color_source: Source, tmp_path: Path
) -> None:
    file = convert(color_source, tmp_path) / "model.onnx"
    samples = color_blobs(count=70)
    proved = prove(replace(color_source, images=ProofImages(samples, "70 blobs", None)), file)
    assert (proved.file, proved.proof.images, proved.max_batch) == (file, 70, 32)
    assert proved.expected.shape == proved.probabilities.shape == (70, 3)
    last = ProofImages(ArraySamples(samples.images[-6:], samples.labels[-6:]), "the last 6", None)
    apart = prove(replace(color_source, images=last), file)
    np.testing.assert_allclose(proved.expected[-6:], apart.expected, atol=1e-6)


def test_the_file_is_judged_not_what_it_was_made_from(color_source: Source, tmp_path: Path) -> None:
    file = convert(color_source, tmp_path) / "model.onnx"
    graph = onnx.load(file)
    kernel = next(tensor for tensor in graph.graph.initializer if list(tensor.dims) == [6, 3, 3, 3])
    values = onnx.numpy_helper.to_array(kernel).copy()
    values[0] += 0.1
    kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
    onnx.save(graph, file)
    with pytest.raises(ProofError, match="differs from Keras"):
        prove(color_source, file)


@pytest.mark.parametrize(("side", "rows"), [(28, 64), (75, 64), (224, 7), (299, 4), (1000, 1)])
def test_large_images_are_proved_a_few_at_a_time(side: int, rows: int) -> None:
    assert rows_at_once(ImagePolicy(height=side, width=side, channels=3)) == rows
