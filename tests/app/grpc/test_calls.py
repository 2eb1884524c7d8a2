"""The Open Inference Protocol over gRPC by tritonclient, unmodified: what Triton's users run."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import InferenceServerException

from app.admission.keys import hash_key
from app.settings import Settings
from tests.makers.artifacts import LABELS, gray_image, make_artifact
from tests.makers.threaded_server import serve_all_in_thread

ADMIN = "an admin key"
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
WHITE, BLACK = gray_image(255), gray_image(0)


@pytest.fixture
def address(repository: Path) -> Iterator[str]:
    """A service on sockets, in a thread of this process."""
    make_artifact(repository, version=2)
    settings = Settings(
        repository=repository,
        versions="all",
        admin_keys=[hash_key(ADMIN)],
        max_images=40,
        grpc_port=0,
        body_timeout_s=1,
    )
    with serve_all_in_thread(settings) as (_, port):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_ready()
        yield client


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


def image_input(array: np.ndarray) -> list[triton.InferInput]:
    image = triton.InferInput("image", list(array.shape), "UINT8" if array.dtype == np.uint8 else "BYTES")
    image.set_data_from_numpy(array)
    return [image]


def pixels(*levels: int) -> np.ndarray:
    return np.stack([np.full((8, 8, 1), level, np.uint8) for level in levels])


def encoded(*images: bytes) -> np.ndarray:
    return np.array(images, dtype=object)


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "9")
    assert not client.is_model_ready("absent")
    assert "statistics" in client.get_server_metadata().extensions
    described = client.get_model_metadata("tiny", as_json=True)
    assert (described["name"], described["versions"]) == ("tiny", ["1", "2"])
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": ["-1", "8", "8", "1"]}]
    assert client.get_model_metadata("tiny", "1").versions == ["1"]
    config = client.get_model_config("tiny", "2").config
    assert (config.max_batch_size, list(config.input[0].dims)) == (32, [8, 8, 1])
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 256


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_tensors_in_any_compression(client: triton.InferenceServerClient, algorithm: str | None) -> None:
    wanted = [triton.InferRequestedOutput(name) for name in ("probabilities", "energy")]
    result = client.infer(
        "tiny", image_input(pixels(0, 255, 128)), outputs=wanted, request_id="mine", compression_algorithm=algorithm
    )
    probabilities = result.as_numpy("probabilities")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (3, 5))
    assert probabilities.argmax(axis=1).tolist() == [0, 4, 2]
    assert result.as_numpy("energy").shape == (3,)
    answer = result.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("mine", "tiny", "2")


def test_encoded_images_of_one_version(client: triton.InferenceServerClient) -> None:
    result = client.infer("tiny", image_input(encoded(WHITE, BLACK)), model_version="1")
    assert result.as_numpy("probabilities").argmax(axis=1).tolist() == [4, 0]
    assert result.get_response().model_version == "1"
    assert result.as_numpy("energy") is None  # given only where it is asked for


def test_classification_gives_value_index_and_label(client: triton.InferenceServerClient) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
    classes = client.infer("tiny", image_input(pixels(255, 0)), outputs=wanted).as_numpy("probabilities")
    assert classes.shape == (2, 2)
    assert classes[0, 0].decode().split(":")[1:] == ["4", LABELS[4]]


def test_a_request_that_calls_back(client: triton.InferenceServerClient) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.async_infer("tiny", image_input(pixels(0)), lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=30)
    assert error is None
    assert result.as_numpy("probabilities").argmax() == 0


def test_a_stream_answers_each_request_in_its_turn_and_goes_on_after_a_bad_one(
    client: triton.InferenceServerClient,
) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(100):
        client.async_stream_infer("tiny", image_input(pixels(number % 2 * 255)), request_id=str(number))
    client.async_stream_infer("absent", image_input(pixels(0)))
    client.async_stream_infer("tiny", image_input(encoded(WHITE)), request_id="last")
    found = [answers.get(timeout=30) for _ in range(102)]
    client.stop_stream()
    good = [result for result, error in found if error is None]
    assert [result.get_response().id for result in good] == [*map(str, range(100)), "last"]
    assert [int(result.as_numpy("probabilities").argmax()) for result in good] == [*[0, 4] * 50, 4]
    assert found[100][1].message() == "there is no model 'absent'; there are tiny"
    assert good[0].get_response().parameters["triton_final_response"].bool_param


def test_load_unload_and_index(client: triton.InferenceServerClient, repository: Path) -> None:
    index = client.get_model_repository_index()
    assert {(row.name, row.version, row.state) for row in index.models} == {
        ("tiny", "1", "READY"),
        ("tiny", "2", "READY"),
    }
    make_artifact(repository, "other")
    client.load_model("other", headers=AS_ADMIN)
    assert client.is_model_ready("other")
    client.unload_model("tiny", headers=AS_ADMIN)
    assert not client.is_model_ready("tiny")
    states = {row.state: row.reason for row in client.get_model_repository_index().models}
    assert states == {"READY": "", "UNAVAILABLE": "unloaded"}


def test_statistics_count_what_was_inferred(client: triton.InferenceServerClient) -> None:
    client.infer("tiny", image_input(pixels(0, 255, 128)))
    with pytest.raises(InferenceServerException):
        client.infer("tiny", image_input(encoded(b"junk")))
    (stats,) = client.get_inference_statistics("tiny", "2").model_stats
    assert (stats.inference_count, stats.inference_stats.success.count, stats.inference_stats.fail.count) == (3, 1, 1)
    assert {row.version for row in client.get_inference_statistics().model_stats} == {"1", "2"}


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda c: c.infer("absent", image_input(pixels(0))), "NOT_FOUND", "there are tiny"),
        (lambda c: c.infer("tiny", image_input(pixels(0)), "9"), "NOT_FOUND", "version"),
        (lambda c: c.infer("tiny", image_input(pixels(0)), "x"), "INVALID_ARGUMENT", "the version is 'x'"),
        (lambda c: c.infer("tiny", image_input(encoded(WHITE, b"junk"))), "INVALID_ARGUMENT", "row 1: "),
        (lambda c: c.infer("tiny", image_input(pixels(0)[:, :4])), "INVALID_ARGUMENT", "[1, 4, 8, 1]"),
        (lambda c: c.infer("tiny", image_input(pixels(*[0] * 41))), "INVALID_ARGUMENT", "max_images"),
        (lambda c: c.load_model("absent", headers=AS_ADMIN), "NOT_FOUND", "no model 'absent'"),
        (lambda c: c.load_model("tiny"), "UNAUTHENTICATED", "Authorization: Bearer"),
        (lambda c: c.load_model("tiny", headers=AS_ADMIN, config="{}"), "INVALID_ARGUMENT", "'config'"),
        (lambda c: c.get_system_shared_memory_status(), "UNIMPLEMENTED", "shared memory"),
        (lambda c: c.get_trace_settings(), "UNIMPLEMENTED", "tracing"),
        (lambda c: c.get_log_settings(), "UNIMPLEMENTED", "log settings"),
    ],
)
def test_its_exceptions_carry_our_messages(
    client: triton.InferenceServerClient, call: Callable[[Any], Any], status: str, words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call(client)
    assert caught.value.status() == f"StatusCode.{status}"
    assert words in caught.value.message()


def ask(channel: grpc.Channel, **fields: Any) -> Any:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=[1, 8, 8, 1])
    request = service_pb2.ModelInferRequest(model_name="tiny", inputs=[tensor])
    request.MergeFrom(service_pb2.ModelInferRequest(**fields))
    return GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)


TIMEOUT = service_pb2.InferParameter(string_param="x")
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no data": ({}, "neither data"),
    "too much raw": ({"raw_input_contents": [bytes(64)] * 2}, "2 raw contents for 1 inputs"),
    "too few": ({"raw_input_contents": [bytes(63)]}, "63 values instead of 64"),
    "a timeout": ({"raw_input_contents": [bytes(64)], "parameters": {"timeout": TIMEOUT}}, "timeout is 'x'"),
    "an unset timeout": (
        {"raw_input_contents": [bytes(64)], "parameters": {"timeout": service_pb2.InferParameter()}},
        "timeout is 'None'",
    ),
}


@pytest.mark.parametrize(("fields", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_message_is_named(channel: grpc.Channel, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()


def test_bytes_that_are_no_message_are_refused_and_so_is_none_at_all(channel: grpc.Channel) -> None:
    call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
    for sent, words in (([b"\xff\xff"], "are no inference.ModelInferRequest"), ([], "ended without a message")):
        with pytest.raises(grpc.RpcError) as caught:
            call(iter(sent), timeout=30)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in caught.value.details()


def test_a_message_that_never_comes_is_not_waited_for(channel: grpc.Channel) -> None:
    never: queue.Queue[bytes] = queue.Queue()
    call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer").future(iter(never.get, b"end"))
    error = call.exception(timeout=30)
    never.put(b"end")
    assert isinstance(error, grpc.RpcError)
    assert "no whole message came within 1 s (body_timeout_s)" in error.details()
