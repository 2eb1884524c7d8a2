"""The deployment's files, parsed."""

from __future__ import annotations

from typing import Any

import yaml

from tests.makers.sources import ROOT


def read_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def read_manifests() -> list[tuple[str, dict[str, Any]]]:
    """Every Kubernetes object with the name of its file."""
    files = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    return [(path.name, document) for path in files for document in yaml.safe_load_all(path.read_text())]


def seconds(duration: str) -> int:
    """Compose's durations, as far as we use them: 40s, 2m."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]
