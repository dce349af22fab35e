"""The fields of a request in a Messages body: values in, values out. None is: not sent."""

import hashlib
import json
from typing import Final

import pytest

from gateway.wire import anthropic
from gateway.wire.dialect import Target
from tests.wire.anthropic_messages import (
    CACHED,
    JSON,
    THOUGHT,
    WEATHER,
    call,
    calls,
    result,
    said,
    user,
)
from tests.wire.anthropic_streams import TARGET, body
from tests.wire.chats import chat


def test_the_plainest_request() -> None:
    made = anthropic.encode(chat(), TARGET, stream=False)
    assert made.path == "/v1/messages"
    assert made.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert json.loads(made.body) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 8_192,
        "messages": [{"role": "user", "content": [said("Hi")]}],
    }
    assert anthropic.auth("k") == {"x-api-key": "k"}


CALLED: Final = [user(), calls(call()), result()]
OPEN_WEATHER: Final = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
DECLARED: Final = {
    "name": "weather",
    "description": "Now",
    "input_schema": WEATHER["function"]["parameters"],  # type: ignore[index]
}
NAMED: Final = {"type": "function", "function": {"name": "weather"}}
FIELDS: Final[dict[str, tuple[JSON, JSON]]] = {
    # limits and sampling
    "max_tokens": ({"max_tokens": 7}, {"max_tokens": 7}),
    "max_completion_tokens": ({"max_completion_tokens": 7}, {"max_tokens": 7}),
    "more than the model can write": ({"max_tokens": 99_999}, {"max_tokens": 8_192}),
    "stop, one": ({"stop": "END"}, {"stop_sequences": ["END"]}),
    "stop, some empty": ({"stop": ["", "END"]}, {"stop_sequences": ["END"]}),
    "stop, all empty": ({"stop": [""]}, {"stop_sequences": None}),
    "temperature above 1": ({"temperature": 1.7}, {"temperature": 1.0}),
    "temperature and top_k": (
        {"temperature": 0.2, "top_k": 5},
        {"temperature": 0.2, "top_k": 5},
    ),
    "one of temperature and top_p": (
        {"temperature": 0.2, "top_p": 1},
        {"temperature": 0.2, "top_p": None},
    ),
    "top_p when temperature is its default": (
        {"temperature": 1, "top_p": 0.5},
        {"temperature": None, "top_p": 0.5},
    ),
    "user": ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
    "user, an email address": (
        {"user": "jo@example.com"},
        {"metadata": {"user_id": hashlib.sha256(b"jo@example.com").hexdigest()}},
    ),
    "user, a phone number": (
        {"metadata": {"user_id": "+1 (555) 010-9999"}},
        {"metadata": {"user_id": hashlib.sha256(b"+1 (555) 010-9999").hexdigest()}},
    ),
    "user, as long as may be": ({"user": "u" * 256}, {"metadata": {"user_id": "u" * 256}}),
    "user, too long": (
        {"user": "u" * 257},
        {"metadata": {"user_id": hashlib.sha256(b"u" * 257).hexdigest()}},
    ),
    "user, no phone number": ({"user": "u-5550109999"}, {"metadata": {"user_id": "u-5550109999"}}),
    "Anthropic's metadata": ({"metadata": {"user_id": "u2"}}, {"metadata": {"user_id": "u2"}}),
    "hints": (
        {"seed": 1, "store": True, "logit_bias": {"1": 2}, "service_tier": "flex", "n": 1,
         "presence_penalty": 1, "frequency_penalty": 1, "metadata": {"a": "b"}, "logprobs": False,
         "never_heard_of": 1},
        {"seed": None, "store": None, "logit_bias": None, "service_tier": None, "n": None,
         "presence_penalty": None, "frequency_penalty": None, "metadata": None, "logprobs": None,
         "never_heard_of": None},
    ),
    "Anthropic's own": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "container": "c1",
         "mcp_servers": [{"name": "m"}], "temperature": 0.5},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "container": "c1",
         "mcp_servers": [{"name": "m"}], "temperature": None},
    ),
    # tools
    "tools": (
        {"tools": [WEATHER]},
        {"tools": [DECLARED], "tool_choice": None},
    ),
    "no parameters": (
        {"tools": [{"type": "function", "function": {"name": "weather"}}]},
        {"tools": [OPEN_WEATHER]},
    ),
    "marked tool": (
        {"tools": [{**WEATHER, "cache_control": CACHED}]},
        {"tools": [{**DECLARED, "cache_control": CACHED}]},
    ),
    "strict tool": (
        {"tools": [{"type": "function", "function": {
            **WEATHER["function"], "strict": True}}]},  # type: ignore[dict-item]
        {"tools": [{**DECLARED, "strict": True, "input_schema": {
            "type": "object", "properties": {"city": {"type": "string"}},
            "additionalProperties": False}}]},
    ),
    "Anthropic's own tool": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ),
    "choice auto": (
        {"tools": [WEATHER], "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}},
    ),
    "choice none": (
        {"tools": [WEATHER], "tool_choice": "none"}, {"tool_choice": {"type": "none"}},
    ),
    "choice required": (
        {"tools": [WEATHER], "tool_choice": "required"}, {"tool_choice": {"type": "any"}},
    ),
    "choice named": (
        {"tools": [WEATHER], "tool_choice": NAMED},
        {"tool_choice": {"type": "tool", "name": "weather"}},
    ),
    "choice among fewer": (
        {"tools": [WEATHER, {"type": "function", "function": {"name": "b"}}],
         "tool_choice": {"type": "allowed_tools",
                         "allowed_tools": {"mode": "required", "tools": [NAMED]}}},
        {"tools": [DECLARED], "tool_choice": {"type": "any"}},
    ),
    "choice without tools": ({"tool_choice": "auto"}, {"tool_choice": None, "tools": None}),
    "one call at a time": (
        {"tools": [WEATHER], "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "one call at a time, required": (
        {"tools": [WEATHER], "parallel_tool_calls": False, "tool_choice": "required"},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    "one call at a time, none": (
        {"tools": [WEATHER], "parallel_tool_calls": False, "tool_choice": "none"},
        {"tool_choice": {"type": "none"}},
    ),
    "many calls force nothing": (
        {"tools": [WEATHER], "parallel_tool_calls": True}, {"tool_choice": None},
    ),
    "one call at a time of nothing": (
        {"parallel_tool_calls": False}, {"tool_choice": None, "tools": None},
    ),
    "calls without their tools": (
        {"messages": CALLED}, {"tools": [OPEN_WEATHER], "tool_choice": {"type": "none"}},
    ),
    # forms
    "text form": ({"response_format": {"type": "text"}}, {"output_config": None, "system": None}),
    "schema form": (
        {"response_format": {"type": "json_schema", "json_schema": {
            "name": "a", "strict": True,
            "schema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}},
                       "required": ["n"], "additionalProperties": False}}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": '{"minimum": 1}'}},
            "required": ["n"], "additionalProperties": False}}},
         "system": None},
    ),
    "a schema beyond what the API takes": (
        {"response_format": {"type": "json_schema", "json_schema": {
            "name": "a", "strict": True,
            "schema": {"type": "object", "properties": {f"p{at}": {} for at in range(25)}}}},
         "tools": [{"type": "function", "function": {
            **WEATHER["function"], "strict": True}}]},  # type: ignore[dict-item]
        {"output_config": None,
         "tools": [{**DECLARED, "strict": True, "input_schema": {
            "type": "object", "properties": {"city": {"type": "string"}},
            "additionalProperties": False}}]},
    ),
    "JSON form": (
        {"response_format": {"type": "json_object"}},
        {"output_config": None,
         "system": "Answer with one valid JSON object and nothing else: no prose, no code fence."},
    ),
    # thinking
    "effort": (
        {"reasoning_effort": "low", "temperature": 0.3, "top_p": 0.9, "top_k": 4},
        {"thinking": {"type": "enabled", "budget_tokens": 2_048}, "temperature": None,
         "top_p": None, "top_k": None, "max_tokens": 8_192},
    ),
    "effort within half the limit": (
        {"reasoning_effort": "high", "max_tokens": 3_000},
        {"thinking": {"type": "enabled", "budget_tokens": 1_500}},
    ),
    "no room to think": (
        {"reasoning_effort": "high", "max_tokens": 2_000, "temperature": 0.3},
        {"thinking": None, "temperature": 0.3},
    ),
    "no effort": ({"reasoning_effort": "none"}, {"thinking": None}),
    "effort and a forced tool": (
        {"reasoning_effort": "low", "tools": [WEATHER], "tool_choice": "required"},
        {"thinking": None, "tool_choice": {"type": "any"}},
    ),
    "thinking of its own and a forced tool": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "tools": [WEATHER],
         "tool_choice": NAMED, "temperature": 0.3},
        {"thinking": None, "temperature": 0.3},
    ),
    "effort after a call without its thoughts": (
        {"reasoning_effort": "low", "tools": [WEATHER], "messages": CALLED},
        {"thinking": None},
    ),
    "effort after a call with its thoughts": (
        {"reasoning_effort": "low", "tools": [WEATHER],
         "messages": [user(), calls(call(), thinking_blocks=[THOUGHT]), result()]},
        {"thinking": {"type": "enabled", "budget_tokens": 2_048}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS)
def test_fields(case: str) -> None:
    """None stands for a field that is not sent."""
    fields, expected = FIELDS[case]
    sent = body(**fields)
    assert {name: sent.get(name) for name in expected} == expected


GENERATIONS: Final[dict[str, tuple[str, JSON, JSON]]] = {
    "budget": ("claude-3-7-sonnet-20250219", {"reasoning_effort": "minimal"},
               {"thinking": {"type": "enabled", "budget_tokens": 1_024}, "output_config": None}),
    "4.6 by effort": ("claude-sonnet-4-6", {"reasoning_effort": "minimal"},
                      {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "4.6 thinks before a forced tool": (
        "claude-opus-4-6", {"reasoning_effort": "low", "tools": [WEATHER], "tool_choice": NAMED},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "4.6 at Bedrock does not": (
        "eu.anthropic.claude-opus-4-6-v1:0",
        {"reasoning_effort": "low", "tools": [WEATHER], "tool_choice": "required"},
        {"thinking": None, "output_config": {"effort": "low"}}),
    "4.6 at Bedrock does not, asked in its own words": (
        "eu.anthropic.claude-opus-4-6-v1:0",
        {"thinking": {"type": "adaptive"}, "tools": [WEATHER], "tool_choice": "required"},
        {"thinking": None}),
    "4.6 by a budget of its own does not": (
        "claude-opus-4-6",
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "tools": [WEATHER],
         "tool_choice": "required"},
        {"thinking": None}),
    "4.8 at Bedrock does": (
        "eu.anthropic.claude-opus-4-8",
        {"reasoning_effort": "low", "tools": [WEATHER], "tool_choice": "required"},
        {"thinking": {"type": "adaptive", "display": "summarized"}}),
    "4.6 knows no xhigh": ("eu.anthropic.claude-opus-4-6-v1:0", {"reasoning_effort": "xhigh"},
                           {"output_config": {"effort": "max"}}),
    "4.7 knows xhigh": ("claude-opus-4-7", {"reasoning_effort": "xhigh"},
                        {"output_config": {"effort": "xhigh"}}),
    "4.7 is told to show": ("claude-opus-4-7", {"reasoning_effort": "low"},
                            {"thinking": {"type": "adaptive", "display": "summarized"}}),
    "5 is told not to think": ("claude-sonnet-5", {"reasoning_effort": "none"},
                               {"thinking": {"type": "disabled"}, "output_config": None}),
    "5.5 too, if it is small": ("claude-haiku-5-5", {"reasoning_effort": "none"},
                                {"thinking": {"type": "disabled"}, "output_config": None}),
    "Sonnet 5.5 thinks between tools": (
        "claude-sonnet-5-5", {"reasoning_effort": "none"},
        {"thinking": {"type": "between_tools"}, "output_config": None}),
    "Opus 5.5 thinks little": ("claude-opus-5-5", {"reasoning_effort": "none"},
                               {"thinking": None, "output_config": {"effort": "low"}}),
    "Fable thinks little": ("claude-fable-5", {"reasoning_effort": "none"},
                            {"thinking": None, "output_config": {"effort": "low"}}),
    "4.8 need not be told": ("claude-opus-4-8", {"reasoning_effort": "none"},
                             {"thinking": None, "output_config": None}),
    "5 is made to call": (
        "claude-fable-5", {"tools": [WEATHER], "tool_choice": "required"},
        {"tool_choice": {"type": "any"}}),
    "a small 5.5 is made to call": (
        "claude-haiku-5-5", {"tools": [WEATHER], "tool_choice": NAMED},
        {"tool_choice": {"type": "tool", "name": "weather"}}),
    "4.7 does not sample": ("claude-opus-4-7", {"temperature": 0.1, "top_p": 0.5, "top_k": 3},
                            {"temperature": None, "top_p": None, "top_k": None}),
    "3 samples both ways": ("claude-3-opus-20240229", {"temperature": 0.1, "top_p": 0.5},
                            {"temperature": 0.1, "top_p": 0.5}),
    "4.0 is asked in words": (
        "claude-sonnet-4-20250514",
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"output_config": None,
         "system": "Answer with one valid JSON object and nothing else: no prose, no code fence."
                   "\nIt must be valid against this JSON Schema:\n{}"}),
    "another vendor's": ("deepseek-chat", {"temperature": 0.1, "top_p": 0.5},
                         {"temperature": 0.1, "top_p": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("case", GENERATIONS)
def test_generations(case: str) -> None:
    upstream, fields, expected = GENERATIONS[case]
    sent = body(Target(upstream, 8_192), **fields)
    assert {name: sent.get(name) for name in expected} == expected
