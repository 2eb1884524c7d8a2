"""KServe's clients: v1 and v2 over HTTP, and gRPC. Arguments: HTTP address, gRPC address, model, image file."""

import asyncio
import base64
import json
import sys
from pathlib import Path

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(address: str, grpc_address: str, model: str, file: str) -> None:
    image = Path(file).read_bytes()
    text = base64.b64encode(image).decode()
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    ready = [await client.is_model_ready(address, model) for client in (v1, v2)]
    rows = {"v1": (await v1.infer(address, {"instances": [{"b64": text}]}, model))["predictions"][0]}
    as_json = InferInput("image", [1], "BYTES", data=[text])
    rows["v2"] = (await v2.infer(address, InferRequest(model, [as_json]), model)).outputs[0].data
    as_bytes = InferInput("image", [1], "BYTES", data=[image])
    grpc = InferenceGRPCClient(grpc_address)
    ready += [await grpc.is_server_ready(), await grpc.is_model_ready(model)]
    answer = await grpc.infer(InferRequest(model, [as_bytes]))
    rows["gRPC"] = answer.outputs[0].as_numpy().ravel().tolist()
    assert await v2.is_server_live(address)
    assert await v2.is_server_ready(address)
    await v1.close()
    await v2.close()
    await grpc.close()
    print(json.dumps({"ready": ready, "rows": rows}))


asyncio.run(main(*sys.argv[1:]))
