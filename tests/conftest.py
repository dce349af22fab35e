"""What is printed at the end of a session: the recordings of every provider, and every figure that
was promised. Where the session is shared by several processes, each sends what it found.
"""

import os
import sys
from dataclasses import asdict
from typing import Any, Final

import pytest
from hypothesis import settings

from tests import event_loops, promises
from tests.figures import FIGURES, Figures, reasons, table

reached = promises.reached
pytest_asyncio_loop_factories = event_loops.loop_factories

# How long an example takes says how busy the machine is.
settings.register_profile("tollgate", deadline=None)
settings.load_profile("tollgate")

_SENT: Final = "figures"


_LONG: Final = (
    "tests/service",
    "tests/test_readme.py",
    "tests/replay",
    "tests/drivers",
    "tests/ops",
)
"""Where whole servers are started and waited for. Begun last, one of them would be all that is
left to do.
"""


@pytest.fixture
def who_leaves_has_not_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the machine stood still before it left: test_http_failures tells who has."""
    monkeypatch.setattr("gateway.drivers.upstream.http_failures.WORKED_S", 60.0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores, for there is always somebody who waits."""
    return (
        len(os.sched_getaffinity(0)) + 1 if sys.platform == "linux" else (os.cpu_count() or 1) + 1
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A process of the session is done."""
    found = getattr(node, "workeroutput", {}).get(_SENT)
    if found is None:
        return
    stash = node.config.stash
    mine = stash.setdefault(FIGURES, {})
    for name, each in found["recordings"].items():
        mine.setdefault(name, Figures(name)).add(Figures.made(each))
    for subject, rows in found["reached"].items():
        stash.setdefault(promises.REACHED, {}).setdefault(subject, {}).update(
            {what: tuple(row) for what, row in rows.items()}
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        stash = session.config.stash
        recordings = {
            name: {**asdict(each), "reasons": dict(each.reasons)}
            for name, each in stash.get(FIGURES, {}).items()
        }
        output[_SENT] = {"recordings": recordings, "reached": stash.get(promises.REACHED, {})}


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
