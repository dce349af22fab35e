"""The checks on recorded answers of real models, right and wrong ones."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from gateway.core.checks.refusal import begins_as_refusal
from gateway.core.checks.tolerant_json import Unreadable, read_json
from tests.core.checked import whys
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
