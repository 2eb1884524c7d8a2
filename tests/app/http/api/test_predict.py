import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.http.schemas import PredictAnswer
from artifact.figures.evaluation import ScoreQuantiles
from tests.makers.artifacts import LABELS, gray_image, make_artifact

WHITE, BLACK = gray_image(255), gray_image(0)
JUNK = b"this is no image, whatever its name says"


def labels_of(answer: dict[str, Any]) -> list[str]:
    return [prediction["classes"][0]["label"] for prediction in answer["predictions"]]


def as_json(*images: bytes) -> dict[str, list[str]]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


def as_form(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", ("image.png", image)) for image in images]


@pytest.mark.parametrize(
    "body",
    [
        {"content": WHITE, "headers": {"Content-Type": "image/png"}},
        {"content": WHITE, "headers": {"Content-Type": "application/octet-stream"}},
        {"content": WHITE},
        {"files": as_form(WHITE)},
        {"json": as_json(WHITE)},
        {"json": {"images": ["data:image/png;base64," + base64.b64encode(WHITE).decode()]}},
    ],
    ids=["image", "octets", "untyped", "form", "base64", "data-url"],
)
def test_each_form_of_body_gives_the_same_answer(client: TestClient, body: dict[str, Any]) -> None:
    response = client.post("/predict/tiny", **body)
    assert response.status_code == 200
    answer = response.json()
    PredictAnswer.model_validate(answer)
    assert (answer["model"], answer["version"]) == ("tiny", 1)
    assert labels_of(answer) == ["white"]
    assert [entry["label"] for entry in answer["predictions"][0]["classes"]] == list(reversed(LABELS))
    assert answer["timing"]["batch_size"] >= 1


def test_many_images_come_back_in_their_order(client: TestClient) -> None:
    images = [gray_image(level) for level in (0, 255, 128, 64, 191, 0)]
    for body in ({"files": as_form(*images)}, {"json": as_json(*images)}):
        answer = client.post("/predict/tiny", **body).json()
        assert labels_of(answer) == ["black", "white", "gray", "dark", "bright", "black"]


def test_one_bad_image_among_good_ones_fails_alone(client: TestClient) -> None:
    response = client.post("/predict/tiny", files=as_form(WHITE, JUNK, BLACK))
    assert response.status_code == 200
    PredictAnswer.model_validate(response.json())
    good, bad, also_good = response.json()["predictions"]
    assert (good["classes"][0]["label"], also_good["classes"][0]["label"]) == ("white", "black")
    assert (bad["error"]["status"], bad["error"]["code"]) == (400, "undecodable_image")


def test_when_every_image_fails_the_first_error_is_the_answer(client: TestClient) -> None:
    response = client.post("/predict/tiny", files=as_form(JUNK, b""))
    assert (response.status_code, response.json()["code"]) == (400, "undecodable_image")


def test_top_k_says_how_many_classes(client: TestClient) -> None:
    (prediction,) = client.post("/predict/tiny?top_k=2", content=WHITE).json()["predictions"]
    assert [entry["label"] for entry in prediction["classes"]] == ["white", "bright"]


def test_coverage_adds_the_label_set(tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    quantiles = ScoreQuantiles(images=100, coverage=(0.9, 0.95), score=(0.5, 0.999))
    make_artifact(tmp_path, score_quantiles=quantiles)
    client = open_client(repository=tmp_path)
    between = gray_image(96)  # dark or gray
    (prediction,) = client.post("/predict/tiny?coverage=0.95&top_k=1", content=between).json()["predictions"]
    assert [entry["label"] for entry in prediction["set"]] == ["gray", "dark"]
    assert len(prediction["classes"]) == 1
    (prediction,) = client.post("/predict/tiny?coverage=0.8", content=between).json()["predictions"]
    assert len(prediction["set"]) == 1
    refused = client.post("/predict/tiny?coverage=0.99", content=between)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")


def test_the_label_set_always_holds_the_most_probable_class(
    tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(tmp_path, score_quantiles=ScoreQuantiles(images=100, coverage=(0.9,), score=(0.0,)))
    client = open_client(repository=tmp_path)
    (prediction,) = client.post("/predict/tiny?coverage=0.9", content=gray_image(100)).json()["predictions"]
    assert [entry["label"] for entry in prediction["set"]] == [prediction["classes"][0]["label"]]


def test_coverage_of_a_model_without_quantiles_is_refused(client: TestClient) -> None:
    response = client.post("/predict/tiny?coverage=0.95", content=WHITE)
    assert response.status_code == 422
    assert "without enough validation images" in response.json()["detail"]


def test_the_newest_version_answers_unless_another_is_asked_for(
    tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(tmp_path, version=2)
    make_artifact(tmp_path, version=10)
    client = open_client(repository=tmp_path, versions="all")
    assert client.post("/predict/tiny", content=WHITE).json()["version"] == 10
    assert client.post("/predict/tiny?version=2", content=WHITE).json()["version"] == 2
    missing = client.post("/predict/tiny?version=3", content=WHITE)
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_version")
    assert "10, 2" in missing.json()["detail"]


def test_a_version_on_disk_that_is_not_loaded_names_the_setting(
    tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(tmp_path, version=1)
    make_artifact(tmp_path, version=2)
    response = open_client(repository=tmp_path).post("/predict/tiny?version=1", content=WHITE)
    assert response.status_code == 404
    assert "versions=latest" in response.json()["detail"]


def test_without_a_name_the_default_model_answers(tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(tmp_path, "one")
    make_artifact(tmp_path, "two")
    answer = open_client(repository=tmp_path, default_model="two").post("/predict", content=WHITE)
    assert answer.json()["model"] == "two"
    unnamed = open_client(repository=tmp_path).post("/predict", content=WHITE)
    assert unnamed.status_code == 404
    assert "default_model" in unnamed.json()["detail"]
    assert "one, two" in unnamed.json()["detail"]


def test_the_only_model_needs_no_name(client: TestClient) -> None:
    assert client.post("/predict", content=WHITE).json()["model"] == "tiny"


def test_every_answer_carries_an_id_and_its_timing(client: TestClient) -> None:
    response = client.post("/predict/tiny", content=WHITE, headers={"X-Request-ID": "mine-1"})
    assert response.headers["X-Request-ID"] == "mine-1"
    stages = [stage.partition(";")[0] for stage in response.headers["Server-Timing"].split(", ")]
    assert stages == ["decode", "queue", "infer", "total"]
    ids = {client.get("/health/live").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


def test_an_id_that_could_break_a_log_is_replaced(client: TestClient) -> None:
    response = client.get("/health/live", headers={"X-Request-ID": 'a"\tb'})
    assert response.headers["X-Request-ID"] != 'a"\tb'


def test_options_in_the_body_count_as_in_the_address(repository: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(repository, version=2)
    client = open_client(repository=repository, versions="all")
    encoded = base64.b64encode(gray_image(255)).decode()
    image = {"file": ("a.png", gray_image(255))}
    answers = [
        client.post("/predict/tiny?top_k=2&version=1", files=image),
        client.post("/predict/tiny", files=image, data={"top_k": "2", "version": "1", "note": "hello"}),
        client.post("/predict/tiny?version=1", files=image, data={"top_k": "2"}),
        client.post("/predict/tiny", json={"images": [encoded], "top_k": 2, "version": 1}),
        client.post("/predict/tiny?top_k=2", json={"images": [encoded], "top_k": 2, "version": 1}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["version"]) == (200, 1), answer.json()
        assert answer.json()["predictions"] == answers[0].json()["predictions"]
        assert len(answer.json()["predictions"][0]["classes"]) == 2
    assert client.post("/predict/tiny", files=image, data={"version": "7"}).status_code == 404


@pytest.mark.parametrize("kind", ["image/png", "binary/octet-stream", "IMAGE/PNG; name=x", "application/octet-stream"])
def test_an_image_has_one_of_several_types(client: TestClient, kind: str) -> None:
    answer = client.post("/predict/tiny", content=gray_image(255), headers={"Content-Type": kind})
    assert answer.status_code == 200


STANDARD = base64.b64encode(gray_image(255)).decode()
TEXTS = {
    "standard": STANDARD,
    "unpadded": STANDARD.rstrip("="),
    "for addresses": base64.urlsafe_b64encode(gray_image(255)).decode(),
    "for addresses, unpadded": base64.urlsafe_b64encode(gray_image(255)).decode().rstrip("="),
    "in lines": "\n".join(STANDARD[start : start + 76] for start in range(0, len(STANDARD), 76)),
    "a data URL": f"data:image/png;base64,{STANDARD}",
    "a data URL in capitals": f"DATA:image/png;base64,{STANDARD}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_base64_is_read_as_people_write_it(client: TestClient, text: str) -> None:
    answer = client.post("/predict/tiny", json={"images": [text]})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["predictions"][0]["classes"][0]["label"] == "white"
