"""The checks on recorded answers of real models, right and wrong ones."""

import json
from collections.abc import Iterator
from functools import cache
from operator import itemgetter
from typing import Any

import pytest

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, ChoiceDelta, Delta
from gateway.core.checks.early_checks import EARLY_CHECKS, EarlyChecks
from gateway.core.checks.finding import Finding
from gateway.core.checks.refusal import begins_as_refusal
from gateway.core.checks.tolerant_json import Unreadable, read_json
from tests.core.checked import request, whys
from tests.core.test_checks_docs import costs
from tests.promises import Reached
from tests.recordings import need_shared

FOLDER = need_shared("replay")


@cache
def answers(which: str) -> tuple[dict[str, Any], ...]:
    """The answers with a text in the folders of that name."""
    return tuple(_read(which))


def _read(which: str) -> Iterator[dict[str, Any]]:
    for file in sorted(FOLDER.glob(f"{which}/answers.*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            answer = json.loads(line)
            if "text" in answer:
                yield answer


def test_no_right_answer_is_taken_for_a_refusal() -> None:
    right = [answer for answer in answers("*") if answer["correct"]]
    assert len(right) > 19_000
    assert [answer["id"] for answer in right if whys("not_refused", answer["text"])] == []


def test_only_an_answer_that_refuses_is_taken_for_a_refusal() -> None:
    refusals = [answer for answer in answers("*") if begins_as_refusal(answer["text"])]
    assert [answer["id"] for answer in refusals] == ["GeoBench_30"]
    assert refusals[0]["text"].startswith("I cannot answer the question")


def test_right_answers_in_json_pass_but_for_a_few_broken_ones() -> None:
    """They were asked for JSON; most are fenced, and many hold raw line breaks.

    What fails has unescaped quotes in a string, or holds no JSON: two in a thousand.
    """
    right = [answer for answer in answers("zeroeval-*") if answer["correct"]]
    failing = [
        answer["text"] for answer in right if isinstance(read_json(answer["text"]), Unreadable)
    ]
    assert len(right) > 8_000
    assert len(failing) <= len(right) / 400


def test_no_right_answer_whose_fenced_json_is_whole_fails() -> None:
    """Whole: what stands between the first fence and the last parses, raw line breaks allowed."""
    fenced = 0
    for answer in answers("zeroeval-*"):
        parts = answer["text"].split("```json")
        body = parts[1].rpartition("```")[0] if len(parts) == 2 else ""
        try:
            json.loads(body, strict=False)
        except ValueError:
            continue
        fenced += 1
        assert isinstance(read_json(answer["text"]), dict), answer["id"]
    assert fenced > 5_000


def test_no_latex_that_was_put_into_json_unescaped_fails() -> None:
    laden = 0
    for answer in answers("*"):
        text = answer["text"].replace('"', "'").strip()
        if "\\" not in text or text.endswith("\\"):
            continue
        laden += 1
        written = f'```json\n{{\n  "reasoning": "{text}",\n  "answer": "A"\n}}\n```'
        assert read_json(written)["answer"] == "A", answer["id"]
    assert laden > 300


# ---- how often the checks fail a right answer, as the manual says


@cache
def prompts() -> dict[str, ChatRequest]:
    """The request of each answer, by its id."""
    found = {}
    for file in sorted(FOLDER.glob("*/queries.jsonl")):
        for line in file.read_bytes().splitlines():
            query = json.loads(line)
            if "prompt" in query:
                message = {"role": "user", "content": query["prompt"]}
                found[query["id"]] = request(messages=[message])
    return found


@pytest.mark.parametrize(
    ("check", "options", "which", "most"),
    [
        ("not_refused", {}, "*", 0),
        ("not_empty", {}, "*", 0),
        ("language", {}, "*", 0),
        ("length", {"max_tokens": 4_000}, "*", 0),
        ("schema", {"schema": '{"required": ["answer"]}'}, "zeroeval-*", 20),
        ("json_if_asked", {"always": True}, "zeroeval-*", 20),
        ("python", {}, "routerarena-sub10", 0),
        ("cites_context", {"pattern": r"assert (f\(.{1,60}?\)) =="}, "zeroeval-crux", 12),
    ],
)
def test_how_many_right_answers_fail(
    check: str, options: dict[str, Any], which: str, most: int, reached: Reached
) -> None:
    """And that it is decided the same while the answer comes."""
    right = [answer for answer in answers(which) if answer["correct"] and holds(check, answer)]
    failing = 0
    for answer in sorted(right, key=itemgetter("id")):  # what a check knows of a question, it keeps
        asked = prompts()[answer["id"]]
        told = whys(check, answer["text"], asked, **options)
        failing += bool(told)
        if check in EARLY_CHECKS:
            early = EarlyChecks((Check(check, options),), asked)
            seen = early.feed((Delta((ChoiceDelta(text=answer["text"]),)),))
            assert seen is None or isinstance(seen, Finding) == bool(told), answer["id"]
    share = f"{failing:,} of {len(right):,} ({failing / len(right):.2%})"
    reached("routing", f"right answers that fail {check}", share, f"at most {most}")
    assert failing <= most
    assert f"| {share}" in costs()[check], "docs/checks.md has another figure"


def holds(check: str, answer: dict[str, Any]) -> bool:
    """Whether an answer is of the kind that the check is for."""
    return check != "python" or answer["id"].startswith("LiveCodeBench")


def test_when_a_stream_of_right_answers_may_flow(reached: Reached) -> None:
    """How much of an answer is held until it is known to be no refusal, in its own language: of
    answers of more than 400 characters without fences, which are no prose.
    """
    prose = [each for each in answers("*") if len(each["text"]) > 400 and "```" not in each["text"]]
    assert len(prose) > 5_000
    prose = prose[::10]
    checks = {"not_refused": (Check("not_refused"),), "language": (Check("language"),)}
    for name, some in checks.items():
        waited = []
        for answer in prose:
            early = EarlyChecks(some, prompts()[answer["id"]])
            text = answer["text"]
            ends = range(16, len(text) + 16, 16)
            pieces = (Delta((ChoiceDelta(text=text[at - 16 : at]),)) for at in ends)
            seen = (end for end, piece in zip(ends, pieces, strict=True) if early.feed((piece,)))
            waited.append(next(seen, len(text)) / len(text))
        median = sorted(waited)[len(waited) // 2]
        told = f"{median:.0%} of an answer, in the median"
        reached("routing", f"held for {name}", told, "at most 60%")
        assert median <= 0.6, name
