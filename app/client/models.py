"""The command `convserve models`: lists the models of a service, or of a repository loaded in this process."""

from __future__ import annotations

import json
from pathlib import Path

from app.client.connect import connect, fetch
from app.client.terminal import print_table


async def show_models(*, url: str | None, repository: Path | str | None, as_json: bool) -> int:
    """List the models with their state. Raises RequestFailed where there are none, with the reason."""
    async with connect(url, repository, []) as service:
        answer = await fetch(service.client, "GET", "/models")
        if not answer["models"] and not as_json:
            await fetch(service.client, "GET", "/health/ready")
    if as_json:
        print(json.dumps(answer, indent=2))
        return 0
    rows = [("MODEL", "VERSION", "STATE", "DEVICE", "INPUT", "CLASSES", "")]
    for model in answer["models"]:
        for version in model["versions"] or [{"version": "-", **model}]:
            size = version.get("input")
            shape = f"{size['width']}x{size['height']}x{size['channels']}" if size else ""
            rows.append(
                (
                    model["name"],
                    str(version["version"]),
                    version["state"],
                    version.get("device", ""),
                    shape,
                    str(version.get("classes", "")),
                    version.get("reason", ""),
                )
            )
    print_table(rows)
    return 0
