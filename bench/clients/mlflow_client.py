"""MLflow's client of scoring servers. Arguments: HTTP address, gRPC address, model, image file."""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(address: str, grpc_address: str, model: str, file: str) -> None:
    text = base64.b64encode(Path(file).read_bytes()).decode()
    at = urlsplit(address)
    client = ScoringServerClient(at.hostname, at.port)
    client.wait_server_ready(timeout=30, scoring_server_proc=None)
    client.ping()  # raises where it is not healthy
    answer = client.invoke([{"b64": text}])
    rows = {"invoke": answer.get_predictions(predictions_format="ndarray")[0].tolist()}
    print(json.dumps({"ready": [True], "rows": rows}))


main(*sys.argv[1:])
