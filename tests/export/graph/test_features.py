"""Embeddings beside what Keras pools, and class activation maps from the artifact beside Grad-CAM (Selvaraju et al.
2017) that Keras computes with gradients.

Theory: for a network that ends in global average pooling and one dense layer both maps are the same, up to a factor.
"""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from fastapi.testclient import TestClient
from PIL import Image
from scipy.stats import spearmanr

from app.main import create_app
from app.settings import Settings
from export.data.preprocessing import reference
from export.publish.pipeline import convert
from export.sources.source import Source


def grad_cam(model: keras.Sequential, inputs: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.float32]:
    """The map [h, w] of one image [h, w, channels] at the last convolution: equations 1 and 2 of the paper."""
    first, last, pool, classify = model.layers
    with tf.GradientTape() as tape:
        features = last(first(inputs[None]))
        tape.watch(features)
        score = classify(pool(features))[0, index]
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2))
    return np.maximum(tf.einsum("nhwc,nc->hw", features, weights).numpy(), 0)


def test_class_activation_maps_equal_grad_cam(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    correlations = []
    app = create_app(Settings(repository=tmp_path))
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(app.state.services.catalog.wait_until_tried)
        for pixels in color_source.images.samples.images[:8]:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            for index in range(3):
                answer = client.post("/explain/blobs", content=buffer.getvalue(), params={"class": index}).json()
                assert answer["method"] == "class activation map"
                ours = np.array(answer["map"])
                theirs = grad_cam(
                    color_source.model, reference(pixels[None], color_source.provenance.preprocessing)[0], index
                )
                if not theirs.any():
                    assert not ours.any()
                    continue
                assert ours == pytest.approx(theirs / theirs.max(), abs=1e-3)
                correlations.append(spearmanr(ours.ravel(), theirs.ravel()).statistic)
    print(f"{len(correlations)} maps, rank correlation at least {min(correlations):.6f}")
    assert len(correlations) >= 8
    assert min(correlations) >= 0.99


def test_embeddings_equal_what_keras_pools(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    pooled = keras.Sequential(color_source.model.layers[:-1])
    samples = color_source.images.samples.images[:8]
    files = []
    for pixels in samples:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append(("file", ("image.png", buffer.getvalue(), "image/png")))
    app = create_app(Settings(repository=tmp_path))
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(app.state.services.catalog.wait_until_tried)
        ours = np.array(client.post("/embed/blobs", files=files).json()["embeddings"])
    theirs = np.asarray(pooled(reference(np.stack(samples), color_source.provenance.preprocessing)))
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.01
    assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-4)
