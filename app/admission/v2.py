"""What the Open Inference Protocol v2 says of a model: metadata, and configuration and statistics in Triton's terms;
and of a repository. As plain objects, for HTTP and gRPC alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version as package_version
from typing import Any

from app.catalog.catalog import Catalog
from app.errors import InvalidParameter
from app.inference.model import LoadedModel
from app.observe.metrics import Snapshot

_EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
# Triton's words for our states.
_STATES = {
    "loaded": "READY",
    "loading": "LOADING",
    "arriving": "LOADING",
    "refused": "UNAVAILABLE",
    "unloaded": "UNAVAILABLE",
}


def describe_server() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": "convserve", "version": package_version("convserve"), "extensions": _EXTENSIONS}


def describe_model(catalog: Catalog, name: str, version: int | None = None) -> dict[str, Any]:
    """The metadata of a version, or of the newest one; without `version` its list of versions is of all that serve,
    oldest first. Raises as Catalog.resolve does.
    """
    model = catalog.resolve(name, version)
    serving = [model] if version else reversed(find_models(catalog, name))
    card = model.card
    return {
        "name": model.name,
        "versions": [str(one.version) for one in serving],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, *card.image.shape]}],
        # One, as in config.pbtxt: clients of classifiers expect no second. Others are given where they are asked for.
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(card.labels)]}],
    }


def configure_model(model: LoadedModel) -> dict[str, Any]:
    """The configuration that Triton would have for it."""
    card = model.card
    group: dict[str, Any] = {"count": 1, "kind": "KIND_CPU"}
    if model.device.is_cuda:
        group = {"count": 1, "kind": "KIND_GPU", "gpus": [device.index for device in model.devices]}
    return {
        "name": model.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": model.max_batch_size,
        "input": [
            {
                "name": "image",
                "data_type": "TYPE_UINT8",
                "format": "FORMAT_NHWC",
                "dims": list(card.image.shape),
            }
        ],
        "output": [
            {
                "name": "probabilities",
                "data_type": "TYPE_FP32",
                "dims": [len(card.labels)],
                "label_filename": "labels.txt",
            }
        ],
        "instance_group": [group],
        "dynamic_batching": {
            "max_queue_delay_microseconds": round(model.batcher.max_wait_s * 1e6),
            "default_queue_policy": {
                "max_queue_size": model.batcher.max_queue_rows,
                "default_timeout_microseconds": round(model.timeout_s * 1e6),
            },
        },
    }


def find_models(catalog: Catalog, name: str = "", version: int | None = None) -> list[LoadedModel]:
    """The versions that serve: all of them, those of one model, newest first, or one version. Raises as Catalog.resolve
    does.
    """
    if not name:
        return catalog.loaded()
    model = catalog.resolve(name, version)
    return [model] if version else [v.model for v in catalog.versions(name) if v.model is not None]


def count_statistics(models: Sequence[LoadedModel], snapshot: Snapshot) -> dict[str, Any]:
    """The v2 protocol's statistics of these versions, from the counters that /metrics shows."""
    return {"model_stats": [_count_one(model, snapshot) for model in models]}


def _count_one(model: LoadedModel, snapshot: Snapshot) -> dict[str, Any]:
    labels = (model.name, str(model.version))

    def read(family: str, *more: str, width: int = 1) -> list[float]:
        return snapshot[family].get((*labels, *more), [0.0] * width)

    def sum_up(family: str, *more: str) -> dict[str, int]:
        *counts, seconds = read(family, *more, width=2)
        return _duration(sum(counts), seconds)

    batches = {int(found[2]): values for found, values in snapshot["batches"].items() if found[:2] == labels}
    failures, failed_s = read("failures", width=2)
    images = sum_up("convserve_stage_seconds", "decode")
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": int(read("last_inference_ms")[0]),
        "inference_count": int(read("convserve_images_total")[0]),
        "execution_count": int(sum(count for count, _ in batches.values())),
        "inference_stats": {
            "success": sum_up("convserve_request_seconds"),
            "fail": _duration(failures, failed_s),
            "queue": sum_up("convserve_stage_seconds", "queue"),
            "compute_input": images,
            "compute_infer": sum_up("convserve_stage_seconds", "infer"),
            "compute_output": _duration(images["count"], 0.0),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _duration(count, 0.0),
                "compute_infer": _duration(count, seconds),
                "compute_output": _duration(count, 0.0),
            }
            for rows, (count, seconds) in sorted(batches.items())
        ],
        "memory_usage": [
            {
                "type": "GPU" if model.device.is_cuda else "CPU",
                "id": model.device.index if model.device.is_cuda else 0,
                "byte_size": int(read("convserve_model_memory_bytes")[0]),
            }
        ],
    }


def _duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": int(seconds * 1e9)}


def list_repository(catalog: Catalog, only_ready: bool) -> list[dict[str, str]]:
    """Every model and version that was tried, with its state and the reason where it doesn't serve."""
    rows = [row for name in catalog.names() for row in _list_versions(catalog, name)]
    return [row for row in rows if row["state"] == "READY"] if only_ready else rows


def refuse_parameters(names: Iterable[str]) -> None:
    """Check the parameters of a load or unload: raises InvalidParameter for the first that would mean something."""
    if given := sorted(set(names) - {"unload_dependents"}):
        raise InvalidParameter(
            f"the parameter {given[0][:40]!r} is not supported: models are configured by their cards, the server by "
            "its settings"
        )


def _list_versions(catalog: Catalog, name: str) -> list[dict[str, str]]:
    versions = [
        {"name": name, "version": str(v.number), "state": _STATES[v.state], "reason": _explain_state(v.state, v.reason)}
        for v in catalog.versions(name)
    ]
    if versions:
        return versions
    return [{"name": name, "version": "", "state": "UNAVAILABLE", "reason": catalog.refusal(name)}]


def _explain_state(state: str, reason: str) -> str:
    return "unloaded" if state == "unloaded" else reason
