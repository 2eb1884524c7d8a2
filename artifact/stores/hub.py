"""Hub: a repository that is a repository of the Hugging Face hub, at one revision. It is read only."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from artifact.errors import StoreError
from artifact.stores.address import Address
from artifact.stores.store import Entry, Files, Listing, group_files

_PATIENCE_S = 20


class Hub:
    """A Store. What is read and copied is of the revision that `list` saw last."""

    def __init__(self, address: str) -> None:
        self.address = address
        parts = Address.of(address)
        name, _, revision = f"{parts.host}/{parts.path}".partition("@")
        self._name, self._revision = name, revision or None
        self._seen = self._revision
        self._api = HfApi()
        disable_progress_bars()  # a log is no terminal

    def list(self) -> Listing:
        with self._explained():
            info = self._api.model_info(self._name, revision=self._revision, files_metadata=True, timeout=_PATIENCE_S)
        self._seen = info.sha
        return group_files(
            (file.rfilename, Entry(file.size, file.blob_id or "", file.lfs.sha256 if file.lfs else ""))
            for file in info.siblings or ()
        )

    def find(self, name: str, number: int, listed: Files, paths: Iterable[str]) -> Files:
        return {path: listed[path] for path in paths if path in listed}

    def read(self, path: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self._download(path, Path(folder)).read_bytes()

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        if is_stopped():
            raise InterruptedError(f"copying {path} was stopped")
        folder = target.with_name(f"{target.name}.download")
        try:
            self._download(path, folder).replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _download(self, path: str, folder: Path) -> Path:
        with self._explained(path):
            try:
                return Path(
                    self._api.hf_hub_download(
                        self._name, path, revision=self._seen, local_dir=folder, etag_timeout=_PATIENCE_S
                    )
                )
            except LocalEntryNotFoundError as error:  # the hub couldn't be asked; whether it has the file isn't known
                raise error.__cause__ or ConnectionError(str(error)) from None

    @contextmanager
    def _explained(self, path: str = "") -> Iterator[None]:
        try:
            yield
        except EntryNotFoundError as error:
            raise FileNotFoundError(2, "not in the store", f"{self.address}/{path}") from error
        except RevisionNotFoundError as error:
            raise StoreError(
                f"the repository {self.address} has no revision {self._revision!r}: name a branch, a tag or a commit "
                "after @"
            ) from error
        except RepositoryNotFoundError as error:
            raise StoreError(
                f"the repository {self.address} does not exist, or you may not read it: check the "
                "name, and log in with "
                "hf auth login or set HF_TOKEN"
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "none"
            refused = status in (401, 403)
            said = "refuses the credentials" if refused else "can't be reached"
            remedy = "log in with hf auth login or set HF_TOKEN" if refused else "the hub failed: it is tried again"
            raise StoreError(f"the repository {self.address} {said} (HTTP status {status}): {remedy}") from error
        except (OfflineModeIsEnabled, httpx2.HTTPError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # of this machine's disk
            first = str(error).strip().partition("\n")[0][:120] or type(error).__name__
            raise StoreError(
                f"the repository {self.address} can't be reached ({first}): check the network, HF_ENDPOINT and "
                "HF_HUB_OFFLINE"
            ) from error
