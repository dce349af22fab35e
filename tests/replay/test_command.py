"""`tollgate replay` from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands.replay import watch_of
from gateway.core.guard import Watch
from gateway.replay.records import Unusable
from tests.replay.sets import asked, bad_pair, said, told, write

RIGHT = {"a": "1", "b": "2", "c": "3"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answers = {
        "low": said({"a": "1", "b": "2", "c": "0"}, RIGHT),
        "mid": said({"a": "1", "b": "0", "c": "0"}, RIGHT),
        "top": said(RIGHT, RIGHT),
    }
    prices = {"low": (1.0, 1.0), "mid": (2.0, 2.0), "top": (30.0, 30.0)}
    return write(tmp_path / "set", asked(*RIGHT), answers, prices)


def tollgate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_and_files(tmp_path: Path, folder: Path) -> None:
    svg, decisions = tmp_path / "p.svg", tmp_path / "d.jsonl"
    ran = tollgate(
        folder, "--route", "vote", "--pool", "low, mid,top", "--json", "--svg", svg,
        "--decisions", decisions,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["set"], found["queries"], found["smart"]) == ("set", 3, "top")
    assert found["verdicts"] == {"agreed": 2, "unjudged": 1}
    assert svg.read_text().startswith("<svg ")
    assert [json.loads(each) for each in decisions.read_text().splitlines()] == [
        {"id": "a", "served": "low", "called": ["low", "mid"]},
        {"id": "b", "served": "top", "called": ["low", "mid", "top"]},
        {"id": "c", "served": "low", "called": ["low", "mid"]},
    ]


def test_a_table_for_people(folder: Path) -> None:
    ran = tollgate(folder, "--route", "vote")
    assert ran.returncode == 0, ran.stderr
    assert "always" in ran.stdout
    assert "answers that could not be compared: 0 of 6 votes (0.0%)" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--route", "none"], "none is neither a file nor a route"),
        (["--route", "vote", "--pool", "x"], "no recorded answers of x"),
        (["--route", "vote", "--guard-set", "cup=1"], "the guard has no setting cup"),
        (["--route", "vote", "--svg", "/no/such/folder/p.svg"], "/no/such/folder/p.svg: No such"),
    ],
)
def test_what_goes_wrong_is_one_line(folder: Path, arguments: list[str], why: str) -> None:
    ran = tollgate(folder, *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert why in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_sweep(folder: Path) -> None:
    found = told(folder, "vote", sweep=True)
    assert found["tried"] == 2 * 4, "joined or not, four ways to agree"
    costs = [each["usd_per_1000"]["value"] for each in found["frontier"]]
    rights = [each["accuracy"]["value"] for each in found["frontier"]]
    assert (costs, rights) == (sorted(set(costs)), sorted(set(rights)))
    names = [each["name"] for each in found["frontier"]]
    assert all(name.startswith("vote voters=2 need=2 ") for name in names)


def test_sweep_tries_checks_on_and_off(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("{tiers: [a, b, c], checks: [{regex: '[1-9]'}]}")
    best = told(folder, str(file), sweep=True)["frontier"][-1]
    assert best["accuracy"]["value"] == 1.0
    assert best["name"].endswith("; checks regex")


def test_the_guard_is_in_the_report(tmp_path: Path) -> None:
    folder = bad_pair(tmp_path / "bad", 200)
    state = told(folder, "vote", "weak", "frail", "strong", watch=Watch())["guard"]
    bucket = state["buckets"]["text"]
    assert not bucket["on"]
    assert bucket["lower_bound"] < bucket["rate"] < 0.75
    assert bucket["comparisons"] >= 10


@pytest.mark.parametrize(
    ("settings", "watch"),
    [
        ([], Watch()),
        (["threshold=0.9", "least=50"], Watch(threshold=0.9, least=50)),
    ],
)
def test_settings_of_the_guard(settings: list[str], watch: Watch) -> None:
    assert watch_of(settings) == watch


@pytest.mark.parametrize("setting", ["threshold=high", "least=0.5", "least", "=1"])
def test_bad_settings_of_the_guard(setting: str) -> None:
    with pytest.raises(Unusable, match="the guard"):
        watch_of([setting])
