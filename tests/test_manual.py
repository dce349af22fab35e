"""The site of the manual has every page, once, in its contents. `make docs` checks the links."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from gateway.core import changes
from gateway.drivers.ledger.homes import DataLost
from gateway.drivers.redis.wire import _FIRST_WORDS
from tests.docs_tables import ROOT

SITE: Final = ROOT / "deploy/manual/mkdocs.yml"
MADE: Final = {"overview.md"}  # of the README, by hooks.py


def pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for each in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(each)


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = list(pages(yaml.safe_load(SITE.read_text("utf-8"))["nav"]))
    there = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(set(listed) - MADE) == sorted(there)
    assert len(listed) == len(set(listed))


def test_every_page_is_in_the_list_of_pages() -> None:
    """Under the same headings as in the site, in the same order."""
    text = (ROOT / "docs/README.md").read_text("utf-8")
    nav = yaml.safe_load(SITE.read_text("utf-8"))["nav"]
    sections = {
        name: below for each in nav if isinstance(each, dict) for name, below in each.items()
    }
    expected = {
        name: [page for page in below if page not in MADE] for name, below in sections.items()
    }
    listed = {
        part.partition("\n")[0]: re.findall(r"^\| \[(.+)\]\(\1\) \|", part, re.MULTILINE)
        for part in text.split("\n## ")[1:]
    }
    assert list(listed.items()) == list(expected.items())


def test_the_runbook_names_the_ledgers_failures_as_they_are_counted() -> None:
    text = (ROOT / "docs/runbook.md").read_text("utf-8")
    told = {
        name
        for alert in ("LedgerUnavailable", "SettleFailures")
        for name in re.findall(r"`([a-z_]+)`", text.partition(f"## {alert}\n")[2].split("##")[0])
    }
    ours = {"timeout", "unreachable", "lost", "unknown", "given_up", DataLost(sent=False).kind}
    servers = {kind.lower() for kind in _FIRST_WORDS}
    assert told - ours - servers == {"allow_local"}, "a setting, and no failure"


def test_what_needs_a_restart_is_told() -> None:
    """All that a reload refuses to change, by its section."""
    text = (ROOT / "docs/reload.md").read_text("utf-8")
    told = text.partition("### What needs a restart")[2].partition("###")[0]
    missing = [each for each in changes._AT_START if f"`{each}." not in told]
    assert missing == []
