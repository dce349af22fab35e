"""Tools, the choice among them, and JSON schemas that a model is held to, or told."""

from typing import Any, Final

import pytest

from gateway.wire.dialect import Target
from tests.wire.bedrock_streams import CLAUDE, JSON, LLAMA, NOVA, body

GPT_OSS: Final = Target("openai.gpt-oss-120b-1:0", 8_192)
OPUS: Final = Target("us.anthropic.claude-opus-4-6-v1", 8_192)
NEWEST: Final = Target("anthropic.claude-opus-4-7", 8_192)
OLDEST: Final = Target("anthropic.claude-3-5-haiku-20241022-v1:0", 8_192)
THINKER: Final = Target("anthropic.claude-3-7-sonnet-20250219-v1:0", 8_192)
UNTOLD: Final = Target("arn:aws:bedrock:eu-west-1:0123:application-inference-profile/x1", 8_192)
WEATHER: Final[JSON] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SPEC: Final[JSON] = {
    "toolSpec": {
        "name": "weather",
        "description": "Now",
        "inputSchema": {"json": WEATHER["function"]["parameters"]},
    }
}
NAMED: Final = {"type": "function", "function": {"name": "weather"}}
SCHEMA: Final[JSON] = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED: Final[JSON] = SCHEMA | {"additionalProperties": False}


