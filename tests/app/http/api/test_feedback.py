"""POST /feedback: what is counted of receipts, what is refused, and what is seen of it."""

import base64
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.http.schemas import PredictAnswer
from artifact.figures.evaluation import Evaluation, ScoreQuantiles
from tests.makers.artifacts import LABELS, gray_image, make_artifact, make_graph

SETS = ScoreQuantiles(images=500, coverage=(0.8, 0.9), score=(0.5, 0.999))
WHITE, BLACK = gray_image(255), gray_image(0)

Open = Callable[..., TestClient]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "receipt.key"
    file.write_text("0123456789abcdef" * 4 + "\n")
    return file


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_artifact(tmp_path / "repository", score_quantiles=SETS)
    return tmp_path / "repository"


@pytest.fixture
def client(repository: Path, key_file: Path, open_client: Open) -> TestClient:
    return open_client(repository=repository, receipt_key=key_file)


def get_receipts(client: TestClient, image: bytes = WHITE, query: str = "", model: str = "tiny") -> list[str]:
    answer = client.post(f"/predict/{model}?receipt=1{query}", content=image).json()
    PredictAnswer.model_validate(answer)
    return [prediction["receipt"] for prediction in answer["predictions"]]


def tell(client: TestClient, receipt: str, label: str) -> Any:
    return client.post("/feedback", json={"receipt": receipt, "label": label})


def read_counts(client: TestClient) -> dict[str, float]:
    """The counts of feedback, without what they have in common."""
    found = re.findall(r"^convserve_feedback_(.*)_total\{(.*)\} (.*)$", client.get("/metrics").text, re.MULTILINE)
    return {f"{name} {labels.partition('version=')[2]}": float(count) for name, labels, count in found}


def test_told_labels_are_counted_for_the_version_that_answered(client: TestClient) -> None:
    (white,), (black,) = get_receipts(client), get_receipts(client, BLACK)
    answer = tell(client, white, "white")
    assert answer.status_code == 200
    assert answer.json() == {"feedback": [{"model": "tiny", "version": 1, "right": True}]}
    assert tell(client, black, "dark").json()["feedback"][0]["right"] is False
    counts = read_counts(client)
    assert counts['images "1",bin="1.00",answer="right"'] == counts['images "1",bin="1.00",answer="wrong"'] == 1
    assert counts['confidence "1",bin="1.00"'] == pytest.approx(2, abs=0.05)


def test_a_label_set_is_counted_by_whether_it_holds_the_label(client: TestClient) -> None:
    found = client.post("/predict/tiny?receipt=1&coverage=0.9", content=gray_image(150)).json()["predictions"][0]
    held = [entry["label"] for entry in found["set"]]
    assert held != LABELS
    for label in LABELS:
        (told,) = tell(client, found["receipt"], label).json()["feedback"]
        assert told["in_set"] is (label in held)
    counts = read_counts(client)
    assert counts['sets "1",holds="yes"'] == len(held)
    assert counts['sets "1",holds="no"'] == len(LABELS) - len(held)
    assert counts['coverage "1"'] == pytest.approx(0.9 * len(LABELS))


def test_a_receipt_counts_each_time_it_is_sent(client: TestClient) -> None:
    (receipt,) = get_receipts(client)
    assert [tell(client, receipt, "white").status_code for _ in range(3)] == [200] * 3
    assert read_counts(client)['images "1",bin="1.00",answer="right"'] == 3


def test_a_receipt_counts_after_a_restart_which_counts_anew(
    repository: Path, key_file: Path, open_client: Open
) -> None:
    before = open_client(repository=repository, receipt_key=key_file)
    (receipt,) = get_receipts(before)
    assert tell(before, receipt, "white").status_code == 200
    after = open_client(repository=repository, receipt_key=key_file)
    assert read_counts(after) == {}
    assert tell(after, receipt, "white").status_code == 200
    assert read_counts(after)['images "1",bin="1.00",answer="right"'] == 1


