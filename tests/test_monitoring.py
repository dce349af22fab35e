"""The rules and dashboards that are shipped: whole, true to the code, and explained.

What Prometheus itself makes of them is in tests/ops.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.core import errors
from gateway.drivers.metrics.catalogue import METRICS, PROCESS_METRICS
from tests.dashboards.made import BOARDS, FOLDER, made

ROOT: Final = Path(__file__).parent.parent
RULES: Final[list[dict[str, Any]]] = [
    rule
    for path in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS: Final = [rule for rule in RULES if "alert" in rule]
RECORDED: Final = {rule["record"] for rule in RULES if "record" in rule}
PANELS: Final = [
    (f"{board.name}: {panel.title}", panel)
    for board in BOARDS
    for row in board.rows
    for panel in row.panels
]
ASKED: Final = [
    *((f"{title} {legend}", query) for title, panel in PANELS for query, legend in panel.queries),
    *((rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES),
]
# What Prometheus adds to the name of a histogram.
SERIES: Final = re.compile(r"(_bucket|_sum|_count)$")
NAME: Final = re.compile(r"\b(?:gateway|process)_[a-z0-9_]+|\bgateway:[a-z0-9_:]+")
LABELS: Final = re.compile(r"\{[^}]*\}|\"[^\"]*\"")


# ---- what is asked for is there


@pytest.mark.parametrize(("title", "query"), ASKED, ids=[title for title, _ in ASKED])
def test_only_metrics_that_we_have_are_asked_for(title: str, query: str) -> None:
    known = {**METRICS, **PROCESS_METRICS}
    asked = set(NAME.findall(LABELS.sub("", query)))
    assert asked or "up{" in query, f"{title} asks for nothing of ours"
    strange = {name for name in asked if not ({name, SERIES.sub("", name)} & {*known, *RECORDED})}
    assert strange == set(), title


@pytest.mark.parametrize(("title", "query"), ASKED, ids=[title for title, _ in ASKED])
def test_labels_that_are_asked_for_are_there(title: str, query: str) -> None:
    for name, labels in re.findall(r"\b((?:gateway|process)_[a-z0-9_]+)\{([^}]*)\}", query):
        metric = METRICS[name if name in METRICS else SERIES.sub("", name)]
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels))
        assert asked <= {*metric.labels, "le", "instance", "job"}, f"{title}: {name}"


def denominators(query: str) -> Iterator[tuple[str, str]]:
    """Of each division: what stands before it, and what it divides by."""
    text = " ".join(query.split())
    for found in re.finditer(r" / (?:(?:ignoring|on) \([^)]*\) group_left \(\) )?", text):
        depth, at = 0, found.end()
        for at in range(found.end(), len(text)):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            if depth == 0:
                break
        yield text[: found.start()], text[found.end() : at + 1]


@pytest.mark.parametrize(("title", "query"), ASKED, ids=[title for title, _ in ASKED])
def test_a_ratio_is_a_rate_over_a_rate(title: str, query: str) -> None:
    assert "clamp_min" not in query, "it hides errors below one request a second"
    for above, below in denominators(query):
        assert re.fullmatch(r"\(.* > 0\)", below), f"{title}: something divides by 0: {below}"
        assert ("rate(" in above) == ("rate(" in below), f"{title}: {below}"


def test_divisions_are_found() -> None:
    assert list(denominators("sum(a) / (sum(b) > 0) + c / ignoring (x) group_left () d")) == [
        ("sum(a)", "(sum(b) > 0)"),
        ("sum(a) / (sum(b) > 0) + c", "d"),
    ]


# ---- rules


def codes(status: int) -> set[str]:
    """The codes of errors of that status or above: those that a client can get, be it in the
    middle of a stream.
    """

    def below(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    return {str(kind.code) for kind in below(errors.GatewayError) if kind.status >= status}


def test_an_error_is_what_is_ours() -> None:
    asked = [found for rule in RULES for found in re.findall(r'code=~"([^"]*)"', rule["expr"])]
    assert asked
    assert {each for found in asked for each in found.split("|")} == codes(500)
    assert len(set(asked)) == 1, "one rule counts others' errors"


def test_a_failing_provider_is_one_that_loses_its_health() -> None:
    kinds = {kind.kind for kind in errors.UpstreamError.__subclasses__() if kind.dings}
    lists = [found for _, q in ASKED for found in re.findall(r'outcome=~"([^"]*)"', q)]
    assert lists
    assert {frozenset(found.split("|")) for found in lists} == {frozenset(kinds)}


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def test_every_alert_says_what_to_do() -> None:
    page = (ROOT / "docs/runbook.md").read_text()
    headings = {slug(line[3:]) for line in page.splitlines() if line.startswith("## ")}
    told = {}
    for rule in ALERTS:
        noted = rule["annotations"]
        assert set(noted) == {"summary", "description", "runbook_url", "dashboard"}, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        told[rule["alert"]] = noted["runbook_url"].removeprefix("docs/runbook.md#")
        name = noted["dashboard"].removeprefix("/d/tollgate-")
        assert name in {board.name for board in BOARDS}, f"{rule['alert']}: no dashboard {name}"
    assert {alert: slug(alert) for alert in told} == told
    assert set(told.values()) == headings, "an alert without a heading, or one without an alert"


# ---- dashboards


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_file_is_what_is_made_of_its_panels(board: Any) -> None:
    kept = (FOLDER / f"{board.name}.json").read_text("utf-8")
    assert kept == made(board), "make it again: python -m tests.dashboards.made"


def test_there_is_no_other_dashboard() -> None:
    assert {path.stem for path in FOLDER.glob("*")} == {board.name for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_dashboard_is_whole(board: Any) -> None:
    whole = json.loads(made(board))
    assert whole["uid"] == f"tollgate-{board.name}"
    assert whole["schemaVersion"] >= 39
    assert whole["editable"] is False
    assert {v["name"] for v in whole["templating"]["list"]} >= {"datasource"}
    ids = [panel["id"] for panel in whole["panels"]]
    assert len(ids) == len(set(ids))
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in whole["panels"]:
        where = panel["gridPos"]
        assert where["x"] + where["w"] <= 24
        if panel["type"] != "row":
            sources = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
            assert sources == [source] * (1 + len(panel["targets"])), panel["title"]


@pytest.mark.parametrize(("title", "panel"), PANELS, ids=[title for title, _ in PANELS])
def test_each_panel_says_what_it_shows(title: str, panel: Any) -> None:
    assert panel.description.endswith("."), title
    assert panel.unit, title
    assert panel.queries, title
    assert all(legend for _, legend in panel.queries), title


def test_grafana_keeps_them_as_they_are() -> None:
    file = ROOT / "deploy/grafana/provisioning/dashboards/tollgate.yml"
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
