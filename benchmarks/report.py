"""RESULTS.md: what was measured, where, and whether the goals are reached. Pure."""

from collections.abc import Mapping, Sequence

from benchmarks.goals import goal_lines, reached
from benchmarks.table import Measured, Readings, lines_of

HEAD = """# Results

Made by `{command}` on {when}; not written by hand. What the tables mean: [README.md](README.md).
"""


def report(
    tables: Mapping[str, Measured | Readings],
    failed: Mapping[str, str],
    machine: Sequence[tuple[str, str]],
    *,
    command: str,
    when: str,
    spent: str,
    picture: str | None,
) -> str:
    """Markdown. `failed` says why a table is missing, `spent` how much was measured, `picture` is
    the name of its file.
    """
    parts = [HEAD.format(command=command, when=when)]
    if picture is not None:
        parts.append(f"![CPU time of one request, each gateway]({picture})\n")
    parts += ["## Goals\n", markdown(goal_lines(reached(tables)), left=1), ""]
    parts += ["## Machine\n", markdown([["", ""], *map(list, machine)], left=2), "", spent, ""]
    parts += [
        "CPU time is the gateway's own, user and system, microseconds; `ledger` is that of the",
        "embedded ledger's server beside it. Medians of the rounds, with the least and the most;",
        "`ratio` is taken in each round to the nginx before it, or to the first row.",
        "",
    ]
    for name, table in tables.items():
        parts += [f"## {name}\n", f"{table.title}.", ""]
        parts += [f"{table.note}\n"] if table.note else []
        parts += [markdown(lines_of(table), left=1), ""]
    if failed:
        parts += ["## Not measured\n", *(f"- {name}: {why}" for name, why in failed.items()), ""]
    return "\n".join(parts)


def markdown(lines: Sequence[Sequence[str]], *, left: int) -> str:
    """A table; so many columns stand at the left, the others at the right."""
    head, *rest = lines
    rule = ["---" if at < left else "--:" for at in range(len(head))]
    return "\n".join(
        "| " + " | ".join(_cell(c) for c in line) + " |" for line in [head, rule, *rest]
    )


def _cell(text: str) -> str:
    """Those that leave something out, or add it, stay indented."""
    bare = text.lstrip(" ")
    return "&nbsp;&nbsp;" * (len(text) > len(bare)) + bare.replace("|", "\\|")