def test_of_several_receipts_each_is_counted_or_refused_by_itself(client: TestClient) -> None:
    (receipt,) = get_receipts(client)
    given = [
        {"receipt": receipt, "label": "white"},
        {"receipt": receipt[:-1], "label": "white"},
        {"receipt": receipt, "label": "wite"},
    ]
    answer = client.post("/feedback", json=given)
    first, second, third = answer.json()["feedback"]
    assert (answer.status_code, first["right"]) == (200, True)
    assert (second["error"]["status"], second["error"]["code"]) == (400, "bad_receipt")
    assert third["error"]["status"] == 422
    assert "'wite', not one of the 5 labels of tiny version 1" in third["error"]["detail"]
    assert client.post("/feedback", json=given[1:]).json()["code"] == "bad_receipt"


def test_receipts_of_a_cascade_are_of_the_model_that_answered(
    repository: Path, key_file: Path, open_client: Open
) -> None:
    make_artifact(repository, "sharp", graph=make_graph(sharpness=1e-2))
    cascade = {"first": "tiny", "then": "sharp", "when": "p < 0.9"}
    client = open_client(repository=repository, receipt_key=key_file, aliases={"both": cascade})
    told = [
        tell(client, *get_receipts(client, image, model="both"), label).json()["feedback"][0]["model"]
        for image, label in ((gray_image(90), "dark"), (WHITE, "white"))
    ]
    assert told == ["sharp", "tiny"]


def test_a_failed_image_among_others_has_no_receipt(client: TestClient) -> None:
    texts = [base64.b64encode(image).decode() for image in (WHITE, b"words", BLACK)]
    answer = client.post("/predict/tiny", json={"images": texts, "receipt": True}).json()
    assert ["receipt" in prediction for prediction in answer["predictions"]] == [True, False, True]


# Refused


def check_refused(answer: Any, status: int, code: str, *words: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    for word in words:
        assert word in answer.json()["detail"]


def test_a_receipt_under_another_key_is_refused(repository: Path, client: TestClient, open_client: Open) -> None:
    other_key = repository.parent / "other.key"
    other_key.write_text("f" * 64)
    other = open_client(repository=repository, receipt_key=other_key)
    check_refused(tell(other, *get_receipts(client), "white"), 400, "bad_receipt", "was not signed by this service")
    assert read_counts(other) == {}


def test_a_receipt_of_a_version_that_is_gone_is_refused(
    repository: Path, client: TestClient, key_file: Path, open_client: Open
) -> None:
    make_artifact(repository, version=2)
    make_artifact(repository, "other")
    (receipt,) = get_receipts(client)
    newer = open_client(repository=repository, receipt_key=key_file)
    check_refused(tell(newer, receipt, "white"), 404, "unknown_version", "tiny version 1", "doesn't load it")
    shutil.rmtree(repository / "tiny")
    without = open_client(repository=repository, receipt_key=key_file)
    check_refused(tell(without, receipt, "white"), 404, "unknown_model", "there are other")


def test_a_receipt_of_another_model_of_the_same_name_is_refused(
    tmp_path: Path, client: TestClient, key_file: Path, open_client: Open
) -> None:
    make_artifact(tmp_path / "elsewhere", graph=make_graph(sharpness=1e-2))
    other = open_client(repository=tmp_path / "elsewhere", receipt_key=key_file)
    answer = tell(other, *get_receipts(client), "white")
    check_refused(answer, 400, "bad_receipt", "of another artifact than the tiny version 1 that is loaded now")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b"{", 400, "bad_json"),
        (b"[]", 400, "bad_json"),
        (b"[1]", 400, "bad_json"),
        (b"{}", 422, "invalid_parameter"),
        (b'{"receipt": 1, "label": "white"}', 422, "invalid_parameter"),
        (b'{"receipt": "a.b", "label": 7}', 422, "invalid_parameter"),
        (b'{"receipt": "a.b", "label": "white", "more": 1}', 422, "invalid_parameter"),
        (b'{"receipt": "a.b", "label": "white"}', 400, "bad_receipt"),
        (b'{"receipt": "\\ud800", "label": "\\ud800"}', 400, "bad_receipt"),
        (b"[" + b"1," * 1000 + b"1]", 413, "request_too_large"),
        (b"[" * 20_000, 400, "bad_json"),
        (b"," * 20_000, 413, "request_too_large"),
    ],
)
def test_a_body_of_another_form_is_refused(client: TestClient, body: bytes, status: int, code: str) -> None:
    check_refused(client.post("/feedback", content=body), status, code)


