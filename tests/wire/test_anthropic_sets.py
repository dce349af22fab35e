"""What is newest at Anthropic: sets of tools, calls that code makes there, contexts that are summed
up, models of 5 and 5.5.
"""

import json
from typing import Any, Final

import pytest

from gateway.core.chat import Completion, ToolCall
from gateway.core.errors import InvalidRequest, Unsuitable
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
CLICK: Final = {"type": "tool_use", "id": "t1", "name": "left_click", "input": {"ref": "e1"}}
BY_CODE: Final = {"caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}}
OF_A_SET: Final = {"toolset_name": "browser"}


def test_a_set_of_tools_goes_on_as_it_is() -> None:
    tools = [{"type": "mcp_toolset", "mcp_server_name": "m"}, BROWSER]
    servers = [{"type": "url", "name": "m", "url": "https://m.test"}]
    assert body(tools=tools, mcp_servers=servers)["tools"] == tools


def whole(block: dict[str, Any], **more: Any) -> Completion:
    answer = {"type": "message", "id": "m", "content": [block], "stop_reason": "tool_use", **more}
    return anthropic.decode(200, {}, json.dumps(answer).encode(), TARGET)


def streamed(block: dict[str, Any]) -> ToolCall:
    piece = add(0, "input_json_delta", partial_json='{"ref":"e1"}')
    begun = begin(0, **{**block, "input": {}})
    found = read([sse(start(), begun, piece, end(0), stop("tool_use"))])
    return next(
        ToolCall(told.id or "", told.name or "", '{"ref":"e1"}', told.extra)
        for delta in found
        for choice in delta.choices
        for told in choice.tool_calls
        if told.name
    )


@pytest.mark.parametrize("more", [{}, OF_A_SET, BY_CODE, OF_A_SET | BY_CODE])
def test_a_call_says_whose_it_is_and_goes_back_with_it(more: dict[str, Any]) -> None:
    """Of a set of Anthropic's tools, or made by code that runs there."""
    block = CLICK | more
    for call in (whole(block).first.tool_calls[0], streamed(block)):
        sent: dict[str, Any] = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        assert call.extra.keys() == more.keys()
        sent |= {name: json.loads(bytes(raw)) for name, raw in call.extra.items()}
        told = [user(), {"role": "assistant", "tool_calls": [sent]}]
        assert turns(*told, tools=[BROWSER])[1]["content"] == [block]


def test_that_the_model_itself_made_a_call_is_not_told() -> None:
    block = CLICK | {"caller": {"type": "direct"}}
    assert [each.extra for each in (*whole(block).first.tool_calls, streamed(block))] == [{}, {}]


def test_what_a_call_by_code_goes_on_with_is_told_and_may_be_sent_back() -> None:
    """The container that its code waits in, and the block that began it."""
    beside: dict[str, Any] = {
        "container": {"id": "container_1", "expires_at": "2026-11-23T12:00:00Z"},
        "context_management": {"applied_edits": []},
    }
    ending = stop("tool_use")
    ending["delta"]["container"] = beside["container"]
    ending["context_management"] = beside["context_management"]
    *_, last = read([sse(start(), ending, {"type": "message_stop"})])
    for answer in (whole(CLICK, **beside), last):
        assert {name: json.loads(bytes(raw)) for name, raw in answer.extra.items()} == beside
    code = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {}}
    parts = [{"type": "text", "text": "I look."}, code]
    said = {"role": "assistant", "content": parts}
    assert turns(user(), said, user())[1]["content"] == parts


def test_what_a_context_was_summed_up_to_is_streamed_whole() -> None:
    begun = begin(0, type="compaction", content=None, encrypted_content=None)
    told = add(0, "compaction_delta", content="Summed up.", encrypted_content="c2VhbGVk")
    signed = add(0, "signature_delta", signature="c2lnbmVk")
    found = assembled(read([sse(start(), begun, told, signed, end(0), stop("compaction"))])).first
    block = {"type": "compaction", "content": "Summed up.", "encrypted_content": "c2VhbGVk"}
    block["signature"] = "c2lnbmVk"
    assert json.loads(bytes(found.extra["server_tool_blocks"])) == [block]
    assert turns({"role": "assistant", "content": [block]}, user())[0]["content"] == [block]


