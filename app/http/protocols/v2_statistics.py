"""GET /v2/models/.../stats: Triton's statistics, from the same counters as /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path

from app.http.openapi import describe_errors
from app.http.services import ServicesDep
from app.inference.model import LoadedModel
from app.observe.metrics import Snapshot

router = APIRouter(prefix="/v2/models", tags=["v2"])

_ERRORS = describe_errors(404, 422, 503)


@router.get("/stats")
async def show_statistics(services: ServicesDep) -> dict[str, Any]:
    """Of every version that serves."""
    catalog = services.catalog
    models = [v.model for name in catalog.names() for v in catalog.versions(name) if v.model is not None]
    return _describe(models, await services.control.snapshot())


@router.get("/{model}/stats", responses=_ERRORS)
async def show_model_statistics(model: str, services: ServicesDep) -> dict[str, Any]:
    """Of the versions of one model."""
    services.catalog.resolve(model)
    models = [v.model for v in services.catalog.versions(model) if v.model is not None]
    return _describe(models, await services.control.snapshot())


@router.get("/{model}/versions/{version}/stats", responses=_ERRORS)
async def show_version_statistics(
    model: str, version: Annotated[int, Path(ge=1)], services: ServicesDep
) -> dict[str, Any]:
    """Of one version."""
    return _describe([services.catalog.resolve(model, version)], await services.control.snapshot())


def _describe(models: Sequence[LoadedModel], snapshot: Snapshot) -> dict[str, Any]:
    return {"model_stats": [_describe_one(model, snapshot) for model in models]}


def _describe_one(model: LoadedModel, snapshot: Snapshot) -> dict[str, Any]:
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
