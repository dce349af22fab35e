"""The table of checks, and the ones that look at an answer's ending or for a pattern."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Raw

from gateway.core.catalog import Check
from gateway.core.chat import Choice, Completion, ToolCall
from gateway.core.checks import ASKED, CHECKS, OPTIONS, Finding, fault
from tests.core.checked import ask, call, judge, mend, request, whys

SEARCH = (call("search", {}),)


@pytest.mark.parametrize(
    ("check", "answer", "passes"),
    [
        ("complete", Choice(text="Paris", finish="stop"), True),
        ("complete", Choice(text="Paris", finish="tool_calls"), True),
        ("complete", Choice(text="Par", finish="length"), False),
        ("complete", Choice(tool_calls=SEARCH, finish="length"), False),
        ("not_empty", Choice(text="Paris"), True),
        ("not_empty", Choice(text="0"), True),
        ("not_empty", Choice(text=None), False),
        ("not_empty", Choice(text=""), False),
        ("not_empty", Choice(text=" \n\t"), False),
        ("not_empty", Choice(reasoning="Hm, where is it?"), False),
        ("not_empty", Choice(tool_calls=SEARCH), True),
        ("not_empty", Choice(refusal="I cannot say that."), True),
        ("not_empty", Choice(extra={"audio": Raw(b'{"id": "a"}')}), True),
        ("not_empty", Choice(extra={"audio": Raw(b"null")}), False),
        ("not_empty", Choice(extra={"annotations": Raw(b"[]")}), False),
        ("citation", Choice(text="It is in France [2]."), True),
        ("citation", Choice(text="It is in France."), False),
        ("citation", Choice(text=None), False),
        ("citation", Choice(tool_calls=SEARCH), True),
    ],
)
def test_ending_and_citation(check: str, answer: Choice, passes: bool) -> None:
    assert (not whys(check, answer)) is passes


@pytest.mark.parametrize(
    ("check", "pattern", "text", "passes"),
    [
        ("citation", r"\(\w+ \d{4}\)", "So it is (Knuth 1968).", True),
        ("citation", r"\(\w+ \d{4}\)", "So it is [1].", False),
        ("regex", r"(?i)\bparis\b", "In PARIS.", True),
        ("regex", r"\bParis\b", "In Parisian style.", False),
        ("regex", r"(?s)first.*last", "first\nlast", True),
        ("regex", r"(", "a pattern that is none is not the answer's fault", True),
    ],
)
def test_patterns(check: str, pattern: str, text: str, passes: bool) -> None:
    assert (not whys(check, text, pattern=pattern)) is passes


LEGACY = Raw(b'{"name":"search","arguments":"{}"}')
OF_SOME: Mapping[str, Mapping[str, Any]] = {
    "length": {"min_words": 3},
    "regex": {"pattern": "Paris"},
    "schema": {"schema": '{"type":"object"}'},
}
OFFERED = {
    "tools": [{"type": "function", "function": {"name": "search"}}],
    "functions": [{"name": "search"}],
}


@pytest.mark.parametrize("check", sorted(CHECKS))
@pytest.mark.parametrize(
    "step",
    [
        Choice(tool_calls=SEARCH, finish="tool_calls"),
        Choice(text="", tool_calls=SEARCH, finish="tool_calls"),
        Choice(text="\n\n", tool_calls=SEARCH, finish="tool_calls"),
        Choice(extra={"function_call": LEGACY}, finish="function_call"),
        Choice(text=" ", extra={"function_call": LEGACY}, finish="function_call"),
    ],
)
def test_a_call_without_text_passes(check: str, step: Choice) -> None:
    """Many models write a line break before they call; functions are called as once they were."""
    asked = request(**OFFERED)
    assert whys(check, step, asked, **OF_SOME.get(check, {})) == []
    asked = request(**OFFERED, response_format={"type": "json_object"})
    assert whys(check, step, asked, **OF_SOME.get(check, {})) == []


@pytest.mark.parametrize("check", ["citation", "json_if_asked", "python", "regex", "schema", "sql"])
def test_a_remark_beside_a_call_is_no_answer(check: str) -> None:
    asked = request(**OFFERED, response_format={"type": "json_object"})
    remark = Choice(text="I'll look that up.", tool_calls=SEARCH, finish="tool_calls")
    assert whys(check, remark, asked, **OF_SOME.get(check, {})) == []
    alone = Choice(text="I'll look that up.", extra={"function_call": Raw(b"null")})
    assert whys(check, alone, asked, **OF_SOME.get(check, {})) != []


def test_a_remark_beside_a_call_may_be_short_but_not_long() -> None:
    remark = Choice(text="I'll look that up.", tool_calls=SEARCH)
    assert whys("length", remark, min_words=20) == []
    assert whys("length", remark, max_words=3) == ["it has more than 3 words"]


def test_a_remark_beside_a_call_is_not_mended() -> None:
    checks = (Check("schema", {"fix": True, "schema": '{"type": "object"}'}),)
    answer = Completion((Choice(text="```json\n{}\n```", tool_calls=SEARCH),))
    assert mend(checks, answer) is answer


def test_a_call_beside_words_that_refuse_is_no_refusal() -> None:
    sorry = "I'm sorry, but I can't help with that."
    assert whys("not_refused", sorry)
    assert whys("not_refused", Choice(text=sorry, tool_calls=SEARCH)) == []
    assert whys("not_refused", Choice(text=sorry, extra={"function_call": LEGACY})) == []


def test_findings_come_in_the_order_of_the_checks() -> None:
    checks = (Check("not_empty"), Check("not_refused"), Check("complete"))
    answer = Completion((Choice(text="", finish="length"),))
    assert judge(checks, answer, request()) == (
        Finding("not_empty", "it is empty"),
        Finding("complete", "it was cut at its token limit"),
    )


def test_one_failing_choice_of_several_fails() -> None:
    answer = Completion((Choice(text="Paris"), Choice(index=1, text="Par", finish="length")))
    assert [f.check for f in judge((Check("complete"),), answer, request(n=2))] == ["complete"]


def test_no_choice_at_all_fails_and_no_check_passes() -> None:
    nothing = Completion(())
    assert judge((Check("complete"),), nothing, request()) == (
        Finding("complete", "there is no answer"),
    )
    assert judge((), nothing, request()) == ()


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (Check("complete"), None),
        (Check("citation"), None),
        (Check("citation", {"pattern": r"\d"}), None),
        (Check("regex", {"pattern": r"\d"}), None),
        (Check("sql"), None),
        (Check("sql", {"dialect": "postgres"}), None),
        (Check("json_if_asked", {"always": True}), None),
        (
            Check("polite"),
            'there is no check "polite"; there are citation, cites_context,',
        ),
        (Check("complete", {"pattern": "x"}), 'complete has no option "pattern"; it has none'),
        (Check("sql", {"dialekt": "x"}), 'sql has no option "dialekt"; it has dialect'),
        (Check("sql", {"dialect": "klingon"}), "sql: dialect must be one that sqlglot knows"),
        (Check("regex"), "regex needs the option pattern"),
        (Check("length"), "length needs one of min_characters, max_characters,"),
        (Check("length", {"min_words": 3, "max_words": 2}), "length: min_words must not be above"),
        (Check("length", {"max_words": 0}), "length: max_words must be the most words"),
        (Check("language", {"language": "xx"}), "language: language must be one of ar,"),
        (Check("schema", {"schema": "{"}), "schema: schema must be a JSON Schema"),
        (Check("python", {"defines": "f("}), "python: defines must be the name of"),
        (Check("webhook"), "webhook needs the option url"),
        (Check("webhook", {"url": "http://h"}), "webhook: url must be an http or https URL"),
        (Check("judge"), "judge needs the option model, rubric"),
        (Check("judge", {"model": "m", "rubric": "r", "on_failure": "x"}), "judge: on_failure"),
        (Check("regex", {"pattern": "("}), "regex: pattern must be a regular expression"),
        (Check("regex", {"pattern": 5}), "regex: pattern must be a regular expression"),
        (Check("json_if_asked", {"always": 1}), "json_if_asked: always must be true or false"),
    ],
)
def test_fault_tells_a_check_that_cannot_be_used(check: Check, says: str | None) -> None:
    found = fault(check)
    assert found is None if says is None else (found or "").startswith(says)


def test_only_known_checks_have_options() -> None:
    assert OPTIONS.keys() <= {*CHECKS, *ASKED}


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - {"confidence"}))
def test_other_checks_change_neither_request_nor_answer(name: str) -> None:
    asked, answer = request(), Completion((Choice(text="Yes.\nCONFIDENCE: HIGH"),))
    assert ask((Check(name),), asked) is asked
    assert mend((Check(name),), answer) is answer


def test_no_finding_quotes_the_answer() -> None:
    secret = "my-own-secret"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = request(
        response_format={"type": "json_schema", "json_schema": {"schema": schema}},
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
    )
    spoilt: list[tuple[str, Choice, dict[str, Any]]] = [
        ("json_if_asked", Choice(text=f'{{"n": "{secret}"}}'), {}),
        ("json_if_asked", Choice(text=secret), {}),
        ("tools_valid", Choice(tool_calls=(call("f", {"n": secret}),)), {}),
        ("tools_valid", Choice(tool_calls=(ToolCall("1", secret, "{}"),)), {}),
        ("tools_valid", Choice(tool_calls=(ToolCall("1", "f", secret),)), {}),
        ("sql", Choice(text=f"SELECT FROM {secret}"), {}),
        ("regex", Choice(text=secret), {"pattern": "x{9}"}),
        ("not_refused", Choice(text=f"I cannot help with {secret}"), {}),
    ]
    for check, choice, options in spoilt:
        (why,) = whys(check, choice, asked, **options)
        assert secret not in why