BINDING: Final = "thinking-binding-controls-2026-08-01"
DROPS: Final = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
REFUSES: Final = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}
ADAPTIVE: Final = {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "betas"),
    [
        ("opus-5-5", {}, ADAPTIVE | DROPS, [BINDING]),
        ("haiku-5-5", {"betas": ["x"]}, ADAPTIVE | DROPS, ["x", BINDING]),
        ("fable-5-1", {"thinking": ADAPTIVE, "betas": [BINDING]}, ADAPTIVE | DROPS, [BINDING]),
        ("sonnet-6", {"thinking": REFUSES}, REFUSES, None),
        ("sonnet-5-5", {"reasoning_effort": "none"}, {"type": "between_tools"}, None),
        ("opus-5", {}, None, None),
        ("opus-4-6", {}, None, None),
    ],
)
def test_thoughts_whose_conversation_has_changed_are_left_out_not_refused(
    model: str, asked: dict[str, Any], thinking: Any, betas: list[str] | None
) -> None:
    """As by a client that shortens it, or a strategy that had added to it: it was refused with 400,
    and so was all that came after it.
    """
    thought = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    said = {"role": "assistant", "content": "A.", "thinking_blocks": [thought]}
    asked = {"messages": [user(), said, user()], **asked}
    claude = Target(f"claude-{model}", 9)
    call = anthropic.encode(chat(**asked), claude, stream=False)
    assert json.loads(call.body).get("thinking") == thinking
    assert call.headers.get("anthropic-beta") == (",".join(betas) if betas else None)
    assert call.dropped == ()
    there = Target(f"us.anthropic.{claude.upstream}-v1:0", 9)
    fields = json.loads(bedrock.encode(chat(**asked), there, stream=False).body).get(
        "additionalModelRequestFields", {}
    )
    assert (fields.get("thinking"), fields.get("anthropic_beta")) == (thinking, betas)
    quiet = anthropic.encode(chat(**{**asked, "messages": [user()]}), claude, stream=False)
    assert DROPS["block_binding"] != (json.loads(quiet.body).get("thinking") or {}).get(
        "block_binding"
    )


@pytest.mark.parametrize(
    ("model", "asked", "kept"),
    [
        ("haiku-5-5", {"reasoning_effort": "none"}, False),
        ("haiku-5-5", {"thinking": {"type": "disabled"}}, False),
        ("haiku-5-5", {}, True),
        ("opus-5", {"reasoning_effort": "none"}, True),  # which binds none
    ],
)
def test_who_is_not_to_think_is_sent_no_thoughts_that_are_bound(
    model: str, asked: dict[str, Any], *, kept: bool
) -> None:
    """There is no `block_binding` then: each was refused with 400 once its conversation changed."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = {"role": "assistant", "content": "A.", "thinking_blocks": [thought]}
    request = chat(messages=[user(), said, user()], **asked)
    for dialect, prefix in ((anthropic, ""), (bedrock, "us.anthropic.")):
        call = dialect.encode(request, Target(f"{prefix}claude-{model}", 9), stream=False)
        assert (b"Hm." in call.body) is kept
        assert json.loads(call.body)["messages"][1]["content"][-1]["text"] == "A."


def test_a_thought_that_a_model_cannot_read_is_no_fault_of_the_client() -> None:
    told = "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a"
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": told}}
    with pytest.raises(Unsuitable):
        anthropic.decode(400, {}, json.dumps(error).encode(), TARGET)
    with pytest.raises(Unsuitable):
        bedrock.decode(
            400, {"x-amzn-errortype": "ValidationException"},
            json.dumps({"message": told}).encode(), TARGET,
        )  # fmt: skip


@pytest.mark.parametrize("thoughts", [{}, {"thinking_blocks": [
    {"type": "thinking", "thinking": "", "signature": "c2ln"}
]}])  # fmt: skip
def test_thoughts_that_come_whatever_is_said_are_told(thoughts: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": "A.", **thoughts}
    asked = chat(reasoning_effort="none", messages=[user(), said, user()])
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


@pytest.mark.parametrize(
    ("effort", "level"), [("none", "low"), ("low", "low"), ("xhigh", "max"), ("max", "max")]
)
def test_the_preview_of_mythos_thinks_by_effort_and_always(effort: str, level: str) -> None:
    """It has no number in its name: it was asked for a budget, and refuses one with 400."""
    asked = chat(reasoning_effort=effort, temperature=0.5)
    call = anthropic.encode(asked, Target("claude-mythos-preview", 9_000), stream=False)
    made = json.loads(call.body)
    assert made["output_config"] == {"effort": level}
    assert made.get("thinking", ADAPTIVE)["type"] == "adaptive"
    assert "temperature" not in made
    there = bedrock.encode(asked, Target("anthropic.claude-mythos-preview", 9_000), stream=False)
    fields = json.loads(there.body)["additionalModelRequestFields"]
    assert fields["output_config"] == {"effort": level}
    assert fields.get("thinking", ADAPTIVE)["type"] == "adaptive"
