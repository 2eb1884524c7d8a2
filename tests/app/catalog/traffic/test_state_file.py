"""What a restart keeps, and what is said of a file that can't be one."""

from pathlib import Path

import pytest

from app.catalog.traffic.changes import TrafficChanges
from app.catalog.traffic.state_file import read_state, write_state
from app.catalog.traffic.traffic import Traffic
from tests.makers.running_server import run_serve


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert read_state(file) == {}
    write_state(file, {"aliases": {"best": "a/1"}})
    assert read_state(file)["aliases"] == {"best": "a/1"}
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_state(file, {"aliases": {"best": "a/1"}})
    with pytest.raises(TypeError):
        write_state(file, {"aliases": object()})
    assert read_state(file)["aliases"] == {"best": "a/1"}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON: repair it, or delete it"),
        ("[" * 200_000, "is not JSON: repair it, or delete it"),
        ("[1]", "is not a state file of convserve: choose another file"),
        ('{"format": 2}', r"was written by a newer convserve \(format 2\): update"),
        ('{"format": 1, "aliases": {"best": {"a": -1}}}', "is not a state file of convserve"),
        ('{"format": 1, "aliases": [1]}', "is not a state file of convserve"),
        ('{"format": 1, "tables": {"best": 1}}', "is not a state file of convserve"),
    ],
)
def test_a_file_that_cannot_be_read_says_so_with_a_remedy(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=words) as raised:
        TrafficChanges(Traffic({}, {}), file)
    assert "\n" not in str(raised.value)


def test_a_server_does_not_start_without_what_it_should_have_kept(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    for file, words in (
        (tmp_path / "absent/state.json", "does not exist: create it"),
        (tmp_path, "can't be read: Is a dir"),
    ):
        ended = run_serve("--repository", str(tmp_path / "repository"), "--port", "0", "--state-file", str(file))
        assert ended.returncode == 2
        assert words in ended.stderr
        assert ended.stderr.count("\n") <= 2