TOOLS: Final[list[tuple[Target, JSON, JSON | None]]] = [
    (CLAUDE, {"tools": [WEATHER]}, {"tools": [SPEC]}),
    (CLAUDE, {"tools": [WEATHER], "tool_choice": "auto"}, {"tools": [SPEC]}),
    (CLAUDE, {"tools": [WEATHER], "tool_choice": "none"}, None),
    (CLAUDE, {"tools": [], "tool_choice": "none"}, None),
    (CLAUDE, {"tools": [WEATHER], "tool_choice": "required"},
        {"tools": [SPEC], "toolChoice": {"any": {}}}),
    (CLAUDE, {"tools": [WEATHER], "tool_choice": NAMED},
        {"tools": [SPEC], "toolChoice": {"tool": {"name": "weather"}}}),
    (CLAUDE, {"tools": [WEATHER], "tool_choice": NAMED, "parallel_tool_calls": False},
        {"tools": [SPEC]}),
    (CLAUDE, {"tools": [WEATHER | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"tools": [SPEC, {"cachePoint": {"type": "default", "ttl": "1h"}}]}),
    (NOVA, {"tools": [WEATHER | {"cache_control": {"type": "ephemeral"}}]}, {"tools": [SPEC]}),
    (NOVA, {"tools": [{"systemTool": {"name": "nova_grounding"}}]},
        {"tools": [{"systemTool": {"name": "nova_grounding"}}]}),
    (CLAUDE, {"tools": [{"type": "function", "function": {"name": "t", "description": " "}}]},
        {"tools": [{"toolSpec": {"name": "t", "inputSchema": {
            "json": {"type": "object", "properties": {}}}}}]}),
    (CLAUDE, {"tools": [WEATHER, {"type": "function", "function": {"name": "t"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [NAMED]}}},
        {"tools": [SPEC], "toolChoice": {"any": {}}}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "config"), TOOLS)
def test_tools_and_the_choice_among_them(target: Target, fields: JSON, config: JSON | None) -> None:
    assert body(target, **fields).get("toolConfig") == config


def test_a_choice_for_one_call_at_a_time_is_said_in_claudes_words() -> None:
    sent = body(CLAUDE, tools=[WEATHER], tool_choice=NAMED, parallel_tool_calls=False)
    assert sent["additionalModelRequestFields"] == {
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    }


OPEN: Final = SCHEMA | {"additionalProperties": True}
RECURSIVE: Final = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/a"}}}},
}
STRICT: Final[list[tuple[Target, JSON, JSON, bool]]] = [
    (CLAUDE, SCHEMA, CLOSED, True),
    (CLAUDE, CLOSED, CLOSED, True),
    (CLAUDE, OPEN, OPEN, False),
    (CLAUDE, {"type": "object"}, {"type": "object"}, False),
    (CLAUDE, {"allOf": [SCHEMA, SCHEMA]}, {"type": "object", "allOf": [SCHEMA, SCHEMA]}, False),
    (CLAUDE, SCHEMA | {"allOf": [{"required": ["a"]}]},
        CLOSED | {"required": ["a"]}, True),
    (CLAUDE, {"type": "object", "$defs": {"a": SCHEMA}, "properties": {"x": {
        "$ref": "#/$defs/a", "properties": {"b": {}}}}},
        {"type": "object", "$defs": {"a": SCHEMA}, "properties": {"x": {
            "$ref": "#/$defs/a", "properties": {"b": {}}}}}, False),
    (CLAUDE, {"type": ["object", "null"]}, {"type": ["object", "null"]}, False),
    (CLAUDE, {"type": "object", "properties": {"a": {"minimum": 1}}},
        {"type": "object", "properties": {"a": {"minimum": 1}}}, False),
    (NOVA, SCHEMA, SCHEMA, False),
    (OLDEST, SCHEMA, SCHEMA, False),
]  # fmt: skip


@pytest.mark.parametrize(("target", "given", "sent", "strict"), STRICT)
def test_a_strict_tool_where_the_model_can_be_held_to_it(
    target: Target, given: JSON, sent: JSON, strict: bool
) -> None:
    tool = {"type": "function", "function": {"name": "t", "parameters": given, "strict": True}}
    [spec] = body(target, tools=[tool])["toolConfig"]["tools"]
    assert spec["toolSpec"]["inputSchema"]["json"] == sent
    assert spec["toolSpec"].get("strict", False) is strict


def answer(schema: Any, name: str = "a") -> JSON:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def config(schema: str, **more: str) -> JSON:
    structure = {"jsonSchema": {"schema": schema, **more}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}


TEXT: Final = '{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}'
FORMS: Final[list[tuple[Target, JSON, JSON | None]]] = [
    (CLAUDE, answer(SCHEMA), config(TEXT, name="a")),
    (CLAUDE, answer(SCHEMA, name="two words"), config(TEXT)),
    (Target("minimax.minimax-m2", 9), answer(SCHEMA), config(TEXT, name="a")),
    (CLAUDE, {"type": "text"}, None),
]


@pytest.mark.parametrize(("target", "form", "sent"), FORMS)
def test_a_schema_that_the_model_is_held_to(target: Target, form: JSON, sent: JSON | None) -> None:
    made = body(target, response_format=form)
    assert made.get("outputConfig") == sent
    assert "system" not in made


def test_an_effort_of_converses_own_does_not_take_the_schema_away() -> None:
    made = body(CLAUDE, response_format=answer(SCHEMA), outputConfig={"effort": "low"})
    assert made["outputConfig"] == {**config(TEXT, name="a"), "effort": "low"}


INSTRUCTED: Final = [
    (CLAUDE, {"type": "json_object"}, ""),
    (CLAUDE, answer(OPEN), '"additionalProperties":true'),
    (CLAUDE, answer(RECURSIVE), '"$ref":"#/$defs/a"'),
    (CLAUDE, answer({"type": "array", "items": {"type": "integer", "minimum": 3}}), '"minimum":3'),
    (NOVA, answer(SCHEMA), '"a":{"type":"integer"}'),
    (LLAMA, answer(SCHEMA), '"a":{"type":"integer"}'),
    (OLDEST, answer(SCHEMA), '"a":{"type":"integer"}'),
]


@pytest.mark.parametrize(("target", "form", "schema"), INSTRUCTED)
def test_a_schema_that_can_only_be_told(target: Target, form: JSON, schema: str) -> None:
    made = body(
        target,
        response_format=form,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    )
    first, told = made["system"]
    assert first == {"text": "Be brief."}
    assert told["text"].startswith("Answer with one valid JSON object and nothing else")
    assert schema in told["text"]
    assert "outputConfig" not in made
