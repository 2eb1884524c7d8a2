"""What the commands, the service, its page, the deployments and the benchmarks say to people, read from the sources.

`python -m tests.makers.messages` lists it, once each, with file and line. Of the strings of the sources those count
that have two words with a space between them, that are handed to an exception, a log or the terminal, or that describe
an option. Docstrings are for who reads the code, or a recipe's fields in --help, and are listed apart.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from tests.makers.sources import ROOT, tracked_files

SPEAKING = ("app", "artifact", "bench", "deploy", "export")
SILENT = {"app/grpc/protocol.py"}  # messages as protobuf writes them
TELLING = {"say", "print", "debug", "info", "warning", "error", "exception", "critical"}
DESCRIBING = {"help", "description", "title", "epilog", "summary"}
TWO_WORDS = re.compile(r"[A-Za-z]['a-z]+[,:;]? (a|['a-z]{2,})\b")


class Text(NamedTuple):
    """`place` is a path from the root with a line; what is filled in at run time stands in `words` as {expression}."""

    place: str
    words: str


@cache
def messages() -> list[Text]:
    """In the order of the files and their lines; what stands in several places is listed where it stands first."""
    first: dict[str, Text] = {}
    for name in tracked_files(SPEAKING):
        read = None if name in SILENT else READERS.get(Path(name).suffix)
        for line, words in sorted(read((ROOT / name).read_text())) if read else ():
            words = " ".join(words.split())
            first.setdefault(words, Text(f"{name}:{line}", words))
    return list(first.values())


@cache
def docstrings() -> list[Text]:
    """Those of modules, and of classes, functions and fields without a leading underscore."""
    found = []
    for name in tracked_files(SPEAKING):
        for node in ast.walk(ast.parse((ROOT / name).read_text())) if name.endswith(".py") else ():
            if not str(getattr(node, "name", "")).startswith("_"):
                found += [Text(f"{name}:{text.lineno}", inspect.cleandoc(_words(text))) for text in _docstrings(node)]
    return found


def read_python(source: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    told = {id(part) for node in nodes for part in _told(node)}
    silent = {id(part) for node in nodes for part in _parts_of_others(node)}
    for node in nodes:
        words = "" if id(node) in silent else _words(node)
        if words and (id(node) in told or TWO_WORDS.search(words)):
            yield node.lineno, words  # type: ignore[attr-defined]  # a string: it has a line


def _words(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    return "".join(map(_words, node.values)) if isinstance(node, ast.JoinedStr) else ""


def _told(node: ast.AST) -> list[ast.expr]:
    """The arguments of a call that tells somebody something."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc.args
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    described = [keyword.value for keyword in node.keywords if keyword.arg in DESCRIBING]
    return described + (node.args if name in TELLING else [])


def _parts_of_others(node: ast.AST) -> list[ast.expr]:
    """The pieces of an f-string, which is read whole, and docstrings."""
    if isinstance(node, ast.JoinedStr):
        return node.values
    if isinstance(node, ast.FormattedValue):
        return [node.format_spec] if node.format_spec else []
    return _docstrings(node)


def _docstrings(node: ast.AST) -> list[ast.expr]:
    """Of a module, a function or a class, whose fields have theirs behind them."""
    body = getattr(node, "body", None)
    texts = [entry.value for entry in body if isinstance(entry, ast.Expr)] if isinstance(body, list) else []
    return [text for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]


def read_javascript(source: str) -> Iterator[tuple[int, str]]:
    code = re.sub(r"(?m)(^|\s)//.*$", r"\1", source)
    for match in re.finditer(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`", code):
        words = "".join(part or "" for part in match.groups()).replace("${", "{")
        if TWO_WORDS.search(words):
            yield code.count("\n", 0, match.start()) + 1, words


def read_html(source: str) -> Iterator[tuple[int, str]]:
    page = _Page()
    page.feed(source)
    yield from page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append((self.getpos()[0], data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {"title", "alt", "placeholder", "aria-label"}
        self.found += [(self.getpos()[0], value) for name, value in attrs if name in told and value]


READERS = {".py": read_python, ".js": read_javascript, ".html": read_html}

if __name__ == "__main__":
    for place, words in messages():
        print(f"{place}: {words}")
