"""MLServer's command line. Arguments: HTTP address, gRPC address, model, image file."""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit


def main(address: str, grpc_address: str, model: str, file: str) -> None:
    text = base64.b64encode(Path(file).read_bytes()).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    command = str(Path(sys.executable).with_name("mlserver"))
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        asked.write_text(json.dumps({"inputs": [tensor]}) + "\n", encoding="utf-8")
        options = ["--model-name", model, "--input-data-path", str(asked), "--output-data-path", str(answered)]
        subprocess.run([command, "infer", "--url", urlsplit(address).netloc, *options], check=True, stdout=sys.stderr)
        answer = json.loads(answered.read_text(encoding="utf-8"))
    print(json.dumps({"ready": [], "rows": {"infer": answer["outputs"][0]["data"]}}))


main(*sys.argv[1:])
