"""The Open Inference Protocol by tritonclient, unmodified, over a real socket: what Triton's users run."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from fastapi.testclient import TestClient
from tritonclient.utils import InferenceServerException

from app.admission.keys import hash_key
from app.settings import Settings
from tests.makers.artifacts import LABELS, gray_image, make_artifact
from tests.makers.threaded_server import serve_in_thread

ADMIN = "an admin key"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
WHITE, BLACK = gray_image(255), gray_image(0)


@pytest.fixture
def address(repository: Path) -> Iterator[str]:
    """A service on a socket, in a thread of this process."""
    make_artifact(repository, version=2)
    settings = Settings(repository=repository, versions="all", admin_keys=[hash_key(ADMIN)], max_images=40)
    with serve_in_thread(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_ready()
        yield client


def pixels(*levels: int) -> np.ndarray:
    return np.stack([np.full((8, 8, 1), level, np.uint8) for level in levels])


def image_input(array: np.ndarray, *, binary: bool = True) -> list[triton.InferInput]:
    datatype = "UINT8" if array.dtype == np.uint8 else "BYTES"
    image = triton.InferInput("image", list(array.shape), datatype)
    image.set_data_from_numpy(array, binary_data=binary)
    return [image]


def encoded(*images: bytes, column: bool = False) -> np.ndarray:
    array = np.array(images, dtype=object)
    return array[:, None] if column else array


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "9")
    assert not client.is_model_ready("absent")
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(client.get_server_metadata()["extensions"])
    described = client.get_model_metadata("tiny")
    assert (described["name"], described["versions"], described["platform"]) == ("tiny", ["1", "2"], "onnxruntime_onnx")
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert described["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 5]}]
    config = client.get_model_config("tiny", "2")
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (32, [8, 8, 1])
    assert [output["name"] for output in config["output"]] == ["probabilities"]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("binary_output", [True, False, None], ids=["binary-out", "json-out", "unasked"])
def test_uint8_tensors(client: triton.InferenceServerClient, binary: bool, binary_output: bool | None) -> None:
    outputs = None
    if binary_output is not None:
        outputs = [triton.InferRequestedOutput(name, binary_data=binary_output) for name in ("probabilities", "energy")]
    result = client.infer(
        "tiny", image_input(pixels(0, 255, 128), binary=binary), outputs=outputs, request_id="mine", priority=1
    )
    probabilities = result.as_numpy("probabilities")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (3, 5))
    assert probabilities.argmax(axis=1).tolist() == [0, 4, 2]
    energy = result.as_numpy("energy")  # given only where it is asked for
    assert energy is None if outputs is None else energy.shape == (3,)
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "tiny", "2")


@pytest.mark.parametrize("column", [False, True], ids=["[n]", "[n, 1]"])
def test_encoded_images_as_bytes(client: triton.InferenceServerClient, column: bool) -> None:
    result = client.infer("tiny", image_input(encoded(WHITE, BLACK, column=column)), model_version="1")
    assert result.as_numpy("probabilities").argmax(axis=1).tolist() == [4, 0]
    assert result.get_response()["model_version"] == "1"


def test_encoded_images_as_base64_in_json(client: triton.InferenceServerClient) -> None:
    texts = encoded(*(base64.b64encode(image) for image in (WHITE, BLACK)))
    result = client.infer("tiny", image_input(texts, binary=False))
    assert result.as_numpy("probabilities").argmax(axis=1).tolist() == [4, 0]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_classification_gives_value_index_and_label(client: triton.InferenceServerClient, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    classes = client.infer("tiny", image_input(pixels(255, 0)), outputs=wanted).as_numpy("probabilities")
    assert classes.shape == (2, 2)
    texts = [[entry.decode() if binary else entry for entry in row] for row in classes]
    value, index, label = texts[0][0].split(":")
    assert (index, label) == ("4", LABELS[4])
    assert 0.5 < float(value) <= 1
    assert texts[1][0].endswith(":0:black")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client: triton.InferenceServerClient, algorithm: str) -> None:
    result = client.infer(
        "tiny",
        image_input(pixels(255)),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert result.as_numpy("probabilities").argmax() == 4


def test_asynchronous_inference(client: triton.InferenceServerClient) -> None:
    assert client.async_infer("tiny", image_input(pixels(0))).get_result().as_numpy("probabilities").argmax() == 0


def test_load_unload_and_index(client: triton.InferenceServerClient, repository: Path) -> None:
    index = client.get_model_repository_index(headers=AS_ADMIN)
    assert {(row["name"], row["version"], row["state"]) for row in index} == {
        ("tiny", "1", "READY"),
        ("tiny", "2", "READY"),
    }
    make_artifact(repository, "other")
    client.load_model("other", headers=AS_ADMIN)
    assert client.is_model_ready("other")
    client.unload_model("tiny", headers=AS_ADMIN)
    assert not client.is_model_ready("tiny")
    states = {row["state"]: row["reason"] for row in client.get_model_repository_index(headers=AS_ADMIN)}
    assert states == {"READY": "", "UNAVAILABLE": "unloaded"}
    client.load_model("tiny", headers=AS_ADMIN)
    assert client.is_model_ready("tiny")


def test_statistics_count_what_was_inferred(client: triton.InferenceServerClient) -> None:
    client.infer("tiny", image_input(pixels(0, 255, 128)))
    client.infer("tiny", image_input(encoded(WHITE)))
    with pytest.raises(InferenceServerException):
        client.infer("tiny", image_input(encoded(b"junk")))
    (stats,) = client.get_inference_statistics("tiny", "2")["model_stats"]
    assert (stats["inference_count"], stats["inference_stats"]["success"]["count"]) == (4, 2)
    assert stats["inference_stats"]["fail"]["count"] == 1
    assert stats["inference_stats"]["compute_infer"]["ns"] > 0
    assert stats["execution_count"] == sum(row["compute_infer"]["count"] for row in stats["batch_stats"])
    assert {row["name"] for row in client.get_inference_statistics()["model_stats"]} == {"tiny"}
    assert stats["last_inference"] > 0


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda c: c.infer("absent", image_input(pixels(0))), 404, "there are tiny"),
        (lambda c: c.infer("tiny", image_input(encoded(WHITE, b"junk"))), 400, "row 1: "),
        (lambda c: c.infer("tiny", image_input(pixels(0)[:, :4])), 400, "[1, 4, 8, 1]"),
        (lambda c: c.infer("tiny", image_input(pixels(*[0] * 41))), 413, "max_images"),
        (lambda c: c.load_model("../tiny", headers=AS_ADMIN), 404, ""),
        (lambda c: c.load_model("absent", headers=AS_ADMIN), 404, "no model 'absent'"),
        (lambda c: c.load_model("tiny"), 401, "Authorization: Bearer"),
        (lambda c: c.load_model("tiny", headers=AS_ADMIN, config="{}"), 422, "'config' is not supported"),
        (lambda c: c.unload_model("absent", headers=AS_ADMIN), 404, "there are tiny"),
        (lambda c: c.get_system_shared_memory_status(), 404, "unknown address"),
        (lambda c: c.get_trace_settings(), 404, "unknown address"),
    ],
)
def test_its_exceptions_carry_our_messages(
    client: triton.InferenceServerClient, call: Callable[[Any], Any], status: int, words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call(client)
    assert caught.value.status() == str(status)
    assert words in caught.value.message()


def infer_json(**image: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], **image}]}


ITEM_HEADER = b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]}'

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({"json": {}}, "bad_tensor", "exactly one"),
    "two inputs": ({"json": {"inputs": [{}, {}]}}, "bad_tensor", "exactly one"),
    "another input": ({"json": infer_json(name="x", data=[])}, "bad_tensor", "'x'"),
    "another type": ({"json": infer_json(datatype="FP32", data=[0.5] * 64)}, "bad_tensor", "'FP32'"),
    "no data": ({"json": infer_json()}, "bad_tensor", "neither data"),
    "too few": ({"json": infer_json(data=[0] * 63)}, "bad_tensor", "63 values instead of 64"),
    "too large": ({"json": infer_json(data=[256] * 64)}, "bad_tensor", "0 to 255"),
    "negative": ({"json": infer_json(data=[-1] * 64)}, "bad_tensor", "0 to 255"),
    "fractions": ({"json": infer_json(data=[0.5] * 64)}, "bad_tensor", "whole numbers"),
    "texts": ({"json": infer_json(data=["x"] * 64)}, "bad_tensor", "whole numbers"),
    "ragged": ({"json": infer_json(data=[[0], [0, 1]])}, "bad_tensor", "regular"),
    "no rows": ({"json": infer_json(shape=[0, 8, 8, 1], data=[])}, "bad_tensor", "no rows"),
    "a shape of text": ({"json": infer_json(shape="1", data=[])}, "bad_tensor", "whole numbers"),
    "a huge shape": ({"json": infer_json(shape=[2**62, 8, 8, 1], data=[])}, "too_many_images", "max_images"),
    "an output": ({"json": infer_json(data=[0] * 64) | {"outputs": [{"name": "features"}]}}, "bad_tensor", "energy"),
    "classes": (
        {
            "json": infer_json(data=[0] * 64)
            | {"outputs": [{"name": "probabilities", "parameters": {"classification": 6}}]}
        },
        *("bad_tensor", "1 to 5"),
    ),
    "shared memory": (
        {"json": infer_json(parameters={"shared_memory_region": "r"})},
        *("bad_tensor", "shared memory"),
    ),
    "a timeout": ({"json": infer_json(data=[0] * 64) | {"parameters": {"timeout": "x"}}}, "bad_tensor", "timeout"),
    "no JSON": ({"content": b"{"}, "bad_json", "not JSON"),
    "deep JSON": ({"content": b"[" * 1000 + b"]" * 1000}, "bad_", ""),
    "wide JSON": ({"content": b"[" + b"0," * 10_000 + b"0]"}, "too_many_images", "max_images"),
    "a header length": (
        {"content": b"{}", "headers": {"Inference-Header-Content-Length": "9"}},
        *("bad_tensor", "2 bytes"),
    ),
    "a header length of text": (
        {"content": b"{}", "headers": {"Inference-Header-Content-Length": "x"}},
        *("bad_tensor", "'x'"),
    ),
    "an item cut short": (
        {
            "content": ITEM_HEADER + b"\xff\xff\xff\x00ab",
            "headers": {"Inference-Header-Content-Length": str(len(ITEM_HEADER))},
        },
        *("bad_tensor", "2 are left"),
    ),
}


@pytest.mark.parametrize(("body", "code", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_tensor_is_named(
    repository: Path, open_client: Callable[..., TestClient], body: dict[str, Any], code: str, words: str
) -> None:
    client = open_client(repository=repository, max_images=4)
    response = client.post("/v2/models/tiny/infer", **body)
    assert response.status_code in (400, 413)
    assert response.json()["code"].startswith(code), response.json()
    assert words in response.json()["error"]


def test_management_is_off_without_an_admin_key(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository)
    for path in ("models/tiny/load", "models/tiny/unload"):
        response = client.post(f"/v2/repository/{path}", headers=AS_ADMIN)
        assert (response.status_code, response.json()["code"]) == (403, "management_off")
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


def test_a_refused_load_is_409_with_the_reason(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, admin_keys=[hash_key(ADMIN)])
    (make_artifact(repository, version=2) / "model.onnx").write_bytes(b"x")
    refused = client.post("/v2/repository/models/tiny/load", headers=AS_ADMIN)
    assert (refused.status_code, refused.json()["code"]) == (409, "load_refused")
    assert "tiny version 2 is being copied: it lacks model.onnx (1 of " in refused.json()["detail"]
    assert client.post("/predict/tiny", content=WHITE).json()["version"] == 1


def test_the_deadline_of_a_request_is_in_microseconds(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository)
    late = client.post(
        "/v2/models/tiny/infer", json=infer_json(data=[0] * 64) | {"parameters": {"timeout": 1, "priority": 2}}
    )
    assert late.status_code in (429, 504)
