"""What is printed at the end of a session: the recordings of every provider, and every figure that
was promised.
"""

import pytest

from tests import promises
from tests.figures import FIGURES, reasons, table

reached = promises.reached


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stash = terminalreporter.config.stash
    figures = stash.get(FIGURES, {})
    if figures:
        ordered = [figures[name] for name in sorted(figures)]
        terminalreporter.section("recorded exchanges, as the vendors' own SDKs read them")
        for line in (*table(ordered), "", *reasons(ordered)):
            terminalreporter.write_line(line)
    for subject, rows in sorted(stash.get(promises.REACHED, {}).items()):
        terminalreporter.section(subject)
        for line in promises.lines(rows):
            terminalreporter.write_line(line)
