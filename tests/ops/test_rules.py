"""Prometheus' own tools on the rules: sound, and each alert fires when it should and only then."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.ops.packages import ROOT, run
from tests.ops.scene import promtool
from tests.promises import Reached

__all__ = ["promtool"]

PROMETHEUS: Final = ROOT / "deploy/prometheus"
CASES: Final = (ROOT / "tests/ops/alerts.yml", ROOT / "tests/ops/alerts_of_hours.yml")
ALERTS: Final = [
    rule["alert"]
    for group in yaml.safe_load((PROMETHEUS / "rules/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def found(path: Path) -> list[tuple[str, bool, str]]:
    """Of each case: its alert, whether it is to fire, and the case's name."""
    cases: list[dict[str, Any]] = yaml.safe_load(path.read_text())["tests"]
    return [
        (alert[1], bool(asked["exp_samples"]), case["name"])
        for case in cases
        for asked in case["promql_expr_test"]
        if (alert := re.search(r'alertname="(\w+)"', asked["expr"]))
    ]


def test_the_rules_are_sound(reached: Reached) -> None:
    rules = map(str, sorted((PROMETHEUS / "rules").glob("*.yml")))
    wrong = []
    for words in (
        ["check", "config", str(PROMETHEUS / "prometheus.yml")],
        ["check", "rules", "--lint-fatal", *rules],
    ):
        ran = run(["promtool", *words])
        if ran.returncode:
            wrong.append(ran.stdout + ran.stderr)
    reached("operations", "promtool check config, check rules: findings", str(len(wrong)), "0")
    assert wrong == []


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(cases: Path) -> None:
    ran = run(["promtool", "test", "rules", cases])
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_both_cases_and_one_of_low_traffic(reached: Reached) -> None:
    told = [case for path in CASES for case in found(path)]
    cases = Counter((alert, fires) for alert, fires, _ in told)
    both = [each for each in ALERTS if cases[each, True] and cases[each, False]]
    reached("operations", "alerts with a case that fires and one that must not",
            f"{len(both)} of {len(ALERTS)}", "all")  # fmt: skip
    assert both == ALERTS
    assert {alert for alert, _, _ in told} == set(ALERTS)
    assert {alert for alert, _, name in told if "low traffic" in name} == set(ALERTS)
