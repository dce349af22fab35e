"""Grafana's dashboards, made from the panels in this folder.

    python -m tests.dashboards.made

writes deploy/grafana/dashboards/*.json. A panel is one line of meaning and thirty of JSON; so the
lines are kept, and the JSON is made.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.dashboards.ledger import LEDGER
from tests.dashboards.overview import OVERVIEW
from tests.dashboards.panels import Board, Panel, Row
from tests.dashboards.routing import ROUTING
from tests.dashboards.tenants import TENANTS
from tests.dashboards.upstreams import UPSTREAMS

BOARDS: Final = (OVERVIEW, TENANTS, ROUTING, UPSTREAMS, LEDGER)
FOLDER: Final = Path(__file__).parents[2] / "deploy/grafana/dashboards"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDE: Final = 24
_HIGH: Final = 8
_CIRCUIT: Final = [
    {"type": "value", "options": {"0": {"text": "closed", "color": "green"}}},
    {"type": "value", "options": {"1": {"text": "half open", "color": "yellow"}}},
    {"type": "value", "options": {"2": {"text": "open", "color": "red"}}},
]


def made(board: Board) -> str:
    """The file of a dashboard."""
    return json.dumps(_board(board), indent=1, ensure_ascii=False) + "\n"


def _board(board: Board) -> dict[str, Any]:
    return {
        "uid": f"tollgate-{board.name}",
        "title": f"Tollgate: {board.title}",
        "description": board.description,
        "tags": ["tollgate"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "Tollgate", "tags": ["tollgate"], "asDropdown": False}
        ],
        "templating": {"list": list(_variables(board))},
        "panels": list(_panels(board.rows)),
    }


def _variables(board: Board) -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
    }
    if any("$tenant" in query for row in board.rows for p in row.panels for query, _ in p.queries):
        asks = "label_values(gateway_requests_total, tenant)"
        yield {
            "name": "tenant",
            "label": "Tenant",
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": asks, "refId": "tenants"},
            "definition": asks,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
            "hide": 0,
            "regex": "",
        }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Each row's panels side by side, as many as fit, below its title."""
    number, y = 0, 0
    for row in rows:
        number += 1
        where = {"h": 1, "w": _WIDE, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False,
               "gridPos": where, "panels": []}  # fmt: skip
        y, x = y + 1, 0
        for panel in row.panels:
            number += 1
            if x + panel.width > _WIDE:
                x, y = 0, y + _HIGH
            yield _panel(panel, number, {"h": _HIGH, "w": panel.width, "x": x, "y": y})
            x += panel.width
        y += _HIGH


def _panel(panel: Panel, number: int, where: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    options: dict[str, Any] = {}
    if panel.kind == "timeseries":
        custom: dict[str, Any] = {"drawStyle": "line", "lineWidth": 1, "showPoints": "never"}
        custom |= {"fillOpacity": 25, "stacking": {"mode": "normal"}} if panel.stacked else {}
        defaults |= {"custom": custom} if panel.below_0 else {"min": 0, "custom": custom}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"}
    else:
        defaults["mappings"] = _CIRCUIT
        options = {"showValue": "never", "mergeValues": True}
    targets = [
        {"refId": chr(65 + at), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for at, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def main() -> None:
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(made(board), "utf-8")


if __name__ == "__main__":
    main()
