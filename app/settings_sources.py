"""Where settings come from: a flag beats what SageMaker or Vertex AI demand, that beats the environment
(CONVSERVE_NAME), which beats the TOML file. Nothing else reads any of them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.platforms import read_demands
from app.settings import Settings

_PREFIX = "CONVSERVE_"
# What Kubernetes puts into every pod beside a Service named convserve or convserve-something (service links).
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")
_SERVICE_LINK_NAME = re.compile(r"_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?$")
# Of convserve-export, of tests and benchmarks on real weights, and of the build.
_OF_OTHERS = frozenset(("CONVSERVE_DATA_DIR", "CONVSERVE_WEIGHTS_DIR", "CONVSERVE_MEASURED_AS"))


class _Environment(EnvSettingsSource):
    """CONVSERVE_NAME as people write it: lists as a,b and tables as a=b,c=d, besides JSON; an empty value is none, and
    what Kubernetes puts in its place is none either.
    """

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = super()._load_env_vars()
        return {name: value for name, value in found.items() if value and not _SERVICE_LINK.match(value)}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:
        is_table = get_origin(field.annotation) is dict
        try:
            if value.lstrip()[:1] in ("[", "{"):
                return json.loads(value)
            parts = [part.strip() for part in value.split(",") if part.strip()]
            return dict(part.split("=", 1) for part in parts) if is_table else parts
        except ValueError as error:
            form = "a=b,c=d" if is_table else "a,b"
            raise ValueError(f"{_PREFIX}{field_name.upper()} is neither {form} nor JSON") from error


class _Platform(InitSettingsSource):
    """What the platform demands that runs the process: what it sets, it relies on."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        demands = read_demands(os.environ)
        super().__init__(settings_cls, {name: demand.value for name, demand in demands.items()})


def load_settings(flags: Sequence[str] = (), file: Path | None = None, *, environment: bool = True) -> Settings:
    """Settings from command line flags, the platform, the environment and a TOML file, in this order of precedence;
    without `environment` from flags and file alone.

    Raises pydantic's ValidationError, pydantic_settings' SettingsError, or OSError and ValueError for the
    file.
    """

    class Sourced(Settings, BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=_PREFIX,
            env_nested_delimiter="__",
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_exit_on_error=False,
            cli_hide_none_type=True,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            found = [init_settings]
            if environment:
                found += [_Platform(settings_cls), _Environment(settings_cls)]
            if file is not None:
                file.stat()  # a missing file would be ignored silently
                found.append(TomlConfigSettingsSource(settings_cls, file))
            return tuple(found)

    return Sourced(_cli_parse_args=list(flags), _cli_prog_name="convserve serve")


def find_sources(flags: Sequence[str] = (), file: Path | None = None) -> dict[str, str]:
    """Where `load_settings` takes each setting from: flag, the name of a platform's variable or folder, environment,
    the file's name, or default.

    For `aliases` and `model`, whose entries may come from several places, the one that goes first.
    """
    demands = read_demands(os.environ)
    by_source = [
        ("flag", load_settings(flags, environment=False).model_fields_set),
        *((demand.source, {name}) for name, demand in demands.items()),
        ("environment", load_settings().model_fields_set),
        (str(file), load_settings((), file, environment=False).model_fields_set),
    ]
    return {
        name: next((source for source, found in by_source if name in found), "default")
        for name in Settings.model_fields
    }


def explain_passed_over(environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that looks like a setting and isn't read as one. None tells a value: it may be a key."""
    for name, value in environment.items():
        if not name.startswith(_PREFIX) or name in _OF_OTHERS:
            continue
        setting = name.removeprefix(_PREFIX).lower().partition("__")[0]
        if setting in Settings.model_fields:
            if _SERVICE_LINK.match(value):
                yield (
                    f"{name} is an address that Kubernetes set, and is ignored: set enableServiceLinks: "
                    "false in the pod"
                )
        elif not _SERVICE_LINK_NAME.search(name):
            yield f"{name} is ignored: unknown setting {setting}"
