"""The fields of a preset's JSON file, and how one that isn't supported is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from artifact.json import read_json
from export.data.preprocessing import PRESETS
from export.errors import UsageError


class Fields:
    """`title` is the file's name with its library's, as messages give it."""

    def __init__(self, title: str, values: dict[str, Any]) -> None:
        self.title, self.values = title, values

    @classmethod
    def of_file(cls, file: Path, library: str) -> Fields:
        """Raises UsageError where there is no such file, or it holds no JSON object."""
        try:
            values = read_json(file.read_bytes())
        except OSError as error:
            raise UsageError(f"--like {library}:{file}: {error.strerror}: name the JSON file") from error
        except ValueError as error:
            raise UsageError(f"--like {library}:{file} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise UsageError(f"--like {library}:{file} must have a JSON object, but has a {type(values).__name__}")
        return cls(f"{library}:{file.name}", values)

    def refuse(self, name: str, remedy: str) -> NoReturn:
        """Raise UsageError for the field: its value, and what is supported instead."""
        value = json.dumps(self.values[name]) if name in self.values else "missing"
        raise UsageError(f"--like {self.title}: {name} is {value}, which isn't supported: {remedy}")

    def get(self, name: str, default: Any = None) -> Any:
        """A field that is null counts as one that is missing."""
        value = self.values.get(name)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name, default)
        if not isinstance(value, bool):
            self.refuse(name, "true or false")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number above 0."""
        value = self.get(name, default)
        if not _is_number(value) or not 0 < value < float("inf"):
            self.refuse(name, "a number above 0")
        return float(value)

    def numbers(self, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """One a channel: three, or one of a gray network. One number alone is meant for every channel."""
        value = self.get(name, default)
        values = [value] * 3 if _is_number(value) else value
        if not isinstance(values, list | tuple) or len(values) not in (1, 3) or not all(map(_is_number, values)):
            self.refuse(name, "three numbers, or one for gray images")
        return tuple(float(number) for number in values)

    def choice(self, name: str, choices: dict[Any, Any], default: Any = None) -> Any:
        """The value of `choices` under the field's value."""
        value = self.get(name, default)
        if isinstance(value, list | dict | bool) or value not in choices:
            self.refuse(name, f"{', '.join(json.dumps(choice) for choice in choices)} are")
        return choices[value]


def declare_arithmetic(mean: Iterable[float], std: Iterable[float]) -> dict[str, Any]:
    """(pixel / 255 - mean) / std as the preset of that name, where there is one, or as mean and std."""
    mean, std = tuple(mean), tuple(std)
    for name, (order, means, deviations) in PRESETS.items():
        levels = [255 * number for number in (*mean, *std)]
        known = [*means[: len(mean)], *deviations[: len(std)]]
        if order == "rgb" and all(abs(one - other) < 1e-3 for one, other in zip(levels, known, strict=True)):
            if len(mean) == 1 and name == "torch":
                continue
            return {"preprocessing": name}
    return {"mean": mean, "std": std}


def is_length(value: object) -> bool:
    """Whether it is a whole number of pixels."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
