import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from gateway.simulator.answers import REFUSAL, Answer, Call, answer_of, pieces
from gateway.simulator.schemas import example
from gateway.simulator.simulated_request import SimulatedRequest, Tool


def ask(question: str, *more: str, **fields: Any) -> SimulatedRequest:
    return SimulatedRequest(model="m", texts=(*more, question), question=question, **fields)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17*23?", "17*23 = 391."),
        ("What is 17 x 23?", "17 x 23 = 391."),
        ("2 + 2", "2 + 2 = 4."),
        ("7-10", "7-10 = -3."),
        ("-7 - -10", "-7 - -10 = 3."),
        ("6/3, please", "6/3 = 2."),
        ("1/8?", "1/8 = 0.125."),
        ("1/0?", "1/0 = undefined."),
        ("99999999999999999999 * 3", "99999999999999999999 * 3 = 299999999999999999997."),
        ("Tell me 3 things", 'You said: "Tell me 3 things"'),
        ("It is 1.5*2.5", 'You said: "It is 1.5*2.5"'),
        ("", "You said nothing."),
    ],
)
def test_right(question: str, answer: str) -> None:
    assert answer_of(ask(question), "right") == Answer(answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17*23?", "17*23 = 392.\nCONFIDENCE: LOW"),
        ("1/0?", "1/0 = 0.\nCONFIDENCE: LOW"),
        ("Hello", "I think this is about something else.\nCONFIDENCE: LOW"),
    ],
)
def test_unsure_is_wrong_and_says_so(question: str, answer: str) -> None:
    assert answer_of(ask(question), "unsure") == Answer(answer)


def test_right_tells_confidence_only_when_asked() -> None:
    told = answer_of(ask("What is 1+1?", "End with a line CONFIDENCE: HIGH|LOW."), "right")
    assert told.text == "1+1 = 2.\nCONFIDENCE: HIGH"


def test_the_echo_is_bounded() -> None:
    assert answer_of(ask("x" * 5_000), "right").size == len('You said: ""') + 1_000


@pytest.mark.parametrize("behaviour", ["refuse", "emptyanswer"])
def test_text_whatever_was_asked(behaviour: str) -> None:
    tool = Tool("f", {"type": "object"})
    text = {"refuse": REFUSAL, "emptyanswer": ""}[behaviour]
    for one in (ask("1+1"), ask("1+1", tools=(tool,)), ask("1+1", wants_json=True)):
        assert answer_of(one, behaviour) == Answer(text)


@pytest.mark.parametrize(
    ("limit", "text", "finish"),
    [
        (1, "17*2", "length"),
        (2, "17*23 = ", "length"),
        (3, "17*23 = 391.", "stop"),
        (None, "17*23 = 391.", "stop"),
    ],
)
def test_a_limit_is_kept(limit: int | None, text: str, finish: Any) -> None:
    assert answer_of(ask("17*23", limit=limit), "right") == Answer(text, finish=finish)


def test_a_limit_never_cuts_a_character() -> None:
    cut = answer_of(ask("\u20ac" * 9, limit=4), "right")
    assert cut.text == 'You said: "\u20ac'  # 11 bytes and 3; the next would be 17 of 16


def test_cut_gives_half() -> None:
    assert answer_of(ask("1000 + 11111111"), "cut") == Answer("1000 + 11111", finish="length")


def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    stopped = answer_of(ask("17*23", stop=("1.", " =")), "right")
    assert stopped == Answer("17*23", stopped_by=" =")


def test_broken_json_is_broken_whatever_was_asked() -> None:
    for one in (ask("Hello"), ask("17*23"), ask("Hello", wants_json=True)):
        text = answer_of(one, "brokenjson").text
        assert text.startswith('{"')
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_json_without_a_schema_holds_the_answer() -> None:
    asked = ask("17*23", wants_json=True)
    assert json.loads(answer_of(asked, "right").text) == {"answer": 391}
    assert json.loads(answer_of(asked, "unsure").text) == {"answer": 392}


CITY = Tool("get_city", {"type": "object", "properties": {"name": {"type": "string"}}})
TIME = Tool("get_time", {"type": "object", "properties": {}})


@pytest.mark.parametrize(
    ("question", "fields", "names"),
    [
        ("Hello", {}, ["get_city"]),
        ("Use get_time", {}, ["get_time"]),
        ("Use get_time and get_city", {}, ["get_city", "get_time"]),
        ("Use get_time and get_city", {"parallel": False}, ["get_city"]),
        ("Use get_city", {"forced_tool": "get_time"}, ["get_time"]),
        ("Use get_timely", {}, ["get_city"]),
    ],
)
def test_which_tools_are_called(question: str, fields: dict[str, Any], names: list[str]) -> None:
    answer = answer_of(ask(question, tools=(CITY, TIME), **fields), "right")
    assert [call.name for call in answer.calls] == names
    assert (answer.text, answer.finish) == ("", "tool_calls")


def test_tool_arguments_and_their_broken_form() -> None:
    asked = ask("get_city get_time", tools=(CITY, TIME))
    assert answer_of(asked, "right").calls == (
        Call("get_city", '{"name": "name"}'),
        Call("get_time", "{}"),
    )
    assert answer_of(asked, "badtool").calls == (
        Call("get_city", '{"name": "name"'),
        Call("get_time", "{"),
    )
    assert answer_of(replace(asked, no_arguments=""), "right").calls[1] == Call("get_time", "")
    assert answer_of(ask("1+1"), "badtool") == Answer("1+1 = 2.")


def test_a_limit_cuts_tool_arguments() -> None:
    answer = answer_of(ask("get_city get_time", tools=(CITY, TIME), limit=2), "right")
    assert answer == Answer(calls=(Call("get_city", '{"name":'),), finish="length")


@pytest.mark.parametrize("text", ["", "one", " two  words\n", "x" * 30 + " y", "\u20ac\u2028 z\t"])
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text)), "an empty piece"


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
    {"type": "object", "required": ["x"], "additionalProperties": {"type": "string"}},
    {"type": "array", "items": {"type": "number"}, "minItems": 3},
    {"type": "array", "items": {"type": "number"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"const": 1}, {"enum": ["b"]}], "items": False},
    {"enum": ["x", "y"]},
    {"type": ["null", "boolean"]},
    {"type": "null"},
    {"type": "string", "minLength": 8, "maxLength": 8},
    {"type": "string", "maxLength": 2},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
    {"type": "integer", "multipleOf": 7, "minimum": 10},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"anyOf": [{"type": "null"}, {"type": "integer"}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"]}], "type": "object"},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]}]},
    {"$ref": "#/$defs/t", "$defs": {"t": {"type": "boolean"}}},
    {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
        "additionalProperties": False,
    },
    {
        "$defs": {"node": {"type": "object", "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["children"]}},
        "$ref": "#/$defs/node",
    },
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_the_example_satisfies_its_schema(schema: dict[str, Any]) -> None:
    made = example(schema)
    faults = [error.message for error in Draft202012Validator(schema).iter_errors(made)]
    assert not faults, f"{made!r}: {faults}"
    assert made == example(schema)


@pytest.mark.parametrize("wrong", [{"properties": 5}, {"properties": {}, "required": 5}])
def test_a_schema_that_is_none_has_an_example_all_the_same(wrong: dict[str, Any]) -> None:
    assert example({"type": "object"} | wrong) == {}


def test_an_answer_goes_where_the_schema_wants_it() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    asked = ask("17*23", wants_json=True, schema=schema)
    assert json.loads(answer_of(asked, "right").text) == {"answer": 391}
