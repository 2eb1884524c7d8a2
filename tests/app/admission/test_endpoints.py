"""Every endpoint that predicts, one by one: the same probabilities, the same counts, the same line of the access log,
and the same status for the same fault. A new endpoint is a row of ENDPOINTS.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from app.admission.feedback import Receipts
from app.admission.keys import hash_key
from app.catalog.catalog import Catalog
from app.catalog.traffic.slots import assign_slots, find_slot
from app.errors import DeviceFailed
from app.observe.metrics import Metrics
from app.settings import Settings
from tests.makers.artifacts import LABELS, SIZE, damage, gray_image, make_artifact, make_graph
from tests.makers.gate import Gate
from tests.makers.threaded_server import serve_all_in_thread
from tests.makers.waiting import wait_until

GRAY = gray_image(150)
KEY = {"Authorization": "Bearer cs-right"}
BULK, FIRST, OTHER, SLOW = ({"Authorization": f"Bearer cs-{name}"} for name in ("bulk", "first", "other", "slow"))
KEYS = {
    "bulk": {"hash": hash_key("cs-bulk")},
    "first": {"hash": hash_key("cs-first"), "priority": 1},
    "other": {"hash": hash_key("cs-other"), "models": ["broken"]},
    "slow": {"hash": hash_key("cs-slow"), "rows_per_s": 0.001},
}

Body = tuple[bytes, dict[str, str]]


def as_image(image: bytes) -> Body:
    return image, {"Content-Type": "image/png"}


def as_bytes(image: bytes) -> Body:
    """As curl -T sends a file."""
    return image, {}


def as_form(image: bytes) -> Body:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return head + image + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def as_json(shape: Callable[[str], Any]) -> Callable[[bytes], Body]:
    def make(image: bytes) -> Body:
        text = base64.b64encode(image).decode()
        return json.dumps(shape(text)).encode(), {"Content-Type": "application/json"}

    return make


def as_binary(image: bytes) -> Body:
    data = len(image).to_bytes(4, "little") + image
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


def as_pixels(image: bytes) -> Body:
    with Image.open(io.BytesIO(image)) as opened:
        pixels = np.asarray(opened).ravel().tolist()
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 1], "data": pixels}
    return json.dumps({"inputs": [tensor]}).encode(), {"Content-Type": "application/json"}


def as_message(image: bytes) -> Any:
    """A ModelInferRequest, as tritonclient fills it."""
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    return service_pb2.ModelInferRequest(inputs=[tensor], raw_input_contents=[len(image).to_bytes(4, "little") + image])


def as_contents(image: bytes) -> Any:
    """As KServe's clients fill it."""
    contents = service_pb2.InferTensorContents(bytes_contents=[image])
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="image", datatype="BYTES", shape=[1], contents=contents
    )
    return service_pb2.ModelInferRequest(inputs=[tensor])


def as_pixel_contents(image: bytes) -> Any:
    with Image.open(io.BytesIO(image)) as opened:
        contents = service_pb2.InferTensorContents(uint_contents=np.asarray(opened).ravel().tolist())
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="image", datatype="UINT8", shape=[1, SIZE, SIZE, 1], contents=contents
    )
    return service_pb2.ModelInferRequest(inputs=[tensor])


def read_classes(answer: Any) -> dict[int, float]:
    return {entry["index"]: entry["probability"] for entry in answer["predictions"][0]["classes"]}


def read_v1(answer: Any) -> dict[int, float]:
    return dict(enumerate(answer["predictions"][0]))


def read_v2(answer: Any) -> dict[int, float]:
    return dict(enumerate(answer["outputs"][0]["data"]))


def read_labels(answer: Any) -> dict[int, float]:
    return {LABELS.index(label): probability for label, probability in answer.items()}


def read_scores(answer: Any) -> dict[int, float]:
    return {LABELS.index(entry["label"]): entry["score"] for entry in answer}


def read_explained(answer: Any) -> dict[int, float]:
    return {answer["class"]["index"]: answer["class"]["probability"]}


def read_message(answer: Any) -> dict[int, float]:
    return dict(enumerate(np.frombuffer(answer.raw_output_contents[0], "<f4").tolist()))


