"""Weighted aliases: what is said of them, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.makers.artifacts import LABELS, gray_image, make_artifact

WHITE = gray_image(255)


@pytest.fixture
def open_split(tmp_path: Path, open_client: Callable[..., TestClient]) -> Callable[..., TestClient]:
    make_artifact(tmp_path, version=1)
    make_artifact(tmp_path, version=2)
    make_artifact(tmp_path, "three", labels=LABELS[:3])

    def make(best: Any, **settings: Any) -> TestClient:
        return open_client(repository=tmp_path, versions="all", aliases={"best": best}, **settings)

    return make


def test_a_weighted_alias_is_answered_by_one_of_its_models(open_split: Callable[..., TestClient]) -> None:
    client = open_split({"tiny/1": 1, "tiny/2": 1})
    answers = [client.post("/predict/best", content=WHITE).json() for _ in range(40)]
    assert {answer["version"] for answer in answers} == {1, 2}
    assert {answer["model"] for answer in answers} == {"tiny"}


def test_the_default_model_may_be_a_weighted_alias(open_split: Callable[..., TestClient]) -> None:
    client = open_split({"tiny/1": 0, "tiny/2": 1}, default_model="best")
    assert {client.post("/predict", content=WHITE).json()["version"] for _ in range(5)} == {2}


def test_models_and_metadata_are_those_of_the_largest_share(open_split: Callable[..., TestClient]) -> None:
    client = open_split({"to": {"tiny/1": 1, "tiny/2": 9}, "sticky": "X-User"})
    written = {"to": {"tiny/1": 1, "tiny/2": 9}, "sticky": "X-User"}
    assert client.get("/models").json()["aliases"] == {"best": written}
    assert client.get("/models/best").json()["split"] == written
    assert client.get("/models/best/card").json()["version"] == 2
    assert client.get("/v2/models/best/ready").status_code == 200


def test_a_version_of_a_weighted_alias_is_refused_in_words(open_split: Callable[..., TestClient]) -> None:
    client = open_split({"tiny/1": 1, "tiny/2": 1})
    for path in ("/predict/best?version=1", "/v2/models/best/versions/1/infer"):
        refused = client.post(path, content=WHITE)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
        assert "best means several models (tiny/1 50 %, tiny/2 50 %): leave it out" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("absent", "there is no model 'absent'"),
        ("tiny/3", "tiny has no version 3; there are: 2, 1"),
        ("three", "tiny and three must have the same labels in the same order; they have 5 and 3"),
    ],
)
def test_what_cannot_be_asked_is_said_and_the_others_are_asked(
    open_split: Callable[..., TestClient], other: str, words: str
) -> None:
    client = open_split({"tiny": 1, other: 1})
    assert words in client.get("/models").json()["aliases"]["best"]["reason"]
    assert words in client.get("/v2/models/best/ready").json()["detail"]
    assert 200 in {client.post("/predict/best", content=WHITE).status_code for _ in range(40)}


def test_a_model_of_weight_0_need_not_be_there(open_split: Callable[..., TestClient]) -> None:
    client = open_split({"tiny": 1, "absent": 0})
    assert client.get("/v2/models/best/ready").status_code == 200
    assert {client.post("/predict/best", content=WHITE).status_code for _ in range(10)} == {200}
