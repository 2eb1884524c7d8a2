import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.threaded_server import serve_in_thread

TEXT = base64.b64encode(gray_image(150)).decode()


@pytest.fixture
def address(repository: Path) -> Iterator[str]:
    with serve_in_thread(Settings(repository=repository)) as port:
        yield f"http://127.0.0.1:{port}/hf/tiny"


def test_the_inference_client_works_as_it_comes(address: str, tmp_path: Path) -> None:
    file = tmp_path / "gray.png"
    file.write_bytes(gray_image(150))
    client = InferenceClient(model=address)
    found = client.image_classification(str(file))
    assert len(found) == 5
    assert found[0].label == "gray"
    assert sum(entry.score for entry in found) == pytest.approx(1, abs=1e-5)
    assert client.image_classification(gray_image(150)) == found
    assert client.image_classification(gray_image(150), top_k=2) == found[:2]


def test_the_inference_client_is_told_what_is_wrong(address: str) -> None:
    with pytest.raises(HfHubHTTPError, match="top_k is 99, tiny has 5 classes"):
        InferenceClient(model=address).image_classification(gray_image(150), top_k=99)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"inputs": [TEXT]}, 400, "no string under the key inputs"),
        ({"images": [TEXT]}, 400, "no string under the key inputs"),
        ([TEXT], 400, "no string under the key inputs"),
        ({"inputs": TEXT, "parameters": [1]}, 400, "parameters is not an object"),
        ({"inputs": TEXT, "parameters": {"function_to_apply": "sigmoid"}}, 422, "'function_to_apply'"),
        ({"inputs": TEXT, "parameters": {"top_k": 0}}, 422, "top_k is 0"),
        ({"inputs": "anVuaw=="}, 400, "not an image of a supported type"),
        ({"inputs": TEXT, "parameters": {"top_k": list(range(99))}}, 400, "values that are not an image"),
    ],
)
def test_other_json_is_named(client: TestClient, body: Any, status: int, words: str) -> None:
    answer = client.post("/hf/tiny", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
