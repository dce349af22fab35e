"""replay_score.py, given what was decided, comes to the same figures."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.sets import FLASH, LLAMA, MINI, SMART, bad_pair, shared, told

SCRIPT = shared("replay_score.py")
NUMBER = re.compile(r"[-+]?\d+\.\d+")


def scored(folder: Path, decisions: Path, pool: tuple[str, ...]) -> dict[str, list[float]]:
    """Each line of the script: its name, and its numbers as they are printed."""
    command = [sys.executable, str(SCRIPT), str(folder), "--pool", ",".join(pool)]
    command += ["--smart", pool[-1], "--decisions", str(decisions)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()[2:]
    return {line[:62].strip(): [float(n) for n in NUMBER.findall(line[62:])] for line in lines}


def shown(line: dict[str, dict[str, float]]) -> Iterator[float]:
    """The same numbers of our line, rounded as the script rounds."""
    yield round(100 * line["accuracy"]["value"], 2)
    yield round(line["usd_per_1000"]["value"], 4)
    yield round(line["cost_of_smart"]["value"], 3)
    for name in ("vs_smart_pp", "lift_pp"):
        yield from (round(line[name][each], 2) for each in ("value", "low", "high"))


@pytest.mark.parametrize(
    ("name", "route", "pool"),
    [
        ("zeroeval-gsm", "vote", (LLAMA, FLASH, SMART)),
        ("zeroeval-gsm", "vote", (LLAMA, FLASH, MINI, SMART)),
        ("zeroeval-crux", "vote", (FLASH, MINI, SMART)),
        ("zeroeval-crux", "cascade", (FLASH, SMART)),
        ("routerarena-sub10", "vote", ("claude-3-haiku-20240307", "gemini-2.0-flash-001")),
    ],
)
def test_the_same_numbers(tmp_path: Path, name: str, route: str, pool: tuple[str, ...]) -> None:
    file = tmp_path / "decisions.jsonl"
    found = told(shared(name), route, *pool, smart=pool[-1], decisions=file)
    theirs = scored(shared(name), file, pool)
    assert list(shown(found["policy"])) == pytest.approx(theirs["DECISIONS"], abs=0.011)
    assert list(shown(found["oracle"])) == pytest.approx(
        theirs["ORACLE (best answer, cheapest)"], abs=0.011
    )
    for single in found["singles"]:
        assert list(shown(single))[:4] == pytest.approx(theirs[single["name"][:62]], abs=0.011)


def test_audits_are_paid_for_in_both(tmp_path: Path) -> None:
    folder = bad_pair(tmp_path / "bad", 300)
    file, pool = tmp_path / "decisions.jsonl", ("weak", "frail", "strong")
    found = told(folder, "vote", *pool, decisions=file, guard=())
    assert found["guard"]["audit_share_of_spend"] > 0
    theirs = scored(folder, file, pool)["DECISIONS"]
    assert list(shown(found["policy"])) == pytest.approx(theirs, abs=0.011)
