"""JSON as models write it, and against the schemas that clients send."""

import json
from typing import Any

import pytest

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.schema import SIZE
from gateway.core.checks.tolerant_json import DEPTH, Unreadable, read_json, read_strict
from tests.core.checked import call, request, whys

OBJECT = {"type": "json_object"}
DOCUMENT = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "unit": {"enum": ["m", "km"]}},
    "required": ["n"],
    "additionalProperties": False,
}


def schema_request(schema: Any) -> ChatRequest:
    wrapper = {"name": "answer", "strict": True, "schema": schema}
    return request(response_format={"type": "json_schema", "json_schema": wrapper})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (' \n{"a": 1}\n', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ("42", 42),
        ("null", None),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}\n```', {"a": 1}),
        ('~~~json\n{"a": 1}\n~~~', {"a": 1}),
        ('```json {"a": 1} ```', {"a": 1}),
        ('```JSON\r\n{"a": 1}\r\n```\r\n', {"a": 1}),
        ("```json\n[1, 2]\n```", [1, 2]),
        ('Here it is:\n\n```json\n{"a": 1}\n```\n\nI hope that it helps.', {"a": 1}),
        ('Run\n```python\n[1]\n```\nto get\n```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n1\n```\n" * 40 + '```json\n{"a": 1}\n```', {"a": 1}),
        ('```json\n{"a": "```python\\nx\\n```"}\n```', {"a": "```python\nx\n```"}),
        ('```json\n{"a": 1}', {"a": 1}),
        ('Here it is:\n\n{"a": 1}\n\nI hope that it helps.', {"a": 1}),
        ('Here it is:\n\n[\n  {"a": 1},\n  {"a": 2}\n]\nDone.', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}\nThat is all [1].', {"a": 1}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        (r'{"a": "\( x \in \mathbb{R} \)"}', {"a": r"\( x \in \mathbb{R} \)"}),
        (r'{"a": "\underline{x} \\ y \u0041"}', {"a": r"\underline{x} \ y A"}),
        ('```json\n{"a": "\\sqrt{2}\nthen"}\n```', {"a": "\\sqrt{2}\nthen"}),
        ('{"a": "\\ud800"}', {"a": "\ud800"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('<think>\nPerhaps\n{"a": 2}\nNo.\n</think>\n\n{"a": 1}', {"a": 1}),
        ('<think>\n```json\n{"a": 2}\n```\n</think>\nSo:\n```json\n{"a": 1}\n```', {"a": 1}),
        ('Perhaps\n{"a": 2}\nNo.\n</think>\n{"a": 1}', {"a": 1}),
        ('```json\n{"a": "<think></think>"}\n```', {"a": "<think></think>"}),
        ('{"a": "\n</think>"}', {"a": "\n</think>"}),
        ("<think>\nWell.\n</think>\n42", 42),
        ("1" * 30, int("1" * 30)),
    ],
)
def test_json_is_found(text: str, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris",
        "NaN",
        "[Infinity]",
        '{"a": NaN}',
        '```json\n{"a": -Infinity}\n```',
        '{"a": 1',
        "{'a': 1}",
        '{\n  "all": [\n    {\n      "a": 1\n    },\n    {\n      "a',
        '```json\n{\n  "a": {"b": 1},\n  "c": unquoted\n}\n```',
        '{"a": 1,}',
        '<think>\n{"a": 2}\n</think>\nI cannot say.',
        '<think>\nPerhaps\n{"a": 2}\nor',
        '```json\n{"a": 1} // one\n```',
        "The set {1, 2} has two members.",
        r"The answer is \boxed{42}.",
        "As shown in [1].",
        "[1] is a citation.",
        "[" * 100_000,
        '{"a":' * 100_000,
        "```json\n" * 50_000,
        "{\n" * 50_000,
        "\\" * 100_001,
        "9" * 5_000,
        "\ud800",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_json_is_not_found(text: str) -> None:
    assert isinstance(read_json(text), Unreadable)


def test_depth_has_a_limit() -> None:
    assert read_json("[" * DEPTH + "]" * DEPTH) != Unreadable("")
    too_deep = "[" * (DEPTH + 1) + "]" * (DEPTH + 1)
    wide = json.dumps([{"a": [1]}] * 1_000)
    assert isinstance(read_json(wide), list)
    for text in (too_deep, f"```json\n{too_deep}\n```", f'{{"a": "\n", "b": {too_deep}}}'):
        assert read_json(text) == Unreadable("its JSON is nested deeper than 64 levels")
    assert isinstance(read_strict(too_deep), Unreadable)


@pytest.mark.parametrize("text", ['```json\n{"a": 1}\n```', '{"a": "\\sqrt 2"}', "[NaN]", ""])
def test_arguments_are_read_strictly(text: str) -> None:
    assert isinstance(read_strict(text), Unreadable)


@pytest.mark.parametrize(
    ("response_format", "text", "says"),
    [
        (None, "Paris", []),
        ({"type": "text"}, "Paris", []),
        (5, "Paris", []),
        (OBJECT, '{"a": 1}', []),
        (OBJECT, "Paris", ["JSON was asked for, and it is not JSON"]),
        (OBJECT, None, ["JSON was asked for, and it is not JSON"]),
        (
            OBJECT,
            "[1]",
            ["a JSON object was asked for, and the answer is another kind of JSON"],
        ),
        ({"type": "json_schema"}, "[1]", []),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "[1]", []),
        ({"type": "json_schema"}, "Paris", ["JSON was asked for, and it is not JSON"]),
    ],
)
def test_json_is_wanted_when_asked(response_format: Any, text: str | None, says: list[str]) -> None:
    asked = request() if response_format is None else request(response_format=response_format)
    assert whys("json_if_asked", text, asked) == says


