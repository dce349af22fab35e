"""Tool calls against the tools that the request declares."""

from typing import Any, Final

import pytest
from msgspec import Raw, structs

from gateway.core.chat import Choice, ToolCall
from gateway.core.checks.tools import offers_tools
from tests.core.checked import call, request, whys

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


TOOLS = [
    tool("weather", parameters=CITY),
    tool("now"),
    tool("lax", parameters={"type": "dict"}),
    {"type": "custom", "custom": {"name": "shell"}},
]
PARIS = call("weather", {"city": "Paris"})
NOW = call("now", text="")
UNDECLARED = ["it calls a tool that was not declared"]
UNALLOWED = ["it calls a tool that tool_choice does not allow"]
DEMANDED = ["tool_choice demands a tool call, and there is none"]
NAMED = {"type": "function", "function": {"name": "now"}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


FLAT: Final = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "now"}]},
}
"""A tool that is not named as OpenAI has it."""


def numbered(*calls: ToolCall) -> tuple[ToolCall, ...]:
    return tuple(structs.replace(each, id=f"call_{at}") for at, each in enumerate(calls))


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        ((), []),
        ((PARIS,), []),
        ((NOW,), []),
        ((call("now", {"any": "thing"}),), []),
        ((call("lax", {"any": "thing"}),), []),
        ((call("shell", text="ls -l {"),), []),
        (numbered(PARIS, NOW, PARIS), []),
        ((PARIS, NOW), ["two of its calls have the same id"]),
        ((call("wether", {"city": "Paris"}),), UNDECLARED),
        (numbered(PARIS, call("", {})), UNDECLARED),
        (
            (call("weather", text=""),),
            ['the arguments for weather do not fit: "required" is not met'],
        ),
        (
            (call("weather", {"city": 7}),),
            ['the arguments for weather do not fit: "type" is not met at city'],
        ),
        ((call("weather", text='{"city": "Par'),), ["the arguments for weather: it is not JSON"]),
        (
            (call("now", text="[" * 9_999),),
            ["the arguments for now: its JSON is nested deeper than 64 levels"],
        ),
        ((call("now", text="```json\n{}\n```"),), ["the arguments for now: it is not JSON"]),
        ((call("now", [1]),), ["the arguments for now are not a JSON object"]),
        ((call("now", text="null"),), ["the arguments for now are not a JSON object"]),
        (numbered(PARIS, call("now", text="{")), ["the arguments for now: it is not JSON"]),
    ],
)
def test_calls_against_declared_tools(calls: tuple[ToolCall, ...], says: list[str]) -> None:
    choice = Choice(tool_calls=calls, finish="tool_calls")
    assert whys("tools_valid", choice, request(tools=TOOLS)) == says


@pytest.mark.parametrize(
    ("tool_choice", "calls", "says"),
    [
        ("auto", (), []),
        ("auto", (PARIS,), []),
        ("none", (), []),
        ("none", (PARIS,), ["it calls a tool, and tool_choice is none"]),
        ("required", (PARIS,), []),
        ("required", (), DEMANDED),
        (NAMED, (NOW,), []),
        (NAMED, (), DEMANDED),
        (NAMED, (PARIS,), ["tool_choice demands now, and another tool is called"]),
        ({"type": "custom", "custom": {"name": "shell"}}, (), DEMANDED),
        ({"type": "custom", "custom": {"name": "shell"}}, (call("shell", text="ls"),), []),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, (), []),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}},
            (),
            DEMANDED,
        ),
        (allowed("auto", "now"), (), []),
        (allowed("auto", "now", "shell"), (NOW,), []),
        (allowed("required", "now", "weather"), (PARIS,), []),
        (allowed("auto", "now"), numbered(NOW, PARIS), UNALLOWED),
        (allowed("required", "now", "lax"), (PARIS,), UNALLOWED),
        (
            allowed("required", "now"),
            (PARIS,),
            ["tool_choice demands now, and another tool is called"],
        ),
        ({"type": "allowed_tools", "allowed_tools": {"tools": ["now"]}}, (PARIS,), []),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, (PARIS,), []),
        (FLAT, (PARIS,), []),
        ({"type": "function"}, (), []),
        (["required"], (), []),
        (None, (), []),
    ],
)
def test_what_tool_choice_demands(
    tool_choice: Any, calls: tuple[ToolCall, ...], says: list[str]
) -> None:
    asked = request(tools=TOOLS, tool_choice=tool_choice)
    assert whys("tools_valid", Choice(text="Sunny.", tool_calls=calls), asked) == says


def test_a_call_without_any_declared_tool_fails() -> None:
    assert whys("tools_valid", Choice(tool_calls=(NOW,))) == UNDECLARED


@pytest.mark.parametrize("tools", [5, [5], [{"function": 5}], {}])
def test_malformed_tools_are_not_the_answers_fault(tools: Any) -> None:
    assert whys("tools_valid", Choice(tool_calls=(NOW,)), request(tools=tools)) == []


@pytest.mark.parametrize(
    ("legacy", "says"),
    [
        (b"null", []),
        (b'{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}', []),
        (b'{"name": "wether", "arguments": "{}"}', UNDECLARED),
        (
            b'{"name": "weather", "arguments": "{}"}',
            ['the arguments for weather do not fit: "required" is not met'],
        ),
    ],
)
def test_the_older_function_call_is_held_against_functions(legacy: bytes, says: list[str]) -> None:
    choice = Choice(extra={"function_call": Raw(legacy)})
    asked = request(functions=[{"name": "weather", "parameters": CITY}])
    assert whys("tools_valid", choice, asked) == says


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_null_declares_no_tools(name: str) -> None:
    asked = request(**{name: None})
    assert not offers_tools(asked)
    assert whys("tool_known", Choice(tool_calls=(PARIS,)), asked) == UNDECLARED
