"""Settings from flags, a file and the environment; every way in which they can be wrong in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.cli.usage import UsageError
from app.settings import Settings
from app.settings_sources import load_settings
from artifact.errors import near_miss

# Names in the place of what a [keys.NAME] table says; what stands above it may hold a hash.
_KEYS_FIELD = 3
_HELP = "`convserve serve --help` lists them"


def read_settings(flags: Sequence[str], file: Path | None) -> Settings:
    """Settings, with every way in which they can be wrong as one UsageError of one line."""
    try:
        return load_settings(flags, file)
    except ValidationError as error:
        raise UsageError(_explain_setting(error.errors()[0])) from error
    except SettingsError as error:
        raise UsageError(_explain_parser(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error


def _explain_setting(error: Mapping[str, Any]) -> str:
    """What is wrong with a setting, without its value where that may be a key itself: it would be in every log."""
    name, *_ = map(str, error["loc"])
    where = ".".join(str(part) for place, part in enumerate(error["loc"]) if (name, place) != ("aliases", 2))
    if name in ("api_keys", "admin_keys") or (name == "keys" and error["loc"][-1] == "hash"):
        return (
            f"the setting {where} is not the SHA-256 of a key (64 hexadecimal digits): `convserve "
            "key` makes a key for the "
            "client and its hash for this setting"
        )
    if error["type"] == "extra_forbidden":
        near = near_miss(name, Settings.model_fields) if where == name else ""
        return f"unknown setting {where}{near}: {_HELP}"
    said = error["msg"].removeprefix("Value error, ")
    if name == "keys" and len(error["loc"]) < _KEYS_FIELD:
        return f"the setting {where}: {said}"
    return f"the setting {where} is {error['input']!r}: {said}"


def _explain_parser(error: SettingsError) -> str:
    """What can't be read at all, without the values of flags that there aren't."""
    message = str(error).removeprefix("error parsing CLI: ")
    if message.startswith("error parsing value"):
        return str(error.__cause__)
    known, unknown, given = message.partition("unrecognized arguments: ")
    if not unknown:
        return message
    flags = [word.partition("=")[0] for word in given.split() if word.startswith("-")]
    if not flags:
        return f"{known}a value has no flag before it, as DIR has in --repository DIR: {_HELP}"
    there = [f"--{name.replace('_', '-')}" for name in Settings.model_fields]
    return f"{known}unknown option {', '.join(flag + near_miss(flag, there) for flag in flags)}: {_HELP}"
