import io

import pytest

from app.client.progress import Progress, format_seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show_all(progress: Progress) -> None:
    for done in range(1, 4):
        progress.show(done, failed=1)
    progress.end()


def test_a_terminal_gets_one_line_that_rewrites_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    show_all(Progress(3))
    assert terminal.getvalue().count("\n") == 1
    last = terminal.getvalue().rstrip().rpartition("\r\x1b[K")[2]
    assert last.startswith("3 of 3 images, 1 failed, ")
    assert last.endswith("/s, 0:00 left")


@pytest.mark.parametrize(("elsewhere_s", "lines"), [(None, 0), (0.0, 3)])
def test_elsewhere_there_are_whole_lines_or_none(
    monkeypatch: pytest.MonkeyPatch, elsewhere_s: float | None, lines: int
) -> None:
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    show_all(Progress(3, elsewhere_s))
    assert pipe.getvalue().count("\n") == lines
    assert "\r" not in pipe.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_seconds_are_told_as_a_clock_does(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
