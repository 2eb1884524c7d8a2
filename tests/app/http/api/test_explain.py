"""POST /explain: the evidence in its place on the posted image, and every way of asking wrongly."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image
from tests.makers.artifacts import gray_image, sign
from tests.makers.pooled import make_pooled_artifact, square_image

RED_LEFT_TOP = square_image("red", (0, 0, 16, 16))


@pytest.fixture
def client(repository: Path, open_client: Callable[..., TestClient]) -> TestClient:
    """Serves tiny, which has no global pooling, and pooled, which has it."""
    make_pooled_artifact(repository)
    return open_client(repository=repository)


def explain(client: TestClient, model: str, image: bytes, **options: Any) -> dict[str, Any]:
    response = client.post(f"/explain/{model}", content=image, params=options)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_pooled_network_gives_its_class_activation_map(client: TestClient) -> None:
    found = explain(client, "pooled", RED_LEFT_TOP)
    assert (found["method"], found["class"]["label"], found["class"]["index"]) == ("class activation map", "red", 1)
    assert found["class"]["probability"] > 0.5
    expected = np.zeros((4, 4))
    expected[0, 0] = 1
    assert np.array(found["map"]) == pytest.approx(expected, abs=0.02)  # resizing blurs the edge
    assert found["rectangle"] == {"left": 0, "top": 0, "right": 1, "bottom": 1}


def test_the_asked_class_is_explained_instead_of_the_best(client: TestClient) -> None:
    found = explain(client, "pooled", RED_LEFT_TOP, **{"class": 0})
    assert found["class"]["label"] == "blue"
    assert not np.array(found["map"]).any()  # nothing in this image speaks for blue


def test_a_network_without_pooling_is_explained_by_occlusion(client: TestClient) -> None:
    bright_corner = Image.new("L", (8, 8), 0)
    bright_corner.paste(255, (4, 4, 8, 8))
    buffer = io.BytesIO()
    bright_corner.save(buffer, "PNG")
    found = explain(client, "tiny", buffer.getvalue(), **{"class": 2})
    assert found["method"] == "occlusion sensitivity"
    row, column = np.unravel_index(np.argmax(found["map"]), np.shape(found["map"]))
    assert min(row, column) >= 2  # of 5 x 5 cells


def test_occlusion_peaks_inside_a_known_object(repository: Path, open_client: Any) -> None:
    make_pooled_artifact(repository, "covered", features=False)  # as if it had no pooling
    client = open_client(repository=repository)
    generator = np.random.default_rng(0)
    for _ in range(10):
        left, top = generator.integers(0, 64 - 20, 2)
        box = (int(left), int(top), int(left) + 20, int(top) + 20)
        found = explain(client, "covered", square_image("red", box))
        assert found["method"] == "occlusion sensitivity"
        cells = np.array(found["map"])
        row, column = np.unravel_index(cells.argmax(), cells.shape)
        x, y = (64 * (place + 0.5) / len(cells) for place in (column, row))
        assert box[0] <= x < box[2]
        assert box[1] <= y < box[3]


def test_the_rectangle_says_which_part_of_the_image_was_seen(repository: Path, open_client: Any) -> None:
    policy = ImagePolicy(height=32, width=32, channels=3, fit="crop", crop_fraction=1.0)
    make_pooled_artifact(repository, "cropped", image=policy)
    client = open_client(repository=repository)
    wide = square_image("red", (32, 0, 48, 16), size=(128, 64))
    found = explain(client, "cropped", wide)
    assert found["rectangle"] == {"left": 0.25, "top": 0, "right": 0.75, "bottom": 1}
    assert found["map"][0][0] == 1


def test_a_frame_around_ink_at_the_edge_reaches_past_it(repository: Path, open_client: Any) -> None:
    policy = ImagePolicy(height=32, width=32, channels=3, fit="content", margin=0.25, polarity="dark-on-light")
    make_pooled_artifact(repository, "inked", image=policy)
    found = explain(open_client(repository=repository), "inked", square_image("red", (0, 0, 16, 16)))
    assert found["rectangle"] == {"left": -0.125, "top": -0.125, "right": 0.375, "bottom": 0.375}


def test_the_rectangle_of_a_padded_image_reaches_past_its_shorter_sides(repository: Path, open_client: Any) -> None:
    make_pooled_artifact(repository, "padded", image=ImagePolicy(height=32, width=32, channels=3, fit="pad"))
    wide = square_image("red", (0, 0, 32, 32), size=(128, 64))
    found = explain(open_client(repository=repository), "padded", wide)
    assert found["rectangle"] == {"left": 0, "top": -0.5, "right": 1, "bottom": 1.5}
    assert found["map"][1][0] == 1  # of 4 x 4 cells: the image lies in the middle two rows


def test_the_picture_is_the_posted_image_turned_as_exif_says_with_the_evidence_on_it(client: TestClient) -> None:
    lying = square_image("red", (0, 0, 150, 150), size=(600, 300), orientation=6)  # turned right: red is right above
    response = client.post("/explain/pooled", content=lying, headers={"Accept": "image/png"})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/png")
    drawn = Image.open(io.BytesIO(response.content))
    assert drawn.size == (300, 600)
    pixels = np.asarray(drawn).astype(int)
    assert pixels[520, 40].tolist() == [128, 128, 128]
    assert pixels[60, 240, 1] > 50  # the glow over pure red


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json, image/png", "application/json"),
        ("image/png, */*;q=0.1", "image/png"),
        ("image/*", "image/png"),
    ],
)
def test_json_is_answered_unless_a_picture_is_preferred(client: TestClient, accept: str, kind: str) -> None:
    response = client.post("/explain/pooled", content=RED_LEFT_TOP, headers={"Accept": accept})
    assert response.headers["Content-Type"] == kind


@pytest.mark.parametrize(
    ("model", "query", "status", "words"),
    [
        ("pooled", "class=2", 422, "pooled has the classes 0 to 1"),
        ("pooled", "class=-1", 422, "classes 0 to 1"),
        ("pooled", "class=cat", 422, "class is 'cat'"),
        ("pooled", "klass=1", 422, "unknown parameter 'klass'"),
        ("absent", "", 404, "there are pooled, tiny"),
    ],
)
def test_a_wrong_request_is_refused_in_words(
    client: TestClient, model: str, query: str, status: int, words: str
) -> None:
    response = client.post(f"/explain/{model}?{query}", content=RED_LEFT_TOP)
    assert response.status_code == status
    assert words in response.json()["detail"]


def test_one_image_is_explained_at_a_time(client: TestClient) -> None:
    files = [("file", ("a.png", RED_LEFT_TOP, "image/png")), ("file", ("b.png", RED_LEFT_TOP, "image/png"))]
    response = client.post("/explain/pooled", files=files)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_images")


def test_a_damaged_image_is_refused_as_predict_refuses_it(client: TestClient) -> None:
    for content in (b"", b"no image", RED_LEFT_TOP[:60]):
        explained, predicted = (client.post(f"/{way}/pooled", content=content) for way in ("explain", "predict"))
        assert (explained.status_code, explained.json()["code"]) == (400, predicted.json()["code"])


def test_an_explanation_leaves_the_queue_as_it_was(client: TestClient) -> None:
    for model in ("tiny", "pooled"):
        explain(client, model, gray_image(200))
        assert client.app.state.services.catalog.resolve(model).batcher.queue_rows == 0  # type: ignore[attr-defined]


def test_occlusion_fits_into_a_queue_smaller_than_its_rows(repository: Path, open_client: Any) -> None:
    client = open_client(repository=repository, max_queue_rows=3)
    assert explain(client, "tiny", gray_image(200))["method"] == "occlusion sensitivity"


def test_the_input_is_shown_as_the_network_sees_it(client: TestClient) -> None:
    response = client.post("/explain/pooled/input", content=RED_LEFT_TOP)
    assert response.headers["Content-Type"] == "image/png"
    seen = np.asarray(Image.open(io.BytesIO(response.content)))
    assert (seen == decode_image(RED_LEFT_TOP, ImagePolicy(height=32, width=32, channels=3))).all()


def test_a_damaged_classifier_refuses_the_model(repository: Path, open_client: Any) -> None:
    folder = make_pooled_artifact(repository, "broken")
    (folder / "classifier.npz").write_bytes(b"no archive")
    wrong = make_pooled_artifact(repository, "wrong")
    np.savez(wrong / "classifier.npz", weights=np.zeros((3, 7), np.float32), bias=np.zeros(7, np.float32))
    sign(folder)
    sign(wrong)
    client = open_client(repository=repository)
    for model in ("broken", "wrong"):
        response = client.post(f"/explain/{model}", content=RED_LEFT_TOP)
        assert response.status_code == 404
        assert "classifier.npz" in response.json()["detail"]
