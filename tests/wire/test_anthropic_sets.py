"""What is newest at Anthropic: sets of tools, contexts that are summed up, models of 5 and 5.5."""

import json
from typing import Any, Final

import pytest

from gateway.core.chat import ToolCall
from gateway.core.errors import InvalidRequest
from gateway.wire import anthropic, bedrock
from gateway.wire.dialect import Target
from tests.wire.anthropic_messages import WEATHER, user
from tests.wire.anthropic_streams import (
    TARGET,
    add,
    begin,
    body,
    end,
    read,
    sse,
    start,
    stop,
    turns,
)
from tests.wire.chats import assembled, chat

BROWSER: Final = {"type": "browser_toolset_20260801"}
CLICK: Final = {
    "type": "tool_use", "id": "t1", "name": "left_click", "toolset_name": "browser",
    "input": {"ref": "e1"},
}  # fmt: skip


def test_a_set_of_tools_goes_on_as_it_is() -> None:
    tools = [{"type": "mcp_toolset", "mcp_server_name": "m"}, BROWSER]
    servers = [{"type": "url", "name": "m", "url": "https://m.test"}]
    assert body(tools=tools, mcp_servers=servers)["tools"] == tools


def whole() -> ToolCall:
    answer = {"type": "message", "id": "m", "content": [CLICK], "stop_reason": "tool_use"}
    found = anthropic.decode(200, {}, json.dumps(answer).encode(), TARGET)
    return found.first.tool_calls[0]


def streamed() -> ToolCall:
    block = {**CLICK, "input": {}}
    piece = add(0, "input_json_delta", partial_json='{"ref":"e1"}')
    found = read([sse(start(), begin(0, **block), piece, end(0), stop("tool_use"))])
    return next(
        ToolCall(told.id or "", told.name or "", '{"ref":"e1"}', told.extra)
        for delta in found
        for choice in delta.choices
        for told in choice.tool_calls
        if told.name
    )


def test_a_call_says_of_which_set_it_is_and_goes_back_with_it() -> None:
    for call in (whole(), streamed()):
        sent: dict[str, Any] = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        sent |= {name: json.loads(bytes(raw)) for name, raw in call.extra.items()}
        told = [user(), {"role": "assistant", "tool_calls": [sent]}]
        assert turns(*told, tools=[BROWSER])[1]["content"] == [CLICK]


def test_what_a_context_was_summed_up_to_is_streamed_whole() -> None:
    begun = begin(0, type="compaction", content=None, encrypted_content=None)
    told = add(0, "compaction_delta", content="Summed up.", encrypted_content="c2VhbGVk")
    found = assembled(read([sse(start(), begun, told, end(0), stop("compaction"))])).first
    assert json.loads(bytes(found.extra["server_tool_blocks"])) == [
        {"type": "compaction", "content": "Summed up.", "encrypted_content": "c2VhbGVk"}
    ]


def test_thoughts_that_come_whatever_is_said_are_told() -> None:
    asked = chat(reasoning_effort="none")
    for dialect, prefix in ((anthropic, ""), (bedrock, "anthropic.")):
        for model, dropped in (("opus-5-5", ("reasoning_effort",)), ("sonnet-5-5", ())):
            call = dialect.encode(asked, Target(f"{prefix}claude-{model}", 9), stream=False)
            assert call.dropped == dropped


@pytest.mark.parametrize("name", ["opus-5-5", "sonnet-5-5", "fable-5-1", "mythos-5-2", "opus-6"])
def test_who_cannot_be_made_to_call_a_tool_is_not_asked(name: str) -> None:
    asked = chat(tools=[WEATHER], tool_choice="required")
    for dialect, prefix in ((anthropic, ""), (bedrock, "anthropic.")):
        with pytest.raises(InvalidRequest) as refused:
            dialect.encode(asked, Target(f"{prefix}claude-{name}", 9), stream=False)
        assert refused.value.param == "tool_choice"
