"""What is printed at the end of a session: the recordings of every provider, in figures."""

import pytest

from tests.figures import FIGURES, reasons, table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(FIGURES, {})
    if not figures:
        return
    ordered = [figures[name] for name in sorted(figures)]
    terminalreporter.section("recorded exchanges, as the vendors' own SDKs read them")
    for line in (*table(ordered), "", *reasons(ordered)):
        terminalreporter.write_line(line)
