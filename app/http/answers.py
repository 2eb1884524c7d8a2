"""Example answers for /openapi.json and /docs, by address, for routes that give none themselves. They are answers of a
real service with fewer digits and list items but all keys; a test compares them with a service's.
"""

from __future__ import annotations

from typing import Any

_CLASSES = [
    {"label": "7", "index": 7, "probability": 0.9967},
    {"label": "1", "index": 1, "probability": 0.0021},
]
_PREDICTION = {
    "model": "lenet5",
    "version": 3,
    "predictions": [{"classes": _CLASSES}],
    "timing": {"decode_ms": 0.21, "queue_ms": 0.06, "infer_ms": 0.15, "batch_size": 1},
}
_VERSION = {
    "version": 3,
    "state": "loaded",
    "device": "cpu",
    "device_reason": "auto: this onnxruntime has no CUDA (the gpu extra brings one that has)",
    "network": "lenet5",
    "precision": "fp32",
    "input": {"height": 28, "width": 28, "channels": 1},
    "classes": 10,
    "max_batch_size": 32,
    "batch_size": 16,
    "ms_of_batch": {"1": 0.083, "32": 1.021},
    "golden_difference": 1.2e-07,
    "load_s": 0.078,
    "memory_bytes": 1761280,
}
_LIVE = {"images": 60, "right": 59, "calibration_error": 0.012, "sets": 0, "holding": 0, "coverage": 0.0}
_MODEL = {"name": "lenet5", "state": "loaded", "versions": [_VERSION]}
_ALIAS = {"name": "best", "to": "lenet5/3", "set_by": "request"}
_SHADOW = {
    "name": "try-4",
    "of": "lenet5/3",
    "run": "lenet5/4",
    "share": 0.2,
    "keep_images": False,
    "set_by": "request",
}
_LATENCY = {"mean_infer_ms": 0.31, "p99_infer_ms": 0.9, "mean_batch_rows": 1.4}
_ONCE = {"count": 1, "ns": 152000}
_NEVER = {"count": 0, "ns": 0}
_STATISTICS = {
    "model_stats": [
        {
            "name": "lenet5",
            "version": "3",
            "last_inference": 1795698176077,
            "inference_count": 1,
            "execution_count": 1,
            "inference_stats": {
                "success": _ONCE,
                "fail": _NEVER,
                "queue": _ONCE,
                "compute_input": _ONCE,
                "compute_infer": _ONCE,
                "compute_output": _ONCE,
                "cache_hit": _NEVER,
                "cache_miss": _NEVER,
            },
            "batch_stats": [
                {"batch_size": 1, "compute_input": _ONCE, "compute_infer": _ONCE, "compute_output": _ONCE},
            ],
            "memory_usage": [{"type": "CPU", "id": 0, "byte_size": 1761280}],
        }
    ]
}
_METADATA = {
    "name": "lenet5",
    "versions": ["3"],
    "platform": "onnxruntime_onnx",
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
}
_CONFIGURATION = {
    "name": "lenet5",
    "platform": "onnxruntime_onnx",
    "backend": "onnxruntime",
    "max_batch_size": 32,
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "format": "FORMAT_NHWC", "dims": [28, 28, 1]}],
    "output": [
        {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [10], "label_filename": "labels.txt"},
    ],
    "instance_group": [{"count": 1, "kind": "KIND_CPU"}],
    "dynamic_batching": {
        "max_queue_delay_microseconds": 0,
        "default_queue_policy": {"max_queue_size": 256, "default_timeout_microseconds": 10000000},
    },
}
_AVAILABLE = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

ANSWERS: dict[str, Any] = {
    "POST /predict/{model}": _PREDICTION,
    "POST /predict": _PREDICTION,
    "POST /embed/{model}": {"model": "resnet18", "version": 1, "embeddings": [[0.0, 1.3827, 0.4105]]},
    "POST /explain/{model}": {
        "model": "resnet18",
        "version": 1,
        "method": "class activation map",
        "class": {"label": "cat", "index": 3, "probability": 0.9127},
        "rectangle": {"left": 0.125, "top": 0.0, "right": 0.875, "bottom": 1.0},
        "map": [[0.0, 0.4713], [0.2291, 1.0]],
    },
    "POST /feedback": {"feedback": [{"model": "lenet5", "version": 3, "right": True}]},
    "GET /models": {"models": [_MODEL], "aliases": {"best": "lenet5/3"}},
    "GET /models/{model}": {
        **_MODEL,
        "versions": [{**_VERSION, "card": {"format": 3, "name": "lenet5"}, "live": _LIVE}],
    },
    "GET /models/{model}/card": {"format": 3, "name": "lenet5", "version": 3, "labels": ["0", "1"]},
    "GET /models/{model}/golden": {"files": ["00.png", "01.png"]},
    "GET /models/{model}/report": {"files": ["confusion.png", "curves.png", "metrics.json", "reliability.png"]},
    "GET /aliases": {"aliases": [_ALIAS]},
    "GET /aliases/{name}": _ALIAS,
    "PUT /aliases/{name}": {**_ALIAS, "kept": True},
    "DELETE /aliases/{name}": {"name": "best", "to": None, "kept": True},
    "PUT /shadows/{name}": {**_SHADOW, "kept": True},
    "GET /shadows": {"shadows": [_SHADOW]},
    "GET /shadows/{name}": {
        **_SHADOW,
        "compares": {"of": "lenet5/3", "run": "lenet5/4"},
        "images": 2000,
        "top1_agreement": 0.985,
        "top1_agreement_interval": [0.9787, 0.9894],
        "mean_abs_difference": 0.0031,
        "failed": 0,
        "dropped": 12,
        "latency": {"of": _LATENCY, "run": _LATENCY},
        "confusion": [],
        "disagreements": [],
    },
    "DELETE /shadows/{name}": {"name": "try-4", "run": None, "kept": True},
    "GET /health/live": {"status": "live"},
    "GET /health/ready": {"status": "ready"},
    "GET /ping": {"status": "ready"},
    "GET /v1/models/{model}": {"model_version_status": [_AVAILABLE], "name": "lenet5", "ready": True},
    "GET /v1/models/{model}/versions/{version}": {"model_version_status": [_AVAILABLE]},
    "GET /v2": {
        "name": "convserve",
        "version": "0.2.0",
        "extensions": ["binary_tensor_data", "classification", "model_configuration"],
    },
    "GET /v2/health/live": {"live": True},
    "GET /v2/health/ready": {"ready": True},
    "GET /v2/models/{model}": _METADATA,
    "GET /v2/models/{model}/versions/{version}": _METADATA,
    "GET /v2/models/{model}/ready": {"ready": True},
    "GET /v2/models/{model}/versions/{version}/ready": {"ready": True},
    "GET /v2/models/{model}/config": _CONFIGURATION,
    "GET /v2/models/{model}/versions/{version}/config": _CONFIGURATION,
    "GET /v2/models/stats": _STATISTICS,
    "GET /v2/models/{model}/stats": _STATISTICS,
    "GET /v2/models/{model}/versions/{version}/stats": _STATISTICS,
    "POST /v2/repository/index": [{"name": "lenet5", "version": "3", "state": "READY", "reason": ""}],
    "POST /v2/repository/models/{model}/load": {"name": "lenet5", "state": "READY"},
    "POST /v2/repository/models/{model}/unload": {"name": "lenet5", "state": "UNAVAILABLE"},
}
