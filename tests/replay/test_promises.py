"""What was promised of routing, on the recorded answers of real models."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.checks.tolerant_json import Unreadable, read_json
from tests.promises import Reached
from tests.replay.sets import FLASH, LLAMA, MINI, SMART, bad_pair, shared, told

GSM, CRUX = shared("zeroeval-gsm"), shared("zeroeval-crux")
SUBJECT = "routing"


def figure(policy: dict[str, Any], name: str) -> float:
    value: float = policy["policy"][name]["value"]
    return value


@pytest.fixture
def three(tmp_path: Path) -> str:
    file = tmp_path / "three.yaml"
    file.write_text("tiers: [cheap, mid, smart]\nstrategy: {vote: {join: true}}\n")
    return str(file)


def test_gsm8k_two_cheap_and_smart(reached: Reached) -> None:
    found = told(GSM, "vote", LLAMA, FLASH, SMART)
    gap, cost = figure(found, "vs_smart_pp"), figure(found, "cost_of_smart")
    reached(
        SUBJECT,
        "GSM8K, two cheap + smart",
        f"{gap:+.2f} pp at {cost:.3f} of its cost",
        "within 1 pp at <= 0.26",
    )
    assert gap >= -1.0
    assert cost <= 0.26


def test_gsm8k_three_tiers(three: str, reached: Reached) -> None:
    found = told(GSM, three, LLAMA, FLASH, MINI, SMART)
    gap, cost = figure(found, "vs_smart_pp"), figure(found, "cost_of_smart")
    reached(
        SUBJECT,
        "GSM8K, three tiers",
        f"{gap:+.2f} pp at {cost:.3f} of its cost",
        "within 1 pp at <= 0.12",
    )
    assert gap >= -1.0
    assert cost <= 0.12


def test_crux_two_cheap_and_smart(reached: Reached) -> None:
    lift = figure(told(CRUX, "vote", FLASH, MINI, SMART), "lift_pp")
    reached(SUBJECT, "CRUX, two cheap + smart: lift", f"{lift:+.2f} pp", ">= +2.5 pp")
    assert lift >= 2.5


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_pair_is_switched_off(tmp_path: Path, seed: int, reached: Reached) -> None:
    folder = bad_pair(tmp_path / "bad", seed=seed)
    free = figure(told(folder, "vote", "weak", "frail", "strong"), "lift_pp")
    assert free <= -5.0, "the pair is not bad enough to show anything"
    found = told(folder, "vote", "weak", "frail", "strong", guard=(), seed=seed)
    lift, audit = figure(found, "lift_pp"), found["guard"]["audit_share_of_spend"]
    reached(
        SUBJECT,
        f"a bad pair, draw {seed}: lift, audits",
        f"{lift:+.2f} pp (unguarded {free:+.2f}), {audit:.1%}",
        ">= -1 pp, <= 5 %",
    )
    assert not found["guard"]["buckets"]["text"]["on"]
    assert lift >= -1.0
    assert audit <= 0.05


@pytest.mark.parametrize("pool", [(LLAMA, FLASH, SMART), (FLASH, MINI, SMART)])
def test_a_good_pair_stays_on(pool: tuple[str, ...]) -> None:
    for folder in (GSM, CRUX):
        found = told(folder, "vote", *pool, guard=())
        assert found["guard"]["buckets"]["text"]["on"]
        assert found["guard"]["audit_share_of_spend"] <= 0.06


@pytest.mark.parametrize("laden", [False, True], ids=["as recorded", "with LaTeX"])
@pytest.mark.parametrize("folder", [GSM, CRUX], ids=["gsm", "crux"])
@pytest.mark.parametrize("cheap", [LLAMA, FLASH, MINI])
def test_a_check_of_json_pays(
    tmp_path: Path, folder: Path, cheap: str, laden: bool, reached: Reached
) -> None:
    """All these models were asked for JSON in words, and most fence it."""
    file = tmp_path / "route.yaml"
    file.write_text("tiers: [cheap, smart]\nchecks: [{json_if_asked: {always: true}}]\n")
    name = f"{folder.name[9:]}{', LaTeX' if laden else ''}, {cheap}"
    found = told(with_latex(folder, tmp_path) if laden else folder, str(file), cheap, SMART)
    lift = figure(found, "lift_pp")
    failed = found["checks"].get("json_if_asked", {"failed": 0, "of_them_right": 0})
    reached(
        SUBJECT,
        f"JSON check, {name}: lift",
        f"{lift:+.2f} pp, {failed['failed']} climb",
        "not negative",
    )
    assert lift >= -1e-9


def latex(text: str) -> str:
    """An answer as a model writes it that thinks in formulas: unescaped."""
    return text.replace('"reasoning": "', r'"reasoning": "\( \frac{1}{2} \) ')


def with_latex(folder: Path, where: Path) -> Path:
    """The same set with LaTeX in its answers."""
    laden = where / folder.name
    laden.mkdir()
    for file in folder.glob("*.json*"):
        rows = file.read_text("utf-8")
        if file.name.startswith("answers."):
            answers = [json.loads(line) for line in rows.splitlines()]
            changed = [{**each, "text": latex(each["text"])} for each in answers]
            rows = "".join(json.dumps(each) + "\n" for each in changed)
        (laden / file.name).write_text(rows, "utf-8")
    return laden


def test_no_json_that_is_valid_fails(reached: Reached) -> None:
    """Fenced or not; and the same again as it is when LaTeX is put into it unescaped."""
    valid = fenced = failed = laden = laden_failed = 0
    for folder in (GSM, CRUX):
        for file in sorted(folder.glob("answers.*.jsonl")):
            for row in map(json.loads, file.read_text("utf-8").splitlines()):
                if not row["json_valid"]:
                    continue
                valid += 1
                fenced += "```" in row["text"]
                failed += isinstance(read_json(row["text"]), Unreadable)
                changed = latex(row["text"])
                if changed != row["text"]:
                    laden += 1
                    laden_failed += isinstance(read_json(changed), Unreadable)
    told = f"{failed} of {valid:,} ({fenced:,} fenced)"
    reached(SUBJECT, "valid JSON, fenced or not: false failures", told, "0")
    reached(SUBJECT, "the same with LaTeX in it", f"{laden_failed} of {laden:,}", "0")
    assert valid > 9_000
    assert fenced > 4_000
    assert laden > 9_000
    assert (failed, laden_failed) == (0, 0)


def test_a_hundred_thousand_queries(tmp_path: Path, reached: Reached) -> None:
    """A quarter of them, in CPU time: the longest answers of the sets, as often as it takes."""
    folder, times = shared("mmlu-pro"), 7
    for file in folder.glob("*.json*"):
        rows = file.read_text("utf-8")
        if file.suffix == ".jsonl":
            parts = (rows.replace('{"id": "', f'{{"id": "{n}') for n in range(times))
            rows = "".join(parts)
        (tmp_path / file.name).write_text(rows, "utf-8")
    pool = ("gemini-1.5-flash-002", "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002")
    began = time.process_time()
    queries = told(tmp_path, "vote", *pool)["queries"]
    seconds = (time.process_time() - began) * 100_000 / queries
    reached(SUBJECT, "replay, 100,000 queries", f"{seconds:.0f} s of CPU time", "<= 60 s")
    assert queries > 25_000
    assert seconds <= 60.0
