"""The servers that ours is measured against: what each is made of, how it is started, how an image is sent to it.

Each comes twice. By its plain name it runs by default settings, as the first pages of its documentation have it
(mosec's have batches and a worker a core). NAME-tuned is set up by somebody who measures: batches, a worker a core with
one thread of ONNX Runtime, and whatever else its guides recommend.

A peer's script runs in an environment of its own (bench/load/peers/environment.py) and imports nothing of convserve.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime

from app.machine import count_cores
from bench.load.shot import as_multipart
from deploy.ports import free_port

# The same runtime for everybody.
RUNTIME = f"onnxruntime=={onnxruntime.__version__}"
IMAGES = ("numpy==2.4.6", "pillow==13.0.0", RUNTIME)


# How an image travels: from its bytes and content type to a body and the body's content type.
FORMS: dict[str, Callable[[bytes, str], tuple[bytes, str]]] = {
    "raw": lambda image, content_type: (image, content_type),
    "multipart": as_multipart,
    "base64": lambda image, _: (_json({"image_data": _base64(image)}), "application/json"),
    "v2": lambda image, _: (_json(_v2_request(_base64(image))), "application/json"),
}


@dataclass(frozen=True)
class Peer:
    """`command` may name {python} and {bin} of its environment, {scripts} (this folder), {work} (its working folder)
    and {port}; `variables` of the environment {port}.
    """

    requirements: tuple[str, ...]
    command: tuple[str, ...]
    path: str
    form: str = "raw"
    """How the image travels: one of FORMS."""
    environment: str = ""
    """The name of the environment, where it is shared; empty for one of its own."""
    variables: dict[str, str] = field(default_factory=dict)
    freezes: bool = True
    """Whether it may be stopped (SIGSTOP) while others are measured; otherwise it is started anew each round."""
    prepare: Callable[[Path, int], None] | None = None
    """Writes into its working folder, given the port."""
    tuned: bool = False
    """What its script reads as TASK.tuned."""
    topk: bool = False
    """Whether it needs the graph with its best five as outputs."""


def sent_as(form: str, image: bytes, content_type: str) -> tuple[bytes, str]:
    """The body that carries an image, and the body's content type."""
    return FORMS[form](image, content_type)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _base64(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _v2_request(text: str) -> dict[str, object]:
    """A request of the Open Inference Protocol with one encoded image."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    return {"inputs": [{**tensor, "parameters": {"content_type": "base64"}}]}


def _write_mlserver_settings(work: Path, port: int) -> None:
    """A folder with one model."""
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), (port, free_port(), free_port()), strict=True))
    (work / "settings.json").write_text(json.dumps({"debug": False, "host": "127.0.0.1", **ports}), encoding="utf-8")
    model = {"name": "classifier", "implementation": "serve_mlserver.Classifier"}
    (work / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")


def _tune_mlserver(work: Path, port: int) -> None:
    """The wait for a batch is in seconds."""
    _write_mlserver_settings(work, port)
    changes: dict[str, dict[str, object]] = {
        "settings.json": {"parallel_workers": count_cores()},
        "model-settings.json": {"max_batch_size": 32, "max_batch_time": 0.005},
    }
    for name, change in changes.items():
        (work / name).write_text(
            json.dumps({**json.loads((work / name).read_text(encoding="utf-8")), **change}), encoding="utf-8"
        )


NAIVE = ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "python-multipart==0.0.34", *IMAGES)
LITSERVE = ("litserve==0.2.19", *IMAGES)
BENTOML = ("bentoml==1.4.40", *IMAGES)
RAY = ("ray[serve]==2.60.0", *IMAGES)
# Its workers can't start under later versions of uvloop.
MLSERVER = ("mlserver==1.7.1", "uvloop==0.21.0", *IMAGES)
MOSEC = ("mosec==0.9.8", "opencv-python-headless==5.0.0.93", *IMAGES)


def _naive(**changes: Any) -> Peer:
    return Peer(
        NAIVE, ("{python}", "{scripts}/serve_naive.py"), "/predict", form="multipart", environment="naive", **changes
    )


def _mosec(script: str, **changes: Any) -> Peer:
    return Peer(MOSEC, ("{python}", "{scripts}/" + script), "/inference", environment="mosec", **changes)


def _litserve(**changes: Any) -> Peer:
    command = ("{python}", "{scripts}/serve_litserve.py")
    return Peer(LITSERVE, command, "/predict", form="base64", environment="litserve", **changes)


def _bentoml(service: str, **changes: Any) -> Peer:
    command = ("{bin}/bentoml", "serve", f"serve_bentoml:{service}", "--host=127.0.0.1", "--port={port}")
    return Peer(BENTOML, command, "/predict", form="multipart", environment="bentoml", **changes)


def _mlserver(prepare: Callable[[Path, int], None], **changes: Any) -> Peer:
    command, path = ("{bin}/mlserver", "start", "{work}"), "/v2/models/classifier/infer"
    return Peer(MLSERVER, command, path, form="v2", environment="mlserver", prepare=prepare, **changes)


def _ray(variables: dict[str, str], **changes: Any) -> Peer:
    return Peer(
        RAY,
        ("{python}", "{scripts}/serve_ray.py"),
        "/predict",
        environment="ray-serve",
        variables={"RAY_USAGE_STATS_ENABLED": "0", **variables},
        # Its parts would take a frozen cluster for a lost one.
        freezes=False,
        **changes,
    )


PEERS: dict[str, Peer] = {
    "naive": _naive(),
    "naive-tuned": _naive(tuned=True),
    "mosec": _mosec("serve_mosec.py"),
    "mosec-tuned": _mosec("serve_mosec_tuned.py", tuned=True, topk=True),
    "litserve": _litserve(),
    "litserve-tuned": _litserve(tuned=True),
    "bentoml": _bentoml("Classifier"),
    "bentoml-tuned": _bentoml("TunedClassifier", tuned=True),
    "mlserver": _mlserver(_write_mlserver_settings),
    "mlserver-tuned": _mlserver(_tune_mlserver, tuned=True),
    "ray-serve": _ray({}),
    # What its documentation recommends for throughput: HAProxy in front, requests straight to the replicas.
    "ray-serve-tuned": _ray(
        {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        },
        tuned=True,
    ),
}
