"""From an address to its store. The packages that stores need are imported here, once one is opened."""

from __future__ import annotations

from artifact.errors import StoreError
from artifact.stores.address import WRITABLE, Address
from artifact.stores.store import Store


def open_store(address: str) -> Store:
    """The store at an address. Asks it nothing yet. Raises StoreError where its package isn't installed, and
    ValueError for an address that is none.
    """
    try:
        if Address.of(address).scheme == "hf":
            from artifact.stores.hub import Hub

            return Hub(address)
        if Address.of(address).scheme in WRITABLE:
            from artifact.stores.bucket import Bucket

            return Bucket(address)
        from artifact.stores.web import Web

        return Web(address)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the repository {address} needs the package {error.name}: install the extra cloud (pip install '.[cloud]')"
        ) from error
