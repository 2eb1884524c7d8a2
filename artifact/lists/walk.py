"""Walks through folders and follows links without looping. Both stages find images with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def walk_folders(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, from the top, links to folders followed: `folders` may be changed to leave some out. A link that
    leads back to a folder that it lies in, by whatever way, is passed over: what it shows has been there already.
    """
    above = {str(folder): frozenset([os.path.realpath(folder)])}
    for place, folders, names in os.walk(folder, followlinks=True):
        ways = above.pop(place)
        for name in list(folders):
            inner = os.path.join(place, name)
            real = os.path.realpath(inner)
            if real in ways:
                folders.remove(name)
            else:
                above[inner] = ways | {real}
        yield place, folders, names
