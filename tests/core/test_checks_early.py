"""What the beginning of an answer decides, and that it is what the whole is found to be."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, ChoiceDelta, Delta, ToolCall, ToolDelta
from gateway.core.checks import CHECKS
from gateway.core.checks.early_checks import (
    EARLY_CHECKS,
    PASSES,
    EarlyChecks,
    Passes,
    worth_watching,
)
from gateway.core.checks.finding import Finding
from gateway.core.checks.json_prefix import JsonPrefix
from gateway.core.checks.tolerant_json import BLANK, Unreadable, begins_bare, read_json
from tests.core.checked import request, whys

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
JSON = request(response_format={"type": "json_object"})
FITTING = request(response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})
TOOLS = request(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
AGENT = request(
    tools=[{"type": "function", "function": {"name": "f"}}],
    response_format={"type": "json_object"},
)
FORCED = request(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="required")
ENGLISH = request(
    messages=[
        {
            "role": "user",
            "content": "What is the capital of France, and how big is it?",
        }
    ]
)
PLAIN = request()
GERMAN: Final = (
    "Die Hauptstadt von Frankreich ist Paris, und sie liegt an der Seine. Es ist nicht die größte "
    "Stadt der Welt, aber eine der bekanntesten, und sie ist mit dem Zug von hier aus gut zu "
    "erreichen. Wir sind oft dort."
)
PROSE: Final = (
    "The capital of France is Paris, which is on the Seine. It is not the largest city of the "
    "world, but it is one of the best known, and there is a train that goes to it from here. "
)


def seen(
    check: str, pieces: list[str], asked: ChatRequest = PLAIN, **options: Any
) -> tuple[int, str | Passes | None]:
    """After how many pieces a check is decided, and how."""
    early = EarlyChecks((Check(check, options),), asked)
    for number, piece in enumerate(pieces, 1):
        found = early.feed((Delta((ChoiceDelta(text=piece),)),))
        if found is not None:
            return number, found.why if isinstance(found, Finding) else found
    return len(pieces), None


def letters(text: str) -> list[str]:
    return list(text)


LATE: Final = 10**9
# check, text, request, options -> after how many characters, and what
DECIDED: Final[dict[str, tuple[str, str, ChatRequest, Mapping[str, Any], int, Any]]] = {
    "no refusal begins so": ("not_refused", "The capital is Paris.", PLAIN, {}, 4, PASSES),
    "a refusal": (
        "not_refused", "I'm sorry, but I can't help with that request, as it is not allowed.",
        PLAIN, {}, 51, "it begins as a refusal",
    ),
    "a refusal, but a tool call may follow": (
        "not_refused", "I'm sorry, but I can't help with that.", TOOLS, {}, LATE, None,
    ),
    "no refusal in so many": ("not_refused", "I " + "x" * 400, PLAIN, {}, 300, PASSES),
    "something is there": ("not_empty", "\n Paris", PLAIN, {}, 3, PASSES),
    "a list where an object was asked for": (
        "json_if_asked", '[{"a": 1}] and more', JSON, {}, 10,
        "a JSON object was asked for, and the answer is another kind of JSON",
    ),
    "a whole object": ("json_if_asked", '{"a": 1}\nThat is all', JSON, {}, 8, PASSES),
    "an object that breaks": (
        "json_if_asked", '{"a": "so "quoted" text"}', JSON, {}, 12,
        "JSON was asked for, and it is not JSON",
    ),
    "too deep": (
        "json_if_asked", '{"a":' * 80, JSON, {}, 65 * 5 - 4,
        "JSON was asked for, and it is not JSON",
    ),
    "a fence is read at its end": ("json_if_asked", '```json\n{"a": ]', JSON, {}, LATE, None),
    "prose is read at its end": ("json_if_asked", "Here it is: {]", JSON, {}, LATE, None),
    "not asked for": ("json_if_asked", "{", PLAIN, {}, 1, PASSES),
    "it does not fit": (
        "schema", '{"a": "x"} ...', FITTING, {}, 10,
        'its JSON does not fit the schema: "type" is not met at a',
    ),
    "it fits": ("schema", '{"a": 1} ...', FITTING, {}, 8, PASSES),
    "it fits, and is to be mended": ("schema", '{"a": 1} ...', FITTING, {"fix": True}, LATE, None),
    "no tools": ("tools_valid", "Paris", PLAIN, {}, 1, PASSES),
    "tools": ("tools_valid", "Paris", TOOLS, {}, LATE, None),
    "too many characters": (
        "length", "Paris!", PLAIN, {"max_characters": 4}, 5, "it has more than 4 characters",
    ),
    "too many words": (
        "length", "a b c d", PLAIN, {"max_words": 2}, 5, "it has more than 2 words",
    ),
    "too many tokens": (
        "length", "x" * 12, PLAIN, {"max_tokens": 2}, 9, "it has more than 2 tokens",
    ),
    "long enough": ("length", "Paris is big", PLAIN, {"min_words": 2}, 7, PASSES),
    "long enough, so far": (
        "length", "Paris is", PLAIN, {"min_words": 1, "max_words": 9}, LATE, None,
    ),
    "another language": ("language", GERMAN, ENGLISH, {}, 150, "it is not in en"),
    "the same language": ("language", PROSE, ENGLISH, {}, 150, PASSES),
    "the language asked for": ("language", GERMAN, ENGLISH, {"language": "de"}, 150, PASSES),
    "found": ("citation", "It is [12] so", PLAIN, {}, 11, PASSES),
    "found, as a word so far": ("regex", "Paris", PLAIN, {"pattern": r"\bParis\b"}, LATE, None),
}  # fmt: skip


@pytest.mark.parametrize("case", DECIDED.values(), ids=DECIDED)
def test_when_a_check_is_decided(
    case: tuple[str, str, ChatRequest, Mapping[str, Any], int, Any],
) -> None:
    check, text, asked, options, after, how = case
    assert seen(check, letters(text), asked, **options) == (min(after, len(text)), how)


def test_an_unknown_tool_is_known_by_its_name() -> None:
    call = ChoiceDelta(tool_calls=(ToolDelta(0, "1", "g"),))
    for check in ("tool_known", "tools_valid"):
        early = EarlyChecks((Check(check),), TOOLS)
        found = early.feed((Delta((call,)),))
        assert found == Finding(check, "it calls a tool that was not declared")


def test_all_must_be_decided_and_one_that_fails_is_told_at_once() -> None:
    both = (Check("not_refused"), Check("length", {"min_characters": 8}))
    early = EarlyChecks(both, PLAIN)
    assert early.feed((Delta((ChoiceDelta(text="Paris "),)),)) is None
    assert early.feed((Delta((ChoiceDelta(text="is"),)),)) is PASSES
    early = EarlyChecks((*both, Check("complete")), PLAIN)
    assert early.feed((Delta((ChoiceDelta(text="Paris is"),)),)) is None


def test_what_has_ended_is_judged_as_a_whole() -> None:
    early = EarlyChecks((Check("not_empty"),), PLAIN)
    assert early.feed((Delta((ChoiceDelta(text="Paris", finish="content_filter"),)),)) is None


@pytest.mark.parametrize(
    ("checks", "fields", "worth"),
    [
        (("not_refused",), {}, True),
        (("not_refused", "complete"), {}, True),
        (("complete",), {}, False),
        (("regex", "complete"), {}, False),
        (("regex", "not_empty"), {}, True),
        (("webhook",), {}, False),
        (("not_refused", "webhook"), {}, True),
        ((), {}, False),
        (("not_refused",), {"logprobs": True}, False),
        (("not_refused",), {"functions": []}, False),
        (("not_refused",), {"logprobs": False, "modalities": ["text"], "functions": None}, True),
        (("not_refused",), {"modalities": ["text", "audio"]}, False),
    ],
)
def test_what_is_worth_watching(
    checks: tuple[str, ...], fields: dict[str, Any], worth: bool
) -> None:
    assert worth_watching(tuple(map(Check, checks)), request(**fields)) is worth


# ---- laws

WORDS: Final = st.sampled_from(
    ["I", "I'm", "sorry", ",", " but", " I", " cannot", " can't", " help", " help but", " notice",
     " with that", ".", "\n", "No", " unable to", "Es tut mir leid", ", ich kann", " nicht",
     " helfen", "抱歉", "我无法", "回答", "The", " answer", " is", " not", "As an AI", " of",
     " und", " der", " die", " ist", " the", '"', "*", "#", " ", "Привет", "это", " 12", "[3]",
     "x" * 40]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=60).map("".join) | st.text(max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
SYNTAX = st.sampled_from(
    [*'{}[]",:\\ \n10-.eEtfnu', "true", "null", "NaN", '"a"', "\\u0041", "```"]
)
JSONISH = st.one_of(
    VALUES.map(json.dumps),
    st.builds(lambda value, tail: json.dumps(value, indent=1) + tail, VALUES, TEXTS),
    st.builds(
        lambda value, at, junk: (t := json.dumps(value))[: at % (len(t) + 1)] + junk
        + t[at % (len(t) + 1) :],
        VALUES, st.integers(0, 99), SYNTAX,
    ),
    st.lists(SYNTAX, max_size=12).map(lambda some: "{" + "".join(some)),
    st.lists(SYNTAX, max_size=12).map("".join),
)  # fmt: skip
OPTIONS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "citation": [{}, {"pattern": r"\d+"}],
    "json_if_asked": [{}, {"always": True}],
    "language": [{}, {"language": "en"}, {"language": "de"}, {"language": "ru"}],
    "length": [{"max_characters": 9}, {"min_words": 3}, {"max_tokens": 5, "min_words": 2}],
    "regex": [{"pattern": p} for p in ("answer", r"\bis\b", "(?:a|an)+s$", "x(?!x)", "(?i)no t?")],
    "schema": [{}, {"schema": json.dumps(SCHEMA)}, {"schema": json.dumps(SCHEMA), "fix": True}],
}
REQUESTS: Final = (PLAIN, JSON, FITTING, TOOLS, AGENT, FORCED, ENGLISH)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(ends)] or [text]


def streams(choice: Choice, places: list[int]) -> Iterator[Delta]:
    for piece in cut(choice.text or "", places):
        yield Delta((ChoiceDelta(text=piece),))
    for at, call in enumerate(choice.tool_calls):
        yield Delta((ChoiceDelta(tool_calls=(ToolDelta(at, call.id, call.name),)),))
        yield Delta((ChoiceDelta(tool_calls=(ToolDelta(at, arguments=call.arguments),)),))


@settings(max_examples=60)
@given(
    text=TEXTS | JSONISH,
    called=st.lists(st.sampled_from(["f", "g"]), max_size=2),
    places=st.lists(st.integers(0, 500), max_size=8),
)
@example("I'm sorry, but I can't help but notice that it is so.", [], [*range(80)])
@example("“No”thing is as it was, and not so.", [], [*range(40)])
@example(PROSE + GERMAN * 6, [], [*range(0, 2_000, 40)])
@example(GERMAN + PROSE * 6, [], [*range(0, 2_000, 40)])
def test_what_a_beginning_decides_the_whole_confirms(
    text: str, called: list[str], places: list[int]
) -> None:
    """Whatever the cut: a check that was decided is decided the same by the whole answer."""
    for asked in REQUESTS:
        offered = "tools" in asked.fields
        calls = tuple(ToolCall("1", name, "{}") for name in called) if offered else ()
        choice = Choice(text=text, tool_calls=calls)
        for name in EARLY_CHECKS:
            for options in OPTIONS.get(name, [{}]):
                _agree(name, options, choice, asked, places)


def _agree(
    name: str, options: dict[str, Any], choice: Choice, asked: ChatRequest, places: list[int]
) -> None:
    early = EarlyChecks((Check(name, options),), asked)
    for delta in streams(choice, places):
        found = early.feed((delta,))
        if found is not None:
            whole = whys(name, choice, asked, **options)
            told = found.why if isinstance(found, Finding) else ""
            assert bool(whole) == bool(told), f"{name} {options}: {told!r}, but {whole}"
            return


@settings(max_examples=400)
@given(JSONISH, JSONISH)
@example('{"a": "\\u12"}', "")
@example('{"a": "\\\\"} \\', "")
@example('{"a": 1, "a": [1.5e3, -0, true]}', "}")
def test_json_that_is_broken_stays_so_and_whole_json_stays_the_same(text: str, more: str) -> None:
    if not begins_bare(text):
        return
    prefix = JsonPrefix()
    for char in text.lstrip(BLANK):
        prefix.feed(char)
    at_once = JsonPrefix()
    at_once.feed(text.lstrip(BLANK))
    assert prefix.standing == at_once.standing
    now, later = read_json(text), read_json(text + more)
    if prefix.standing == "broken":
        assert isinstance(now, Unreadable)
        assert isinstance(later, Unreadable)
    elif prefix.standing == "whole":
        assert now == later
    else:
        assert isinstance(now, Unreadable), "it was whole"


def test_every_watch_is_of_a_check() -> None:
    assert EARLY_CHECKS.keys() <= CHECKS.keys()
