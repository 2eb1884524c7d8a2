"""The fields of a recipe in words, read from the dataclasses: for `train --help`, for the docs, and for --set."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from export.errors import UsageError
from export.training.recipes.recipe import SCHEMA, unknown_field

_LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "up to {}", "exclusiveMaximum": "below {}"}
_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}


@dataclass(frozen=True)
class FieldWords:
    """One row: the key as --set takes it, what it may be, its default as TOML has it, and what it means."""

    key: str
    kind: str
    default: str
    help: str


def describe_fields() -> list[FieldWords]:
    """Every field of a recipe, in the order of the dataclass, the augmentation's by their keys."""
    schema = SCHEMA.json_schema()
    return list(_describe(schema["properties"], schema["$defs"]))


def _describe(properties: dict[str, Any], parts: dict[str, Any], table: str = "") -> Iterator[FieldWords]:
    for name, field in properties.items():
        if "$ref" in field:
            part = parts[field["$ref"].rpartition("/")[2]]
            yield from _describe(part["properties"], parts, f"{name}.")
            continue
        help = " ".join(field["description"].split())
        if field["type"] == "object":
            yield FieldWords(f"{table}{name}.NAME", "any value", "", help)
        else:
            default = json.dumps(field["default"]) if "default" in field else ""
            yield FieldWords(table + name, _kind(field), default, help)


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(filter(None, field["enum"]))
    if field["type"] == "array":
        return f"list of {len(field['prefixItems'])} numbers" if "prefixItems" in field else "list of numbers"
    limits = [words.format(field[limit]) for limit, words in _LIMITS.items() if limit in field]
    return " ".join([_KINDS[field["type"]], ", ".join(limits)]).strip()


def help_text() -> str:
    """For `train --help`: a paragraph a field."""
    lines = []
    for field in describe_fields():
        default = f"; default {field.default}" if field.default else ""
        lines += [
            f"  {field.key} ({field.kind}{default})",
            *wrap(field.help, 100, initial_indent=" " * 6, subsequent_indent=" " * 6),
        ]
    return "\n".join(lines)


def markdown_table() -> str:
    """For docs/recipes.md."""
    rows = ["| field | value | default | meaning |", "|---|---|---|---|"]
    for field in describe_fields():
        default = f"`{field.default}`" if field.default else ""
        rows.append(f"| `{field.key}` | {field.kind} | {default} | {field.help} |")
    return "\n".join(rows) + "\n"


def read_setting(text: str) -> tuple[str, Any]:
    """The key and the value of KEY=VALUE, which is written as in TOML; text needs no quotes.

    Raises UsageError where there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} has no =: write KEY=VALUE, such as learning_rate=0.01")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def full_key(key: str, arguments: Collection[str] = ()) -> str:
    """The field that `key` names: its own key, or without the table before the dot, flip for augmentation.flip.

    `arguments` are those of the network's build. Raises UsageError naming the nearest.
    """
    known = [field.key for field in describe_fields()]
    for full in (key, f"augmentation.{key}"):
        if full in known or full.startswith("options."):
            return full
    if key in arguments:
        return f"options.{key}"
    raise UsageError(unknown_field(key, [name.rpartition(".")[2] for name in known[:-1]] + [*arguments]))