def post(service: Service, body: Body, model: str, headers: dict[str, str]) -> tuple[int, Any]:
    """The status and the JSON that answers."""
    content, described = body
    connection = http.client.HTTPConnection("127.0.0.1", service.find_ports(model)[0], timeout=30)
    try:
        path = service.endpoint.path.format(model=model)
        connection.request(service.endpoint.method, path, content, {**headers, **described})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# What HTTP says of the same faults.
STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


def call(service: Service, request: Any, model: str, headers: dict[str, str]) -> tuple[int, Any]:
    """The message that answers; of an error its status in HTTP's terms, and its trailers."""
    request.model_name = model
    metadata = [(name.lower(), value) for name, value in headers.items()]
    with grpc.insecure_channel(f"127.0.0.1:{service.find_ports(model)[1]}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        try:
            if not service.endpoint.path.endswith("ModelStreamInfer"):
                return 200, stub.ModelInfer(request, metadata=metadata, timeout=30)
            (answer,) = stub.ModelStreamInfer(iter([request]), metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata())
            return STATUSES[error.code()], {"code": trailers["x-error-code"], "request_id": trailers["x-request-id"]}
    if not answer.error_message:
        return 200, answer.infer_response
    said = answer.infer_response.parameters
    found = {"code": said["code"].string_param, "request_id": said["request_id"].string_param}
    return said["status"].int64_param, found


class Endpoint(NamedTuple):
    path: str
    make: Callable[[bytes], Any]
    read: Callable[[Any], dict[int, float]]
    """Probabilities by class, of all classes or of some."""
    fast: bool = False
    takes_files: bool = True
    predicts: bool = True
    """Whether an image that it runs is counted as a prediction."""
    send: Callable[[Service, Any, str, dict[str, str]], tuple[int, Any]] = post
    """What `make` gives, about a model, with headers: the status, and what `read` reads, or code and request_id."""
    method: str = "POST"

    @property
    def names_model(self) -> bool:
        """Whether the request says which model it means."""
        return self.send is not post or "{model}" in self.path


V2_BYTES = as_json(lambda text: {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}]})
CALLS = "/inference.GRPCInferenceService"
ENDPOINTS = {
    "fast path": Endpoint("/predict/{model}?top_k=5", as_image, read_classes, fast=True),
    "fast path, a form": Endpoint("/predict/{model}?top_k=5", as_form, read_classes, fast=True),
    "image": Endpoint("/predict/{model}?top_k=5", as_image, read_classes),
    "form": Endpoint("/predict/{model}?top_k=5", as_form, read_classes),
    "JSON": Endpoint("/predict/{model}?top_k=5", as_json(lambda text: {"images": [text]}), read_classes),
    "v1": Endpoint("/v1/models/{model}:predict", as_json(lambda text: {"instances": [{"b64": text}]}), read_v1),
    "TorchServe": Endpoint("/predictions/{model}", as_image, read_labels),
    "TorchServe, a form": Endpoint("/predictions/{model}", as_form, read_labels),
    "TorchServe, PUT": Endpoint("/predictions/{model}", as_bytes, read_labels, method="PUT"),
    "Hugging Face": Endpoint("/hf/{model}", as_image, read_scores),
    "Hugging Face, JSON": Endpoint("/hf/{model}", as_json(lambda text: {"inputs": text}), read_scores),
    "SageMaker": Endpoint("/invocations", as_image, read_classes),
    "MLflow": Endpoint("/invocations", as_json(lambda text: {"inputs": [{"b64": text}]}), read_v1),
    "Vertex AI": Endpoint("/vertex", as_json(lambda text: {"instances": [{"b64": text}]}), read_v1),
    "v2, JSON": Endpoint("/v2/models/{model}/infer", V2_BYTES, read_v2),
    "v2, binary": Endpoint("/v2/models/{model}/infer", as_binary, read_v2),
    "v2, pixels": Endpoint("/v2/models/{model}/infer", as_pixels, read_v2, takes_files=False),
    "explain": Endpoint("/explain/{model}", as_image, read_explained, predicts=False),
    "gRPC": Endpoint(f"{CALLS}/ModelInfer", as_message, read_message, send=call),
    "gRPC, contents": Endpoint(f"{CALLS}/ModelInfer", as_contents, read_message, send=call),
    "gRPC, pixels": Endpoint(f"{CALLS}/ModelInfer", as_pixel_contents, read_message, takes_files=False, send=call),
    "gRPC, a stream": Endpoint(f"{CALLS}/ModelStreamInfer", as_message, read_message, send=call),
}


