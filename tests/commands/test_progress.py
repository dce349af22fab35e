"""How far long work is: seen by who sits before it, and by nobody else."""

import io

import pytest
from rich.console import Console

from gateway.commands.progress import busy, steps


def told(terminal: bool, items: list[int]) -> tuple[list[int], str]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80)
    with busy("reading some", console):
        pass
    found = list(steps(items, "policies tried", console))
    return found, file.getvalue()


def test_on_a_terminal_it_is_told_and_gone_at_the_end() -> None:
    found, text = told(True, [1, 2, 3])
    assert found == [1, 2, 3]
    assert "reading some" in text
    assert "policies tried" in text
    assert "100%" in text
    assert text.rstrip().endswith("\x1b[2K"), "the line is not taken away"


def test_nothing_is_counted_where_there_is_one() -> None:
    found, text = told(True, [1])
    assert found == [1]
    assert "policies tried" not in text


@pytest.mark.parametrize("items", [[], [1, 2, 3]])
def test_elsewhere_nothing_is_written(items: list[int]) -> None:
    assert told(False, items) == (items, "")


def test_it_is_not_in_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Also with no console given: stderr, and that is no terminal here."""
    with busy("reading"):
        assert list(steps([1, 2], "tried")) == [1, 2]
    assert capsys.readouterr() == ("", "")
