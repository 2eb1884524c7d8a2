"""Piece d: the service over HTTP by its default settings: encoded images and v2 tensors, from one connection to many,
and the busy share of the GPU beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from app.client.load.connection import Request
from app.machine import count_cores
from artifact.images.decode import decode_image
from artifact.images.frame import Pixels
from bench.gpu.busy import BusyShare
from bench.gpu.load import run_load
from bench.gpu.pictures import golden_files, golden_rows
from bench.gpu.plan import Opened, Plan, Step
from bench.gpu.server import serving
from bench.gpu.timing import median_seconds
from bench.load.process_tree import cpu_seconds

RAISED = 1024
# One goal names it; as images it would only show the decoding again.
TENSORS_ALONE = ("resnet152",)


def steps(plan: Plan) -> Iterator[Step]:
    for name in plan.served:
        yield f"{name}, ready", partial(_get_ready, plan, name)
        for form in ("image", "tensor"):
            yield f"{name}, {form}", partial(_measure, plan, name, form, plan.connections)
            if plan.beyond:
                yield (
                    f"{name}, {form}, max_queue_rows {RAISED:,}",
                    partial(_measure, plan, name, form, plan.beyond, "--max-queue-rows", str(RAISED)),
                )
    for name in TENSORS_ALONE:
        if plan.has(name) and name not in plan.served:
            yield f"{name}, tensor", partial(_measure, plan, name, "tensor", plan.connections)


def _get_ready(plan: Plan, name: str) -> dict[str, Any]:
    """Seconds from the process's start until it is ready, every bucket warm; and what one core decodes."""
    opened = plan.open(name)
    start = time.perf_counter()
    with serving(*flags_of(plan, name)):
        ready_s = time.perf_counter() - start
    image = golden_files(opened)[0]
    decode_s = median_seconds(lambda: decode_image(image, opened.card.image), plan.seconds)
    is_jpeg = image.startswith(b"\xff\xd8")
    return {"ready_s": ready_s, "jpeg": is_jpeg, "decode_s": decode_s, "cores": count_cores()}


def _measure(plan: Plan, name: str, form: str, connections: tuple[int, ...], *flags: str) -> dict[str, Any]:
    opened = plan.open(name)
    requests = image_requests(opened) if form == "image" else tensor_requests(opened)
    found: dict[str, Any] = {"flags": list(flags), "kilobytes": len(requests[0].body) / 1e3, "connections": {}}
    with serving(*flags_of(plan, name), *flags) as server:
        for count in connections:
            used = cpu_seconds(server.process.pid)
            with BusyShare(plan.device.index) as busy:
                load = run_load(server.port, requests, count, plan.load_seconds, max(1, count_cores() // 2))
            used = cpu_seconds(server.process.pid) - used
            answers = sum(load.statuses.values())
            found["connections"][str(count)] = {
                **load.__dict__,
                "gpu_busy": busy.mean(),
                "server_cpu_ms": 1e3 * used / answers if answers else None,
            }
    return found


def flags_of(plan: Plan, name: str) -> tuple[str, ...]:
    """One model of the plan on its device, and nothing else but the defaults."""
    return ("--repository", str(plan.repository), "--load", name, "--device", plan.device.name)


def image_requests(opened: Opened) -> list[Request]:
    """Each golden image as its file."""
    path = f"/predict/{opened.card.name}"
    return [Request(path, image, {"Content-Type": "application/octet-stream"}) for image in golden_files(opened)]


def tensor_requests(opened: Opened) -> list[Request]:
    """Each golden image as a v2 tensor of one row, in the binary form."""
    return [tensor_request(opened.card.name, row) for row in golden_rows(opened)]


def tensor_request(model: str, row: Pixels) -> Request:
    """One image, uint8 [height, width, channels], as a v2 tensor in the binary form."""
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "UINT8",
                    "shape": [1, *row.shape],
                    "parameters": {"binary_data_size": row.nbytes},
                }
            ],
            "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Request(f"/v2/models/{model}/infer", head + row.tobytes(), headers)