class Service:
    """A server of its own for one endpoint and one situation, and what it counts."""

    def __init__(
        self, endpoint: Endpoint, start: Callable[[str | None], tuple[int, int]], metrics: Metrics, gate: Gate
    ) -> None:
        """`start` starts a server with a default model, and gives its ports."""
        self.endpoint = endpoint
        self.metrics = metrics
        self.gate = gate
        self._start = start
        self._ports: dict[str | None, tuple[int, int]] = {}

    def find_ports(self, model: str) -> tuple[int, int]:
        """Of HTTP and of gRPC: an endpoint that can't name the model has a server for each, counted together."""
        default = None if self.endpoint.names_model else model
        if default not in self._ports:
            self._ports[default] = self._start(default)
        return self._ports[default]

    def send(self, image: bytes = GRAY, model: str = "tiny", key: dict[str, str] = KEY) -> tuple[int, Any]:
        return self.endpoint.send(self, self.endpoint.make(image), model, {"X-Request-ID": "mine", **key})

    def count(self, family: str) -> dict[tuple[str, ...], float]:
        """The counts of one family that aren't 0, once they are written: a client may be told before."""
        return {labels: sum(values) for labels, values in self.metrics.snapshot()[family].items() if any(values)}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    make_artifact(tmp_path)
    make_artifact(tmp_path, "broken")
    damage(tmp_path / "broken/1")
    with ExitStack() as stack:

        def start(endpoint: Endpoint, **options: Any) -> Service:
            gate, metrics = Gate(), Metrics()

            def start_one(default: str | None) -> tuple[int, int]:
                settings = Settings(
                    repository=tmp_path,
                    api_keys=[hash_key("cs-right")],
                    keys=KEYS,
                    access_log=True,
                    decode_threads=1,
                    grpc_port=None if endpoint.send is post else 0,
                    default_model=default,
                    predict_route="/vertex",
                    **options,
                )
                catalog = Catalog(settings, gate.load, metrics)
                ports = stack.enter_context(serve_all_in_thread(settings, catalog=catalog, fast=endpoint.fast))
                stack.callback(gate.open.set)  # before the server ends, which waits for what it accepted
                return ports

            return Service(endpoint, start_one, metrics, gate)

        yield start


@pytest.fixture(params=ENDPOINTS.values(), ids=ENDPOINTS.keys())
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    found: Endpoint = request.param
    return found


def read_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.fields for record in caplog.records if record.name == "convserve.access"]  # type: ignore[attr-defined]


def test_probabilities_counts_and_the_log_line_are_those_of_every_endpoint(
    endpoint: Endpoint, serve: Callable[..., Service], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "convserve.access")
    service = serve(endpoint)
    service.gate.open.set()
    status, answer = service.send()
    assert status == 200
    logits = -2e-3 * (150 - np.linspace(0, 255, len(LABELS))) ** 2  # what make_graph says of a gray level
    expected = np.exp(logits) / np.exp(logits).sum()
    found = endpoint.read(answer)
    assert found[LABELS.index("gray")] == max(found.values())
    for index, probability in found.items():
        assert probability == pytest.approx(expected[index], abs=1e-5)
    wait_until(lambda: bool(read_lines(caplog)))
    assert service.count("convserve_requests_total") == {("tiny", "200"): 1}
    assert service.count("convserve_rejections_total") == {}
    assert service.metrics.snapshot()["convserve_request_seconds"][("tiny", "1")][-1] > 0
    assert service.count("convserve_images_total") == ({("tiny", "1"): 1} if endpoint.predicts else {})
    (line,) = read_lines(caplog)
    assert line.pop("ms") > 0
    path = endpoint.path.format(model="tiny").partition("?")[0]
    assert line == {"method": endpoint.method, "path": path, "status": 200, "model": "tiny", "request_id": "mine"} | {
        "key": "api_keys.0"
    }