def test_without_a_key_receipts_are_neither_given_nor_taken(client: TestClient, open_client: Open) -> None:
    (receipt,) = get_receipts(client)
    plain = open_client(repository=client.app.state.services.settings.repository)  # type: ignore[attr-defined]
    check_refused(plain.post("/predict/tiny?receipt=1", content=WHITE), 422, "invalid_parameter", "receipt_key")
    check_refused(tell(plain, receipt, "white"), 422, "invalid_parameter", "receipt_key")
    assert "receipt" not in plain.post("/predict/tiny?receipt=0", content=WHITE).json()["predictions"][0]


def test_tags_have_no_receipts(repository: Path, key_file: Path, open_client: Open) -> None:
    make_artifact(repository, "tags", head="multilabel")
    client = open_client(repository=repository, receipt_key=key_file)
    answer = client.post("/predict/tags?receipt=1", content=WHITE)
    check_refused(answer, 422, "invalid_parameter", "several labels of tags may be true")


def test_feedback_takes_the_key_of_predictions(repository: Path, key_file: Path, open_client: Open) -> None:
    client = open_client(repository=repository, receipt_key=key_file, api_keys=[hash_key("mine")])
    assert tell(client, "a.b", "white").status_code == 401
    client.headers["Authorization"] = "Bearer mine"
    assert tell(client, *get_receipts(client), "white").status_code == 200


# Seen


def read_page(client: TestClient) -> str:
    text = client.get("/models/tiny/card", headers={"Accept": "text/html"}).text
    return re.sub(r"<[^>]+>", " ", text)


def test_the_model_says_what_was_told_of_each_version(client: TestClient) -> None:
    (version,) = client.get("/models/tiny").json()["versions"]
    assert "live" not in version
    (receipt,) = get_receipts(client)
    client.post("/feedback", json=[{"receipt": receipt, "label": label} for label in ("white", "white", "black")])
    (version,) = client.get("/models/tiny").json()["versions"]
    said = {"images": 3, "right": 2, "sets": 0, "holding": 0, "coverage": 0.0}
    assert version["live"] == {**said, "calibration_error": pytest.approx(1 / 3, abs=0.05)}


def test_the_card_shows_live_accuracy_beside_the_measured_one(
    tmp_path: Path, key_file: Path, open_client: Open
) -> None:
    evaluation = Evaluation(dataset="grays", split="test", images=1000, top1=0.98, top5=1, ece=0.01)
    make_artifact(tmp_path / "one", score_quantiles=SETS, evaluation=evaluation)
    client = open_client(repository=tmp_path / "one", receipt_key=key_file)
    assert "Live, by feedback" not in read_page(client)
    (receipt,) = get_receipts(client, query="&coverage=0.9")
    client.post("/feedback", json=[{"receipt": receipt, "label": label} for label in ["white"] * 59 + ["black"]])
    page = read_page(client)
    assert re.search(r"Top-1\s+98\.0 % \(96\.9 to 98\.7 %, from 1,000 images\)", page)
    assert re.search(r"Live, by feedback\s+98 % \(91 to 100 %, from 60 images\) whose true label", page)
    assert re.search(
        r"Live label sets\s+held the true label in 98 % \(91 to 100 %, from 60 images\); 90\.0 % was asked for", page
    )
    assert "Live calibration error" not in page  # too few yet
    client.post("/feedback", json=[{"receipt": receipt, "label": "white"}] * 40)
    assert re.search(r"Live calibration error\s+\d\.\d % \(ECE, 15 bins\)", read_page(client))
