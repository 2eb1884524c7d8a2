"""Web: a repository behind an ordinary web server, found by its index.json. It is read only."""

from __future__ import annotations

import netrc
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path

import obstore
from obstore.store import HTTPStore

from artifact.documents import parse_document
from artifact.errors import ArtifactError, StoreError
from artifact.layout import CARD_FILE
from artifact.stores.address import Address
from artifact.stores.index import INDEX_FILE, Index
from artifact.stores.object_access import CLIENT, RETRY, ObjectAccess
from artifact.stores.store import Entry, Files, Listing

_CREDENTIALS = "the password for its server is read from ~/.netrc"


class Web:
    """A Store."""

    def __init__(self, address: str) -> None:
        self.address = address
        headers = _find_password(Address.of(address).host.partition(":")[0])
        options = {"client_options": {**CLIENT, "default_headers": headers}, "retry_config": RETRY}
        self._access = ObjectAccess(address, lambda: HTTPStore(address, **options), _CREDENTIALS)

    def list(self) -> Listing:
        try:
            index = parse_document(Index, self._access.read(INDEX_FILE), INDEX_FILE, "an index of a repository")
        except FileNotFoundError as error:
            raise StoreError(
                f"the repository {self.address} has no {INDEX_FILE}: check the address, and copy the one that "
                "convserve-export writes next to the models"
            ) from error
        except StoreError:
            raise
        except ArtifactError as error:
            raise StoreError(f"the repository {self.address} can't be read: {error.detail}") from error
        return {
            name: {int(number): {CARD_FILE: Entry(None, sha256, sha256)} for number, sha256 in versions.items()}
            for name, versions in index.models.items()
        }

    def find(self, name: str, number: int, listed: Files, paths: Iterable[str]) -> Files:
        found = {}
        for path in paths:
            try:
                with self._access.explained(path):
                    meta = obstore.head(self._access.store, f"{name}/{number}/{path}")
            except FileNotFoundError:
                continue
            found[path] = Entry(meta["size"], meta["e_tag"] or meta["last_modified"].isoformat())
        return found

    def read(self, path: str) -> bytes:
        return self._access.read(path)

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        self._access.copy(path, target, is_stopped)


def _find_password(host: str) -> dict[str, str]:
    """The header that the line for this server in ~/.netrc gives; none where there is no line."""
    try:
        found = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return {}
    except (OSError, netrc.NetrcParseError) as error:
        raise StoreError(f"~/.netrc can't be read ({error}): repair or remove it") from error
    if found is None:
        return {}
    user, _, password = found
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