def test_a_cascade_is_the_second_models_answer_on_every_endpoint(
    endpoint: Endpoint, serve: Callable[..., Service], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_artifact(tmp_path, "sharp", graph=make_graph(sharpness=1e-2))
    caplog.set_level(logging.INFO, "convserve.access")
    service = serve(endpoint, aliases={"both": {"first": "tiny", "then": "sharp", "when": "p < 0.9"}})
    service.gate.open.set()
    found, alone, first = (service.send(gray_image(90), model) for model in ("both", "sharp", "tiny"))
    assert found[0] == 200
    assert endpoint.read(found[1]) == endpoint.read(alone[1]) != endpoint.read(first[1])
    wait_until(lambda: len(read_lines(caplog)) == 3)
    assert [line["model"] for line in read_lines(caplog)] == ["tiny", "sharp", "tiny"]
    assert service.count("convserve_requests_total") == {("tiny", "200"): 2, ("sharp", "200"): 1}
    images = {("tiny", "1"): 2, ("sharp", "1"): 2} if endpoint.predicts else {("tiny", "1"): 1, ("sharp", "1"): 1}
    assert service.count("convserve_images_total") == images
    assert service.count("convserve_cascade_images_total") == {("both", "answered"): 1}


@pytest.mark.parametrize("meant", ["tiny", "sharp"])
def test_a_client_of_a_weighted_alias_gets_its_model_on_every_endpoint(
    endpoint: Endpoint, meant: str, serve: Callable[..., Service], tmp_path: Path
) -> None:
    make_artifact(tmp_path, "sharp", graph=make_graph(sharpness=1e-2))
    weights = {"tiny": 1, "sharp": 1}
    service = serve(endpoint, aliases={"best": {"to": weights, "sticky": "X-User"}})
    service.gate.open.set()
    client = next(str(n) for n in range(99) if assign_slots(weights)[find_slot("best", str(n))] == meant)
    alone = service.send(gray_image(90), meant)
    assert alone[0] == 200
    for _ in range(5):
        found = service.send(gray_image(90), "best", {**KEY, "X-User": client})
        assert found[0] == 200
        assert endpoint.read(found[1]) == endpoint.read(alone[1])
    wait_until(lambda: service.count("convserve_requests_total") == {(meant, "200"): 6})

    def count_timed() -> dict[tuple[str, ...], float]:
        histogram = service.metrics.snapshot()["convserve_alias_request_seconds"]
        return {labels: sum(values[:-1]) for labels, values in histogram.items()}

    wait_until(lambda: count_timed() == {("best", meant): 5})  # counted a moment after the request


def test_a_fault_is_counted_for_the_model_that_a_weighted_alias_chose(
    endpoint: Endpoint, serve: Callable[..., Service]
) -> None:
    service = serve(endpoint, aliases={"best": {"tiny": 1}})
    if endpoint.takes_files:
        assert service.send(b"words", "best")[0] == 400
    service.gate.error = ValueError("no")
    service.gate.open.set()
    assert service.send(model="best")[0] == 400
    wait_until(lambda: service.count("convserve_alias_faults_total") == {("best", "tiny"): 1})
    assert service.count("convserve_alias_request_seconds") == {}


@pytest.mark.parametrize("key", [FIRST, KEY], ids=["a higher class", "another key"])
def test_one_row_goes_before_those_of_a_key_with_many_on_every_endpoint(
    endpoint: Endpoint, key: dict[str, str], serve: Callable[..., Service]
) -> None:
    service = serve(endpoint, max_batch_size=1)
    bulk = [threading.Thread(target=service.send, args=(gray_image(60), "tiny", BULK)) for _ in range(3)]
    single = threading.Thread(target=service.send, args=(GRAY, "tiny", key))
    bulk[0].start()
    assert service.gate.entered.acquire(timeout=30)
    for waiting, thread in enumerate((*bulk[1:], single)):  # the first of them is handed over, and taken back
        thread.start()
        wait_until(lambda: service.gate.batchers["tiny"].waiting_rows == waiting)  # noqa: B023
    service.gate.open.set()
    for thread in (*bulk, single):
        thread.join()
    assert service.gate.levels[:2] == [60, 150]


@pytest.mark.parametrize(
    "endpoint", [found for found in ENDPOINTS.values() if found.read is read_classes], ids=lambda found: found.path
)
def test_every_endpoint_of_our_own_form_gives_receipts(
    endpoint: Endpoint, serve: Callable[..., Service], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k" * 32)
    asking = endpoint._replace(path=f"{endpoint.path}{'&' if '?' in endpoint.path else '?'}receipt=1")
    service = serve(asking, receipt_key=tmp_path / "key")
    service.gate.open.set()
    status, answer = service.send()
    assert status == 200
    (prediction,) = answer["predictions"]
    receipt, best = Receipts(b"k" * 32).read(prediction["receipt"]), prediction["classes"][0]
    assert (receipt.model, receipt.version) == ("tiny", 1)
    assert (receipt.top, receipt.probability) == (best["index"], best["probability"])
    without_key = serve(service.endpoint)
    without_key.gate.open.set()
    assert (without_key.send()[0], without_key.send()[1]["code"]) == (422, "invalid_parameter")


def fail_rows(service: Service) -> tuple[int, Any]:
    service.gate.error = ValueError("no")
    service.gate.open.set()
    return service.send()


def fail_device(service: Service) -> tuple[int, Any]:
    service.gate.error = DeviceFailed("cuda:0 failed: the model is being loaded again")
    service.gate.open.set()
    return service.send()


def fill_queue(service: Service) -> tuple[int, Any]:
    """One request runs, one waits, and there is no third place."""
    others = [threading.Thread(target=service.send) for _ in range(2)]
    others[0].start()
    assert service.gate.entered.acquire(timeout=30)
    others[1].start()
    rows = "convserve_queue_rows"
    wait_until(lambda: service.metrics.snapshot()[rows][("tiny", "1")] == [1.0])
    found = service.send()
    service.gate.open.set()
    for other in others:
        other.join()
    return found


def exceed_rate(service: Service) -> tuple[int, Any]:
    service.gate.open.set()
    assert service.send(key=SLOW)[0] == 200
    return service.send(key=SLOW)


class Fault(NamedTuple):
    cause: Callable[[Service], tuple[int, Any]]
    status: int
    code: str
    model: str = "tiny"
    """What it is counted under."""
    of_files: bool = False
    settings: dict[str, Any] = {}  # noqa: RUF012


FAULTS = {
    "no key": Fault(lambda service: service.send(key={}), 401, "unauthorized", model=""),
    "a wrong key": Fault(lambda s: s.send(key={"Authorization": "Bearer no"}), 401, "unauthorized", model=""),
    "no such model": Fault(lambda service: service.send(model="nobody"), 404, "unknown_model", model=""),
    "a refused model": Fault(lambda service: service.send(model="broken"), 404, "model_refused", model=""),
    "a key for other models": Fault(lambda service: service.send(key=OTHER), 403, "key_not_for_model"),
    "a key above its rate": Fault(exceed_rate, 429, "rate_exceeded"),
    "not an image": Fault(lambda service: service.send(b"words"), 400, "undecodable_image", of_files=True),
    "no bytes": Fault(lambda service: service.send(b""), 400, "empty_body", of_files=True),
    "a row that can't be run": Fault(fail_rows, 400, "row_failed"),
    "a device that failed": Fault(fail_device, 503, "device_failed"),
    "a full queue": Fault(fill_queue, 429, "overloaded", settings={"max_queue_rows": 1}),
    "a deadline": Fault(lambda service: service.send(), 504, "deadline_exceeded", settings={"timeout_ms": 100}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_has_one_status_and_is_counted_once_on_every_endpoint(
    endpoint: Endpoint, fault: Fault, serve: Callable[..., Service], caplog: pytest.LogCaptureFixture
) -> None:
    if fault.of_files and not endpoint.takes_files:
        pytest.skip("pixels are no file")
    caplog.set_level(logging.INFO, "convserve.access")
    service = serve(endpoint, **fault.settings)
    status, answer = fault.cause(service)
    assert (status, answer["code"]) == (fault.status, fault.code)
    assert answer["request_id"] == "mine"
    wait_until(lambda: any(line["status"] == fault.status for line in read_lines(caplog)))
    assert service.count("convserve_rejections_total") == {(fault.model, fault.code): 1}
    assert service.count("convserve_requests_total")[fault.model, str(fault.status)] == 1
    (line,) = [line for line in read_lines(caplog) if line["status"] == fault.status]
    assert (line["model"], line["request_id"]) == (fault.model, "mine")
