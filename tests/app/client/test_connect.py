"""What is said of a service at an address that isn't one, or answers what convserve wouldn't."""

import asyncio
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler

import pytest

from app.cli.main import main
from app.client.connect import RequestFailed, connect, fetch
from tests.makers.stores import StandIn


class Other(StandIn):
    """Answers everything in one way."""

    def __init__(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self._answer = (content, headers, status)
        super().__init__()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.send(request, *self._answer)


@pytest.fixture
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    server = Other(*request.param)
    yield server
    server.close()


def ask(url: str, path: str = "/models") -> str:
    """Why it failed."""

    async def ask_once() -> None:
        async with connect(url, None, []) as service:
            await fetch(service.client, "GET", path)

    with pytest.raises(RequestFailed) as raised:
        asyncio.run(ask_once())
    return str(raised.value)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ((500, b"[1]", {}), "answered 500 without a JSON object: is it convserve?"),
        ((404, b'"absent"', {}), "answered 404 without a JSON object: is it convserve?"),
        ((200, b"[1]", {}), "answered 200 without a JSON object: is it convserve?"),
        ((502, b"<html>", {}), "answered 502 without a JSON object: is it convserve?"),
        ((200, b"no gzip", {"Content-Encoding": "gzip"}), "is it convserve?"),
        ((302, b"", {"Location": "http://other.example/"}), "answered 302 without a JSON object: is it convserve?"),
        ((404, b'{"title": "Not found"}', {}), "status 404"),
    ],
    indirect=["other"],
)
def test_an_answer_that_is_not_the_service_s_is_told(other: Other, said: str) -> None:
    assert ask(other.address).endswith(said)


def test_a_name_that_no_path_can_have_is_told() -> None:
    assert ask("http://127.0.0.1:9", "/models/a\nb").startswith(
        "http://127.0.0.1:9 can't be asked for '/models/a\\nb' ("
    )


@pytest.mark.parametrize("url", ["http://host:80a0", "http://host:99999999", "ftp://host", "host", "http://\udce9"])
def test_an_address_that_is_none_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--url", url]) == 1
    said = capsys.readouterr().err
    assert said.startswith("convserve: ")
    assert said.count("\n") == 1
