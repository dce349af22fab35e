"""Learning where to begin: lessons, the file, its figures, and the command around them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.commands.learn import LearnOptions, run
from gateway.core.chat import Usage
from gateway.core.learned import read_weights
from gateway.core.learned.signals import NAMES, kept, read_signals
from gateway.replay.learn import apgr, auc, calibration
from gateway.replay.lessons import Call, of_usage
from gateway.replay.records import Unusable
from tests.core.asked import request, user
from tests.replay.sets import Row, told, write

SHORT, LONG = "What is this?", "Explain this at length, " + "and then this too, " * 30


def recorded(folder: Path, queries: int = 300) -> Path:
    """The cheap one is right of short questions, mostly; the smart one of nine in ten."""
    rng = Random(7)  # noqa: S311 - a set, not a secret
    asked: list[Row] = []
    cheap: list[Row] = []
    smart: list[Row] = []
    for number in range(queries):
        long = number % 2 == 1
        asked.append({"id": f"q{number}", "prompt": LONG if long else SHORT})
        for rows, right in ((cheap, rng.random() < (0.2 if long else 0.9)), (smart, number % 10)):
            row = {"text": "x", "correct": bool(right), "tokens_in": 50, "tokens_out": 40}
            rows.append({"id": f"q{number}", **row})
    prices = {"small": (1.0, 1.0), "large": (10.0, 10.0)}
    return write(folder, asked, {"small": cheap, "large": smart}, prices)


def learn(source: Path, out: Path, **more: Any) -> list[str]:
    return list(run(LearnOptions(str(source), out, **more), {}))


def test_what_is_learned_of_a_set(tmp_path: Path) -> None:
    lines = learn(recorded(tmp_path / "set"), tmp_path / "routes" / "learned.json")
    assert lines[0] == "set: 300 requests; tiers: cheap, smart"
    assert lines[-1] == f"written: {tmp_path}/routes/learned.json"
    weights = read_weights((tmp_path / "routes/learned.json").read_bytes())
    short, long = (weights.chances(read_signals(request(user(text)))) for text in (SHORT, LONG))
    assert short["cheap"] == pytest.approx(0.9, abs=0.07)
    assert long["cheap"] == pytest.approx(0.2, abs=0.09)
    assert short["smart"] == pytest.approx(0.8, abs=0.03)
    assert weights.rungs["cheap"].answer_tokens == 40
    training = json.loads((tmp_path / "routes/learned.json").read_bytes())["training"]
    assert training["held_out"]["apgr"] > 0.7
    assert (training["requests"], training["seed"], training["from"]) == (300, 1, "set")


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "set")
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        learn(folder, tmp_path / name, seed=seed)
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1] != texts[2]


def test_a_route_that_learned_is_replayed(tmp_path: Path) -> None:
    """The same code as in the gateway: short questions to the cheap one, long ones to the smart."""
    folder = recorded(tmp_path / "set")
    learn(folder, tmp_path / "learned.json")
    route = tmp_path / "route.yaml"
    route.write_text("{tiers: [cheap, smart], learned: {file: learned.json, floor: 0.7}}")
    decisions = tmp_path / "d.jsonl"
    found = told(folder, str(route), decisions=decisions)
    served = [json.loads(each)["served"] for each in decisions.read_text().splitlines()]
    assert served == ["small", "large"] * 150
    assert found["began"] == {"cheap": 150, "smart": 150}
    plain = told(folder, "cascade")
    assert "began" not in plain
    assert found["policy"]["accuracy"]["value"] > plain["policy"]["accuracy"]["value"] + 0.3


# ---- usage records


def call(tier: str, purpose: str = "answer", outcome: str = "ok", tokens: int = 50) -> Call:
    return Call("a", "r", "auto", tier, purpose, outcome, Usage(10, tokens))


SIGNALS = kept(read_signals(request(user(SHORT))))


@pytest.mark.parametrize(
    ("calls", "passed"),
    [
        ([call("cheap")], {"cheap": True}),
        ([call("cheap"), call("smart", "escalation")], {"cheap": False, "smart": True}),
        ([call("cheap", outcome="cut"), call("smart", "escalation")],
         {"cheap": False, "smart": True}),
        ([call("cheap", outcome="timeout"), call("cheap", "fallback")], {"cheap": True}),
        ([call("cheap", outcome="server_error"), call("smart", "fallback")], {"smart": True}),
        ([call("cheap", "vote"), call("cheap", "vote")], {"cheap": True}),
        ([call("cheap", "vote"), call("cheap", "vote"), call("smart", "arbitration")],
         {"cheap": False, "smart": True}),
        ([call("cheap"), call("smart", "audit")], {"cheap": True}),
        ([call("cheap"), call("smart", "compared", "differed")], {"cheap": True}),
        ([call("cheap"), call("smart", "escalation", "timeout")], {"cheap": False}),
        ([call("cheap"), call("smart", "escalation"), call("top", "escalation")],
         {"cheap": False, "smart": False, "top": True}),
        ([call("cheap", "abandoned", "dropped")], None),
        ([call("cheap"), call("cheap", "retry", "shutting_down")], None),
        ([call("cheap"), call("smart", "audit", "shutting_down")], None),
        ([call("cheap", outcome="server_error")], None),
    ],
)  # fmt: skip
def test_what_a_request_says_of_each_rung(
    calls: Sequence[Call], passed: dict[str, bool] | None
) -> None:
    numbered = [
        msgspec.structs.replace(each, attempt=str(at), signals=SIGNALS if at == 0 else ())
        for at, each in enumerate(calls)
    ]
    found = of_usage(numbered, None, "records")
    assert [each.passed for each in found.lessons] == ([] if passed is None else [passed])
    assert found.skipped == ({"without an answer": 1} if passed is None else {})


def records(requests: int) -> list[dict[str, Any]]:
    """Lines of usage of a route: long questions climb."""
    lines = []
    for number in range(requests):
        long = number % 2 == 1
        signals = list(kept(read_signals(request(user(LONG if long else SHORT)))))
        line = {
            "attempt": f"a{number}", "request": f"r{number}", "tenant": "t", "route": "auto",
            "model": "m", "provider": "p", "tier": "cheap", "purpose": "answer", "outcome": "ok",
            "held": 9, "cost": 5, "usage": {"prompt": 10, "completion": 30},
        }  # fmt: skip
        lines.append({**line, "signals": signals})
        if long or number % 10 == 0:
            more = {"tier": "smart", "purpose": "escalation", "attempt": f"b{number}"}
            lines.append(line | more)
    return lines


def lined(folder: Path, *texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "2026-11-22.w0.jsonl").write_text("".join(f"{text}\n" for text in texts))
    return folder


def test_what_is_learned_of_usage_records(tmp_path: Path) -> None:
    lines = records(400)
    texts = [json.dumps(each) for each in lines]
    other = json.dumps(lines[0] | {"request": "o", "route": "other", "signals": []})
    silent = json.dumps(lines[0] | {"request": "s", "signals": []})
    older = json.dumps(lines[0] | {"request": "v", "signals": [0, 15, 25]})
    nobody = json.dumps({k: v for k, v in lines[0].items() if k != "tier"})
    folder = lined(tmp_path / "usage", *texts, *texts[:5], other, silent, older, nobody, '{"att')
    told = learn(folder, tmp_path / "w.json")
    assert told[:6] == [
        f"{folder}: 400 requests; tiers: cheap, smart",
        "skipped: 2 lines that are no records, or lack a field",
        "skipped: 1 of another route",
        "skipped: 1 of other signals",
        "skipped: 1 without signals",
        "on requests that were held out, a fifth at a time:",
    ]
    assert told[6] == "  APGR: not known, for who passed below was not asked above"
    weights = read_weights((tmp_path / "w.json").read_bytes())
    short, long = (weights.chances(read_signals(request(user(text)))) for text in (SHORT, LONG))
    assert short["cheap"] > 0.7
    assert long["cheap"] < 0.1
    assert weights.rungs["smart"].answer_tokens == 30


def test_records_of_several_routes(tmp_path: Path) -> None:
    lines = records(300)
    other = [each | {"route": "two", "request": f"{each['request']}x"} for each in lines]
    folder = lined(tmp_path / "usage", *map(json.dumps, lines + other))
    with pytest.raises(Unusable, match="records of several routes: choose one of auto, two"):
        learn(folder, tmp_path / "w.json")
    assert learn(folder, tmp_path / "w.json", route="two")[0].endswith("300 requests; tiers: "
                                                                       "cheap, smart")  # fmt: skip


def test_too_little_to_learn_from(tmp_path: Path) -> None:
    folder = lined(tmp_path / "usage", *map(json.dumps, records(60)))
    with pytest.raises(Unusable, match="too little to learn from: 60 requests whose answer of che"):
        learn(folder, tmp_path / "w.json")
    assert not (tmp_path / "w.json").exists()


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        learn(recorded(tmp_path / "set"), Path("/dev/full"))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nowhere", "nowhere: neither recorded answers (meta.json) nor usage records (*.jsonl)"),
        ("postgresql://u:secret@h/d", "postgresql is not read for signals: usage.sink must be"),
        ("parquet:usage", "parquet is not read for signals: usage.sink must be"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, source: str, why: str) -> None:
    command = [sys.executable, "-m", "gateway", "learn", "--from", source, "--out", "w.json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1)
    assert ran.stderr.startswith(why)
    assert "secret" not in ran.stderr


# ---- figures


@pytest.mark.parametrize(
    ("needs", "area"),
    [
        ([4.0, 3.0, 2.0, 1.0], (0.5 + 1.5 + 1.5 + 1.0) / 4),
        ([1.0, 2.0, 3.0, 4.0], (0.0 - 0.5 - 0.5 + 0.5) / 4),
        ([0.0, 0.0, 0.0, 0.0], 0.5),
        ([1.0, 1.0, 0.0, 0.0], (0.5 + 1.5 + 1.75 + 1.25) / 4),
    ],
)
def test_apgr(needs: list[float], area: float) -> None:
    """The area under what is gained, of gains of 1, 1, -1 and 0; equals share theirs."""
    assert apgr(needs, [1.0, 1.0, -1.0, 0.0]) == pytest.approx(area)


def test_nothing_to_gain_has_no_area() -> None:
    assert apgr([1.0, 2.0], [0.0, 0.0]) is None


def test_auc() -> None:
    assert auc([(0.1, False), (0.4, True), (0.35, False), (0.8, True)]) == 1.0
    assert auc([(0.5, True), (0.5, False)]) == 0.5
    assert auc([(0.9, False), (0.1, True)]) == 0.0
    assert auc([(0.9, True)]) is None


def test_calibration() -> None:
    bins = calibration([(at / 100, at >= 50) for at in range(100)])
    assert [each.requests for each in bins] == [20] * 5
    assert [each.passed for each in bins] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert bins[0].predicted == pytest.approx(0.095)


def test_the_names_are_those_of_the_numbers() -> None:
    assert len(SIGNALS) == len(NAMES) + 1
