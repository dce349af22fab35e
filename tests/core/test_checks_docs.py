"""docs/checks.md lists every check and option, as the code has them."""

from collections.abc import Iterator
from pathlib import Path

from gateway.core.checks import ASKED, CHECKS, OPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def table() -> str:
    return "\n".join(rows())


def rows() -> Iterator[str]:
    yield "| check | passes when | options |"
    yield "|---|---|---|"
    told = {name: (check.__doc__ or "").split("\n\n")[0] for name, check in CHECKS.items()}
    for name, words in (told | dict(ASKED)).items():
        passes = " ".join(words.split())
        options = "; ".join(
            f"`{option}`{', required' if about.required else ''}: {about.meaning}"
            for option, about in OPTIONS.get(name, {}).items()
        )
        yield f"| `{name}` | {passes} | {options} |"


def test_the_page_has_the_table_of_the_code() -> None:
    assert table() in PAGE.read_text("utf-8"), f"put this into docs/checks.md:\n{table()}"


def test_each_check_says_when_it_lies() -> None:
    headings = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("### ")]
    assert headings == [f"### `{name}`" for name in (*CHECKS, *ASKED)]


def costs() -> dict[str, str]:
    """The rows of the table that says so, by the check."""
    table = PAGE.read_text("utf-8").partition("| check | what it costs |")[2].partition("\n\n")[0]
    return {line.split("`")[1]: line for line in table.splitlines() if "`" in line}


def test_each_check_says_what_it_costs_and_how_often_it_fails_what_is_right() -> None:
    """The rates that are recorded are measured by test_checks_replay.py."""
    assert list(costs()) == [*CHECKS, *ASKED]
