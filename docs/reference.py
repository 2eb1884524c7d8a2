"""Writes docs/reference.md: every setting of the service and every metric that it shows, from the code's own tables.

python docs/reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.observe.families import FAMILIES
from app.settings import Settings

PAGE = Path(__file__).resolve().parent / "reference.md"

_HEAD = """# Every setting and every metric

<!-- made by docs/reference.py from app/settings.py and app/observe/families.py -->

How settings are given, and what the larger ones are for: [operating.md](operating.md).

## Settings

A setting `max_queue_rows` is the flag `--max-queue-rows`, the variable `CONVSERVE_MAX_QUEUE_ROWS` and a line of the
settings file.

"""
_METRICS = """
## Metrics

What `/metrics` shows, summed over all workers; a histogram as `_bucket`, `_sum` and `_count`.

"""


def render_reference() -> str:
    """The page, as it has to stand in the file."""
    settings = _write_table(("setting", "default", "meaning"), _list_settings())
    metrics = _write_table(("metric", "kind", "labels", "meaning"), _list_metrics())
    return _HEAD + settings + _METRICS + metrics


def _list_settings() -> Iterator[tuple[str, ...]]:
    for name, field in Settings.model_fields.items():
        yield f"`{name}`", _write_default(field.get_default(call_default_factory=True)), field.description or ""


def _write_default(value: Any) -> str:
    if value is None or value in ("", [], {}, ()):
        return ""
    if isinstance(value, list):
        value = ",".join(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _list_metrics() -> Iterator[tuple[str, ...]]:
    for name, family in FAMILIES.items():
        if not family.internal:
            yield f"`{name}`", family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help


def _write_table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *([escape_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_cell(text: str) -> str:
    """Text as Markdown has it in a table: neither a column of its own nor a tag of HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(render_reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
