"""The guard finds what uvicorn has moved, and lets the supported version pass."""

from importlib.metadata import version
from pathlib import Path

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.server.guard import SUPPORTED, UnsupportedServer, check_uvicorn


def test_the_installed_version_is_supported() -> None:
    check_uvicorn()
    assert version("uvicorn").startswith(f"{SUPPORTED}.")
    pyproject = Path(__file__).parents[3] / "pyproject.toml"
    assert f'"uvicorn>={SUPPORTED},' in pyproject.read_text()


class WithoutOne:
    """Lacks every method, and sets nothing."""

    def __init__(self) -> None:
        pass


class OtherArguments(HttpToolsProtocol):
    def on_body(self, body: bytes, more: bool = False) -> None:  # type: ignore[override]
        """As a later version may have it."""


def test_what_has_moved_is_named_with_the_version_that_works() -> None:
    with pytest.raises(UnsupportedServer, match=r"WithoutOne\.data_received.*install 'uvicorn>=0\.\d+,<0\.\d+'"):
        check_uvicorn({"protocol": WithoutOne})


def test_other_arguments_are_found_too() -> None:
    with pytest.raises(UnsupportedServer, match=r"moved OtherArguments\.on_body"):
        check_uvicorn({"protocol": OtherArguments})
