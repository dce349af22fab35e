"""`tollgate replay` from the command line."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gateway.commands.replay import ReplayOptions, guard_settings, replay
from gateway.core.guard import GuardSettings
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


def test_no_figure_is_cut_however_narrow_the_page(folder: Path) -> None:
    page = Console(file=StringIO(), width=60)
    replay(ReplayOptions(folder, "vote"), {}, page)
    assert isinstance(page.file, StringIO)
    assert "\N{HORIZONTAL ELLIPSIS}" not in page.file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--route", "none"], "none is neither a file nor a route"),
        (["--route", "vote", "--pool", "x"], "no recorded answers of x"),
        (["--route", "vote", "--guard-set", "cup=1"], "the guard has no setting cup"),
        (
            ["--route", "vote", "--guard-set", "threshold=5"],
            'the guard: threshold: must be a share above 0 and at most 1, such as 0.05, not "5"',
        ),
        (["--route", "vote", "--svg", "/no/such/folder/p.svg"], "/no/such/folder/p.svg: No such"),
        (["--route", "vote", "--svg", "/dev/full"], "/dev/full: No space left on device"),
        (["--route", "vote", "--decisions", "/dev/full"], "/dev/full: No space left on device"),
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
    state = told(folder, "vote", "weak", "frail", "strong", guard=())["guard"]
    bucket = state["buckets"]["text"]
    assert not bucket["on"]
    assert bucket["lower_bound"] < bucket["rate"] < 0.75
    assert bucket["comparisons"] >= 10


OWN = GuardSettings(threshold=0.5, share=0.5)


@pytest.mark.parametrize(
    ("settings", "own", "guard"),
    [
        ([], None, GuardSettings()),
        (["threshold=0.9", "least=50"], None, GuardSettings(threshold=0.9, least=50)),
        ([], OWN, OWN),
        (["threshold=0.9"], OWN, GuardSettings(threshold=0.9, share=0.5)),
    ],
)
def test_settings_of_the_guard(
    settings: list[str], own: GuardSettings | None, guard: GuardSettings
) -> None:
    assert guard_settings(settings, own) == guard


GUARDED = """
tiers: {low: {models: [weak, frail]}, high: {models: [strong]}}
routes:
  r: {tiers: [low, high], strategy: vote, guard: {threshold: 0.3}, rules: [
    {name: red, when: {tags: {team: [red]}}, tiers: [low, high]}]}
"""


@pytest.mark.parametrize(
    ("settings", "threshold", "on"), [((), 0.3, True), (("threshold=0.75",), 0.75, False)]
)
def test_the_guard_is_the_routes_own(
    tmp_path: Path, settings: tuple[str, ...], threshold: float, on: bool
) -> None:
    """62 % of this pair's answers are right: enough for one, and not for the other."""
    folder = bad_pair(tmp_path / "bad", 400)
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    tagged = [{**each, "tags": {"team": "red"}} for each in queries[::2]] + queries[1::2]
    (folder / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in tagged))
    (tmp_path / "r.yaml").write_text(GUARDED)
    found = told(folder, str(tmp_path / "r.yaml"), guard=settings)["guard"]
    assert found["settings"]["threshold"] == threshold
    states = {name: bucket["on"] for name, bucket in found["buckets"].items()}
    assert states == {"text": on, "red: text": on}, "a rule has a guard of its own"


def test_a_guard_that_is_not_rehearsed_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GUARDED)
    found = told(bad_pair(tmp_path / "bad", 40), str(tmp_path / "r.yaml"))
    assert "guard" not in found
    assert "the route has a guard: --guard rehearses it, too" in found["notes"]


@pytest.mark.parametrize(
    ("mid", "state"),
    [
        pytest.param("1", (12, 1.0), id="a middle tier that is believed is compared"),
        pytest.param("0", (0, 1.0), id="and where only the last one is, there is nothing to see"),
    ],
)
def test_all_below_the_last_tier_is_guarded(
    tmp_path: Path, mid: str, state: tuple[int, float]
) -> None:
    ids = [f"q{number}" for number in range(12)]
    right = dict.fromkeys(ids, "1")
    answers = {
        "low": said(dict.fromkeys(ids, "0"), right),
        "mid": said(dict.fromkeys(ids, mid), right),
        "top": said(right, right),
    }
    prices = {"low": (1.0, 1.0), "mid": (2.0, 2.0), "top": (30.0, 30.0)}
    folder = write(tmp_path / "set", asked(*ids), answers, prices)
    file = tmp_path / "r.yaml"
    file.write_text("{tiers: [a, b, c], checks: [{regex: '1'}]}")
    found = told(folder, str(file), guard=("share=1", "probe=1", "cap=1", "threshold=0.5"))
    bucket = found["guard"]["buckets"]["text"]
    assert (bucket["comparisons"], bucket["rate"]) == state
    calls = {"1": 12 * 2 + 12, "0": 12 * 3}[mid]
    assert found["policy"]["calls"]["value"] == calls / 12, "the last one is not asked twice"


@pytest.mark.parametrize("setting", ["threshold=high", "least=0.5", "least", "=1"])
def test_bad_settings_of_the_guard(setting: str) -> None:
    with pytest.raises(Unusable, match="the guard"):
        guard_settings([setting])
