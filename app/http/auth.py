"""Who may ask for what: dependencies that check the Authorization header, before a body is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.admission.keys import is_key
from app.errors import ManagementOff, Unauthorized
from app.http.services import ServicesDep

_BEARER = HTTPBearer(auto_error=False, description="A key of api_keys, or of admin_keys for management.")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def check_predict_key(services: ServicesDep, credentials: _Credentials) -> None:
    """Raises Unauthorized where the setting api_keys names keys and the request brings none of them."""
    if hashes := services.settings.api_keys:
        _check(credentials, hashes, "api_keys")


async def check_admin_key(services: ServicesDep, credentials: _Credentials) -> None:
    """Raises ManagementOff where no admin_keys are set, Unauthorized where the request brings none of them."""
    if not (hashes := services.settings.admin_keys):
        raise ManagementOff("models are managed by holders of a key: make one with `convserve key`, set admin_keys")
    _check(credentials, hashes, "admin_keys")


def _check(credentials: HTTPAuthorizationCredentials | None, hashes: Sequence[str], setting: str) -> None:
    if credentials is None:
        raise Unauthorized(f"send one of the keys of {setting}: Authorization: Bearer KEY")
    if not is_key(credentials.credentials, hashes):
        raise Unauthorized(f"the key is none of {setting}")
