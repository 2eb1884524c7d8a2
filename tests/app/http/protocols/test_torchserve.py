from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.makers.artifacts import LABELS, gray_image, make_artifact


def test_an_image_gives_its_five_most_probable_labels_best_first(client: TestClient) -> None:
    answer = client.post("/predictions/tiny", content=gray_image(150))
    assert answer.status_code == 200
    assert "infer;dur=" in answer.headers["Server-Timing"]
    found = answer.json()
    assert set(found) == set(LABELS)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)


def test_a_form_of_requests_and_a_put_of_curl_give_the_same(client: TestClient) -> None:
    image = gray_image(90)
    raw = client.post("/predictions/tiny", content=image).json()
    assert client.post("/predictions/tiny", files={"data": image}).json() == raw
    assert client.put("/predictions/tiny", content=image).json() == raw


def test_a_version_can_be_named(repository: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(repository, version=2)
    client = open_client(repository=repository, versions="all")
    assert client.post("/predictions/tiny/1", content=gray_image(0)).status_code == 200
    assert client.put("/predictions/tiny/9", content=gray_image(0)).status_code == 404


def test_two_images_have_no_place_in_the_form(client: TestClient) -> None:
    files = [("data", gray_image(0)), ("data", gray_image(9))]
    answer = client.post("/predictions/tiny", files=files)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_images")
    assert "/predict takes several" in answer.json()["detail"]


def test_two_classes_of_one_label_give_the_more_probable_one(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(repository, "twins", labels=("a", "b", "a", "b", "c"))
    client = open_client(repository=repository)
    classes = client.post("/predict/twins", content=gray_image(150)).json()["predictions"][0]["classes"]
    best: dict[str, float] = {}
    for entry in classes:
        best[entry["label"]] = max(best.get(entry["label"], 0), entry["probability"])
    assert client.post("/predictions/twins", content=gray_image(150)).json() == pytest.approx(best)
