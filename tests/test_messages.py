"""What people read is written in words that they know: English ones, and those of tests/vocabulary.txt."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from spellchecker import SpellChecker

from tests.makers.messages import Text, docstrings, messages, read_html, read_javascript, read_python

VOCABULARY = Path(__file__).parent / "vocabulary.txt"
# What is filled in, code, tags with their styles, patterns, selectors: no sentences.
OF_MACHINES = re.compile(r"\{[^{}]*\}|`[^`]*`|<style>.*?</style>|<[^<>]*>|^[.#][\w .#\[\]{}=-]+$|\S*\\\S*", re.DOTALL)
# Neither a flag, a path, an identifier nor an acronym.
PLAIN = re.compile(r"[A-Za-z]?[a-z]+(['\u2019][a-z]+)?(-[a-z]+)*")


def words_of(text: str) -> Iterator[str]:
    for token in OF_MACHINES.sub(" ", text).split():
        word = re.sub(r"['\u2019]s$", "", token.strip(".,:;()[]\"'?!…“”"))
        if PLAIN.fullmatch(word):
            yield from word.lower().replace("\u2019", "'").split("-")


def find_strange(texts: list[Text]) -> dict[str, str]:
    """The words that neither English nor the vocabulary has, with the first place of each."""
    places = {word: text.place for text in reversed(texts) for word in words_of(text.words)}
    strange = SpellChecker().unknown(places.keys()) - read_vocabulary()
    return {word: places[word] for word in sorted(strange)}


def read_vocabulary() -> set[str]:
    return {line.strip() for line in VOCABULARY.read_text().splitlines() if line and not line.startswith("#")}


@pytest.mark.parametrize("read", [messages, docstrings])
def test_every_word_is_english_or_in_the_vocabulary(read) -> None:
    assert not find_strange(read()), "say it in a known word, or add a term of the field to tests/vocabulary.txt"


def test_misspelled_and_british_words_are_strange() -> None:
    texts = [Text("a.py:1", "the colour of {undecodabel} images is normalised, see `foo_baar` and --paht")]
    assert find_strange(texts) == {"colour": "a.py:1", "normalised": "a.py:1"}


def test_the_words_of_each_language_are_found() -> None:
    python = '"""Doc of it."""\nraise E(f"no {x:>3} here")\nparser.add("x", help="one")\nlog.info("%s")\ny = "a_b"\n'
    assert list(read_python(python)) == [(2, "no {x} here"), (4, "%s"), (3, "one")]
    assert list(read_javascript('f("id");\nf(`is not ${a} here`); // "or in here"')) == [(2, "is not {a} here")]
    assert list(read_html('<p title="of it">text</p>')) == [(1, "of it"), (1, "text")]
