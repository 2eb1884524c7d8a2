"""Prints what each image weighs beyond its base, layer by layer: python -m deploy.image_sizes IMAGE..."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

ENGINE = os.environ.get("DOCKER", "docker")
BASE = "python:3.11-slim-bookworm"


def main(images: Sequence[str]) -> int:
    try:
        base = _inspect(BASE)
        for name in images:
            image = _inspect(name)
            beyond = image["Size"] - base["Size"]
            print(f"{name}: {image['Size'] / 1e6:,.0f} MB, {beyond / 1e6:,.0f} MB beyond {BASE}")
            for size, command in _layers(name):
                print(f"  {size:>8}  {command}")
    except OSError as error:
        print(f"no container engine: {ENGINE}: {error.strerror} (DOCKER= names another)", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(error.stderr.strip(), file=sys.stderr)
        return 1
    return 0


def _inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_run("image", "inspect", image))[0]
    return found


def _layers(image: str) -> list[tuple[str, str]]:
    """Size and instruction of each layer that isn't empty, the last first."""
    lines = _run("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image).splitlines()
    rows = [line.split("\t", 1) for line in lines]
    return [(size, command.removeprefix("RUN /bin/sh -c ")[:80]) for size, command in rows if size != "0B"]


def _run(*words: str) -> str:
    return subprocess.run([ENGINE, *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
