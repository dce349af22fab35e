"""OpenAI messages to system instructions and turns that alternate between user and assistant."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire import calls, request_fields
from gateway.wire.anthropic.parts import blocks, text, with_cache_control
from gateway.wire.parts import Block
from gateway.wire.thoughts import interleave, parse_thinking_blocks

_THINKING: Final = frozenset({"redacted_thinking", "thinking"})
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")


class Turn(Struct):
    role: str
    content: list[Block]


class Conversation(Struct, frozen=True):
    """`system` holds text blocks; `turns` alternate and none is empty."""

    system: list[Block]
    turns: list[Turn]

    @property
    def called_tools(self) -> list[str]:
        """Distinct names of the tools that were called."""
        uses = (block["name"] for block in self._blocks() if block["type"] == "tool_use")
        return list(dict.fromkeys(uses))

    @property
    def lacks_thinking(self) -> bool:
        """Whether the last answer called tools, or is to be continued, but its thinking blocks were
        not sent back.
        """
        last = next((turn for turn in reversed(self.turns) if turn.role == "assistant"), None)
        kinds = [block["type"] for block in last.content] if last else []
        goes_on = "tool_use" in kinds or last is self.turns[-1]
        return goes_on and kinds[0] not in _THINKING

    @property
    def thoughtful(self) -> bool:
        """Whether thinking blocks were sent back."""
        return any(block["type"] in _THINKING for block in self._blocks())

    def without_thinking(self) -> list[Turn]:
        """The turns without thinking blocks; none is nothing else."""
        return [
            Turn(turn.role, [block for block in turn.content if block["type"] not in _THINKING])
            for turn in self.turns
        ]

    def _blocks(self) -> list[Block]:
        return [block for turn in self.turns for block in turn.content]


def conversation(messages: Any) -> Conversation:
    """Translates the decoded `messages`. Raises InvalidRequest, naming the path."""
    system: list[Block] = []
    turns: list[Turn] = []
    ids = calls.CallIds()
    for message, where in request_fields.messages(messages):
        role = request_fields.role(message, where)
        if role in {"system", "developer"}:
            system += _instructions(message, where)
        else:
            content = _WRITERS[role](message, where, ids)
            if content:
                _append(turns, "assistant" if role == "assistant" else "user", content)
    turns = _without_final_thoughts(turns)
    if not turns:
        # OpenAI accepts instructions alone; here they become a user turn.
        system, turns = [], [Turn("user", system)] if system else []
    if not turns:
        raise InvalidRequest("messages have no content", param="messages")
    for turn in turns:
        if turn.role == "user":  # tool results must come first
            turn.content.sort(key=lambda block: block["type"] != "tool_result")
    if turns[-1].role == "assistant":
        request_fields.refuse_empty_end(messages)
        _trim(turns[-1])
    return Conversation(system, turns)


def _append(turns: list[Turn], role: str, content: list[Block]) -> None:
    """Adds content to the last turn if the role is the same, else a turn."""
    if turns and turns[-1].role == role:
        turns[-1].content += content
    else:
        turns.append(Turn(role, content))


def _without_final_thoughts(turns: list[Turn]) -> list[Turn]:
    """The API refuses an assistant turn that ends in thinking, as an answer that is nothing else
    does (tailcallhq/forgecode#3073).
    """
    result: list[Turn] = []
    for turn in turns:
        content = turn.content
        while turn.role == "assistant" and content and content[-1]["type"] in _THINKING:
            content.pop()
        if content:
            _append(result, turn.role, content)
    return result


def _instructions(message: Mapping[str, Any], where: str) -> list[Block]:
    content = blocks(message.get("content"), f"{where}.content")
    if any(block["type"] != "text" for block in content):
        raise InvalidRequest(f"{where}: instructions may only be text", param=f"{where}.content")
    return with_cache_control(content, message.get("cache_control"))


def _user(message: Mapping[str, Any], where: str, _: calls.CallIds) -> list[Block]:
    return with_cache_control(
        blocks(message.get("content"), f"{where}.content"), message.get("cache_control")
    )


def _tool(message: Mapping[str, Any], where: str, ids: calls.CallIds) -> list[Block]:
    call_id, _ = calls.split_call_id(message.get("tool_call_id"), f"{where}.tool_call_id")
    result: Block = {"type": "tool_result", "tool_use_id": _tool_id(ids.of_result(call_id))}
    content = message.get("content")
    content_blocks = blocks(content, f"{where}.content")
    if content_blocks:
        result["content"] = content if isinstance(content, str) else content_blocks
    if message.get("is_error") is True:
        result["is_error"] = True
    return with_cache_control([result], message.get("cache_control"))


def _assistant(message: Mapping[str, Any], where: str, ids: calls.CallIds) -> list[Block]:
    request_fields.refuse_message_fields(
        message, where, ("function_call", "audio"), "Anthropic's models"
    )
    content = blocks(message.get("content"), f"{where}.content")
    if isinstance(message.get("refusal"), str):
        content += text(message["refusal"])
    tool_calls = calls.tool_calls(message, where)
    uses = [[_use(call, f"{where}.tool_calls[{i}]", ids)] for i, call in enumerate(tool_calls)]
    thoughts = parse_thinking_blocks(message.get("thinking_blocks"), f"{where}.thinking_blocks")
    return with_cache_control(interleave(thoughts, content, uses), message.get("cache_control"))


def _use(call: Any, where: str, ids: calls.CallIds) -> Block:
    name, arguments = calls.name_and_arguments(call, where)
    call_id, _ = calls.split_call_id(call.get("id"), f"{where}.id")
    block = {
        "type": "tool_use",
        "id": _tool_id(ids.of_call(call_id)),
        "name": name,
        "input": arguments,
    }
    for field, kind in (("toolset_name", str), ("caller", Mapping)):
        if isinstance(call.get(field), kind):
            block[field] = call[field]
    return with_cache_control([block], call.get("cache_control"))[0]


def _tool_id(call_id: str) -> str:
    """An id with characters other than letters, digits, `_` and `-` is replaced by a hash, so that
    call and result still match.
    """
    if _ID.fullmatch(call_id):
        return call_id
    return "toolu_" + hashlib.sha256(call_id.encode()).hexdigest()[:24]


def _trim(last: Turn) -> None:
    """The API refuses a final assistant turn (a prefill) that ends in white space."""
    if last.content[-1]["type"] == "text":
        last.content[-1]["text"] = last.content[-1]["text"].rstrip()


_WRITERS: Final = {"user": _user, "assistant": _assistant, "tool": _tool}
