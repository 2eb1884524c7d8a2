"""The least that an HTTP answer costs by a FastAPI route: the body read, always the same bytes sent.

uvicorn bench.load.plain_app:app
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from bench.load.constant_app import BODY

app = FastAPI()


@app.post("/predict/{model}")
async def predict(model: str, request: Request) -> Response:
    """Whatever was posted."""
    await request.body()
    return Response(BODY, media_type="application/json")
