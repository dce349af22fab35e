"""OpenAI messages to system instructions and turns that alternate between user and assistant."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire import asked, calls
from gateway.wire.anthropic.parts import blocks, marked, text
from gateway.wire.parts import Block
from gateway.wire.thoughts import sent_back, woven

_THOUGHTS: Final = frozenset({"redacted_thinking", "thinking"})
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")


class Turn(Struct):
    role: str
    content: list[Block]


class Conversation(Struct, frozen=True):
    """`system` holds text blocks; `turns` alternate and none is empty."""

    system: list[Block]
    turns: list[Turn]

    @property
    def called(self) -> list[str]:
        """Names of the tools that were called, each once."""
        uses = (block["name"] for block in self._blocks() if block["type"] == "tool_use")
        return list(dict.fromkeys(uses))

    @property
    def thoughtless_call(self) -> bool:
        """Whether the last answer called tools without its thoughts having been sent back."""
        last = next((turn for turn in reversed(self.turns) if turn.role == "assistant"), None)
        kinds = [block["type"] for block in last.content] if last else []
        return "tool_use" in kinds and kinds[0] not in _THOUGHTS

    @property
    def thoughtful(self) -> bool:
        """Whether thoughts were sent back."""
        return any(block["type"] in _THOUGHTS for block in self._blocks())

    def _blocks(self) -> list[Block]:
        return [block for turn in self.turns for block in turn.content]


def conversation(messages: Any) -> Conversation:
    """The decoded `messages`. Raises InvalidRequest, naming the place."""
    system: list[Block] = []
    turns: list[Turn] = []
    for message, where in asked.messages(messages):
        role = asked.role(message, where)
        if role in {"system", "developer"}:
            system += _instructions(message, where)
        else:
            _take(turns, role, message, where)
    if not turns:
        # Instructions alone are a whole request to OpenAI; here they become what the user says.
        system, turns = [], [Turn("user", system)] if system else []
    if not turns:
        raise InvalidRequest("messages have no content", param="messages")
    _trim(turns[-1])
    return Conversation(system, turns)


def _take(turns: list[Turn], role: str, message: Mapping[str, Any], where: str) -> None:
    """Add a message to the last turn when that has its role, else as a turn of its own."""
    found = _SPOKEN[role](message, where)
    if not found:
        return
    speaker = "assistant" if role == "assistant" else "user"
    if turns and turns[-1].role == speaker:
        turns[-1].content += found
    else:
        turns.append(Turn(speaker, found))
    if speaker == "user":
        # The results of a turn's calls must come before anything else the user says.
        turns[-1].content.sort(key=lambda block: block["type"] != "tool_result")


def _instructions(message: Mapping[str, Any], where: str) -> list[Block]:
    found = blocks(message.get("content"), f"{where}.content")
    if any(block["type"] != "text" for block in found):
        raise InvalidRequest(f"{where}: instructions may only be text", param=f"{where}.content")
    return marked(found, message.get("cache_control"))


def _user(message: Mapping[str, Any], where: str) -> list[Block]:
    return marked(blocks(message.get("content"), f"{where}.content"), message.get("cache_control"))


def _tool(message: Mapping[str, Any], where: str) -> list[Block]:
    result: Block = {
        "type": "tool_result",
        "tool_use_id": tool_id(message.get("tool_call_id"), f"{where}.tool_call_id"),
    }
    content = message.get("content")
    found = blocks(content, f"{where}.content")
    if found:
        result["content"] = content if isinstance(content, str) else found
    if message.get("is_error") is True:
        result["is_error"] = True
    return marked([result], message.get("cache_control"))


def _assistant(message: Mapping[str, Any], where: str) -> list[Block]:
    asked.unsayable(message, where, ("function_call", "audio"), "Anthropic's models")
    spoken = blocks(message.get("content"), f"{where}.content")
    if isinstance(message.get("refusal"), str):
        spoken += text(message["refusal"])
    made = calls.made(message, where)
    uses = [[_use(call, f"{where}.tool_calls[{i}]")] for i, call in enumerate(made)]
    thoughts = sent_back(message.get("thinking_blocks"), f"{where}.thinking_blocks")
    return marked(woven(thoughts, spoken, uses), message.get("cache_control"))


def _use(call: Any, where: str) -> Block:
    name, arguments = calls.called(call, where)
    block = {
        "type": "tool_use",
        "id": tool_id(call.get("id"), f"{where}.id"),
        "name": name,
        "input": arguments,
    }
    for field, kind in (("toolset_name", str), ("caller", Mapping)):
        if isinstance(call.get(field), kind):
            block[field] = call[field]
    return marked([block], call.get("cache_control"))[0]


def tool_id(given: Any, where: str) -> str:
    """The id of a call, without a signature of Google's in it. One that another provider made
    with other signs than letters, digits, `_` and `-` is replaced, the same way in the call and
    in its result.
    """
    told, _ = calls.call_id(given, where)
    if _ID.fullmatch(told):
        return told
    return "toolu_" + hashlib.sha256(told.encode()).hexdigest()[:24]


def _trim(last: Turn) -> None:
    """An answer that is to be continued may not end in white space."""
    if last.role == "assistant" and last.content[-1]["type"] == "text":
        last.content[-1]["text"] = last.content[-1]["text"].rstrip()


_SPOKEN: Final = {"user": _user, "assistant": _assistant, "tool": _tool}
