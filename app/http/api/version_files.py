"""Files of a loaded version that the page shows: golden images as samples, pictures and numbers of the report.

Golden images are pictures of whoever exported the model: they are shown to whom may predict, or to nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import FileResponse

from app.admission.services import Services
from app.errors import UnknownPath
from app.http.auth import check_predict_key
from app.http.openapi import describe_errors
from app.http.services import ServicesDep, exchange_of
from artifact.layout import GOLDEN_FILE, GOLDEN_FOLDER, REPORT_FOLDER

router = APIRouter(prefix="/models/{model}", tags=["models"])
golden = APIRouter(prefix="/golden", dependencies=[Depends(check_predict_key)], responses=describe_errors(401, 403))

VersionNumber = Annotated[int | None, Query(ge=1, description="Default: the newest.")]


@golden.get("", operation_id="list_golden")
async def list_golden(
    model: str, request: Request, services: ServicesDep, version: VersionNumber = None
) -> dict[str, list[str]]:
    """Names of the images that the model was replayed with."""
    return {"files": _list(_golden(request, services, model, version))}


@golden.get("/{file}", operation_id="get_golden", response_class=FileResponse)
async def send_golden(
    model: str, file: str, request: Request, services: ServicesDep, version: VersionNumber = None
) -> FileResponse:
    """One of those images, byte for byte as it was exported."""
    return _send(_golden(request, services, model, version), file)


router.include_router(golden)


@router.get("/report", operation_id="list_report")
async def list_report(model: str, services: ServicesDep, version: VersionNumber = None) -> dict[str, list[str]]:
    """Names of the report's files; none where the model came without one."""
    return {"files": _list(_folder(services, model, version) / REPORT_FOLDER)}


@router.get("/report/{file}", operation_id="get_report", response_class=FileResponse)
async def send_report(model: str, file: str, services: ServicesDep, version: VersionNumber = None) -> FileResponse:
    """curves.png, confusion.png, reliability.png, robustness.png or metrics.json, where the version has them."""
    return _send(_folder(services, model, version) / REPORT_FOLDER, file)


def _golden(request: Request, services: Services, model: str, version: int | None) -> Path:
    folder, keys = _folder(services, model, version), services.keys
    keys.check_models(keys.holders[exchange_of(request).key], model, {services.catalog.resolve(model, version).name})
    if not services.settings.show_golden:
        raise UnknownPath("the images that models were replayed with are not shown (show_golden = false)")
    return folder / GOLDEN_FOLDER


def _folder(services: Services, model: str, version: int | None) -> Path:
    return services.catalog.resolve(model, version).folder


def _send(folder: Path, file: str) -> FileResponse:
    # Only a name that the folder really lists: nothing in it can lead elsewhere.
    if file not in (names := _list(folder)):
        raise UnknownPath(f"there is no file {file[:80]!r}; there are {', '.join(names) or 'none'}")
    return FileResponse(folder / file, headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})


def _list(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry.name != GOLDEN_FILE)