def test_always_wants_json_unasked() -> None:
    assert whys("json_if_asked", "Paris", always=True) == ["JSON was asked for, and it is not JSON"]
    assert whys("json_if_asked", "Paris", always=False) == []
    assert whys("json_if_asked", "[1]", always=True) == []


def test_a_tool_call_needs_no_json() -> None:
    choice = Choice(tool_calls=(call("search", {}),))
    assert whys("json_if_asked", choice, request(response_format=OBJECT)) == []


@pytest.mark.parametrize(
    ("schema", "text", "says"),
    [
        (DOCUMENT, '{"n": 1, "unit": "km"}', None),
        (DOCUMENT, '```json\n{"n": 1}\n```', None),
        (DOCUMENT, '{"n": "1"}', '"type" is not met at n'),
        (DOCUMENT, '{"unit": "km"}', '"required" is not met'),
        (DOCUMENT, '{"n": 1, "unit": "mile"}', '"enum" is not met at unit'),
        (DOCUMENT, '{"n": 1, "m": 2}', '"additionalProperties" is not met'),
        (DOCUMENT, "[]", '"type" is not met'),
        (False, "1", '"false" is not met'),
        ({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, "1", None),
        ({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, '"1"', "it does not fit"),
        ({"anyOf": [{"type": "null"}, {"items": {"$ref": "#"}}]}, "[[null], []]", None),
        ({"type": "string", "pattern": "^(?=a)"}, '"ab"', None),
        ({"type": "string", "pattern": "^(?=a)"}, '"ba"', '"pattern" is not met'),
    ],
)
def test_json_is_held_against_the_schema(schema: Any, text: str, says: str | None) -> None:
    found = whys("json_if_asked", text, schema_request(schema))
    if says is None:
        assert found == []
    else:
        assert [why.startswith(f"its JSON does not fit the schema: {says}") for why in found] == [
            True
        ], found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "dict"},
        {"pattern": "("},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$schema": "http://127.0.0.1:9/meta"},
        [1],
        "string",
        None,
        {"enum": ["x" * SIZE]},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_cannot_be_used_is_not_the_answers_fault(schema: Any) -> None:
    assert whys("json_if_asked", '{"any": "thing"}', schema_request(schema)) == []
