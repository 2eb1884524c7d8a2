"""For platforms that mount one model, or one version of a model, instead of a repository: makes a repository of it in
the cache folder, by a symbolic link.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from app.aliases import read_target
from app.settings import Settings
from artifact.card import read_card
from artifact.errors import ArtifactError
from artifact.layout import CARD_FILE, VERSION_PATTERN

log = logging.getLogger(__name__)


def find_repository(settings: Settings) -> Settings:
    """The settings; if `repository` is a model or a version, with the repository that links to it. Raises ArtifactError
    if its card can't be read, or the link can't be made.
    """
    if settings.is_store:
        return settings
    folder = Path(settings.repository).absolute()
    if (folder / CARD_FILE).is_file():
        return _link(settings, folder, folder)
    if version := _find_version(folder):
        return _link(settings, folder, version)
    if settings.model_name is not None:
        log.warning("%s has a folder for each model: model_name %s is ignored", folder, settings.model_name)
    return settings


def _find_version(folder: Path) -> Path | None:
    """The newest version in the folder of a model; None where it is no model. (A repository may hold a
    model whose name is a number: there the card is one folder deeper.)
    """
    try:
        names = [name for name in os.listdir(folder) if re.fullmatch(VERSION_PATTERN, name)]
    except OSError:
        return None  # whoever looks at the repository says so
    found = [int(name) for name in names if (folder / name / CARD_FILE).is_file()]
    return folder / str(max(found)) if found else None


def _link(settings: Settings, folder: Path, version: Path) -> Settings:
    """The settings with a new repository in which `folder`, a model or the version itself, is linked under the name and
    version of the card; an alias gives it the setting model_name.
    """
    card = read_card(version)
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    links = settings.cache_dir.expanduser() / f"mounted-{mark}"
    link = links / card.name / str(card.version) if folder == version else links / card.name
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # its name says where it leads
            link.symlink_to(folder, target_is_directory=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder} is a model, and no link to it can be made in {links} ({error.strerror}): set cache_dir to a "
            "folder that can be written"
        ) from error
    aliases, name = settings.aliases, settings.model_name or card.name
    if name != card.name:
        aliases = {name: read_target(card.name), **aliases}
    return settings.model_copy(update={"repository": links, "aliases": aliases})
