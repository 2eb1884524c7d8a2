"""Writes the table of a recipe's fields into docs/recipes.md, from the docstrings of the dataclasses.

python docs/recipes_table.py
"""

from __future__ import annotations

from pathlib import Path

from export.training.recipes.fields import markdown_table

PAGE = Path(__file__).resolve().parent / "recipes.md"
BEGIN, END = "<!-- made by docs/recipes_table.py -->\n", "<!-- end -->\n"


def main() -> None:
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(head + BEGIN + markdown_table() + END + tail, encoding="utf-8")
    print(f"wrote the table of {PAGE}")


if __name__ == "__main__":
    main()
