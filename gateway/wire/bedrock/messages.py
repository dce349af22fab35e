"""Translates OpenAI messages to system instructions and turns of user and assistant."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.errors import InvalidRequest
from gateway.wire import calls, request_fields
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.parts import IN_RESULTS, blocks, text, with_cache_point
from gateway.wire.bedrock.reply import REDACTED
from gateway.wire.bedrock.turns import Turn, valid_turns, without_final_thoughts
from gateway.wire.parts import Block
from gateway.wire.thoughts import Thought, interleave, parse_thinking_blocks

_IN_SYSTEM: Final = frozenset({"text", "cachePoint", "guardContent"})
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_CLAUDE_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Conversation(Struct, frozen=True):
    """`system` holds blocks; `turns` alternate, begin with the user, and none is empty."""

    system: list[Block]
    turns: list[Turn]

    @property
    def lacks_thinking(self) -> bool:
        """Whether the last answer called tools, or is to be continued, but its thinking blocks were
        not sent back.
        """
        last = next((turn for turn in reversed(self.turns) if turn.role == "assistant"), None)
        content = last.content if last else []
        goes_on = last is self.turns[-1] or any("toolUse" in block for block in content)
        return goes_on and "reasoningContent" not in content[0]

    @property
    def has_thinking(self) -> bool:
        """Whether thinking blocks were sent back."""
        return any("reasoningContent" in block for turn in self.turns for block in turn.content)

    def without_thinking(self) -> list[Turn]:
        """The turns without thinking blocks; none is nothing else."""
        return [
            Turn(turn.role, [block for block in turn.content if "reasoningContent" not in block])
            for turn in self.turns
        ]


class _Reader:
    """Translates messages for one model. For `calls_as_text` see `conversation`."""

    def __init__(self, accepts: Model, *, calls_as_text: bool) -> None:
        self._accepts = accepts
        self._calls_as_text = calls_as_text
        self._ids = calls.CallIds()
        self._names: dict[str, str] = {}
        """Function names by call id."""
        self.system: list[Block] = []
        self.turns: list[Turn] = []

    def add(self, message: Any, where: str) -> None:
        role = request_fields.role(message, where)
        if role in {"system", "developer"}:
            self.system += instructions(message.get("content"), f"{where}.content", message)
            return
        turn_role = "assistant" if role == "assistant" else "user"
        content = _WRITERS[role](self, message, where)
        if content and self.turns and self.turns[-1].role == turn_role:
            self.turns[-1].content += content
        elif content:
            self.turns.append(Turn(turn_role, content))

    def user(self, message: Mapping[str, Any], where: str) -> list[Block]:
        content = blocks(message.get("content"), f"{where}.content")
        return with_cache_point(content, message.get("cache_control"))

    def tool(self, message: Mapping[str, Any], where: str) -> list[Block]:
        given, _ = calls.split_call_id(message.get("tool_call_id"), f"{where}.tool_call_id")
        call_id = self._id(self._ids.of_result(given))
        content = blocks(message.get("content"), f"{where}.content")
        points = [block for block in content if "cachePoint" in block]
        content = [block for block in content if "cachePoint" not in block]
        if not all(IN_RESULTS.issuperset(block) for block in content):
            raise InvalidRequest(
                f"{where}: a result may be made of {', '.join(sorted(IN_RESULTS))}",
                param=f"{where}.content",
            )
        failed = message.get("is_error") is True
        if self._calls_as_text:
            head = f"The tool {self._names.get(call_id, '')} {'failed' if failed else 'answered'}:"
            return [*text(head), *content, *points]
        result: Block = {"toolUseId": call_id, "content": content or [{"text": "(empty)"}]}
        if failed and self._accepts.takes_result_status:
            result["status"] = "error"
        return with_cache_point([{"toolResult": result}, *points[:1]], message.get("cache_control"))

    def assistant(self, message: Mapping[str, Any], where: str) -> list[Block]:
        request_fields.refuse_message_fields(message, where, ("function_call", "audio"), "Bedrock")
        thoughts = self._thoughts(message.get("thinking_blocks"), f"{where}.thinking_blocks")
        content = blocks(message.get("content"), f"{where}.content")
        if isinstance(message.get("refusal"), str):
            content += text(message["refusal"])
        tool_calls = enumerate(calls.tool_calls(message, where))
        uses = [self._use(call, f"{where}.tool_calls[{i}]") for i, call in tool_calls]
        return with_cache_point(interleave(thoughts, content, uses), message.get("cache_control"))

    def _thoughts(self, value: Any, where: str) -> list[Thought]:
        """Those that the model reads."""
        accepts = self._accepts
        if accepts.takes_thinking:
            return _claudes_thoughts(value, where)
        if accepts.encrypts_thinking:
            return _encrypted_thoughts(value, where, accepts.vendor)
        return []

    def _use(self, call: Any, where: str) -> list[Block]:
        name, arguments = calls.name_and_arguments(call, where)
        given, _ = calls.split_call_id(call.get("id"), f"{where}.id")
        call_id = self._id(self._ids.of_call(given))
        self._names[call_id] = name
        if self._calls_as_text:
            return [{"text": f"I called the tool {name} with {bytes(arguments).decode()}"}]
        use = {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}
        return with_cache_point([use], call.get("cache_control"))

    def _id(self, call_id: str) -> str:
        """An id that the model would refuse is replaced by a hash, so that call and result still
        match.
        """
        strict = self._accepts.vendor in {"", "anthropic"}
        if (_CLAUDE_ID if strict else _ID).fullmatch(call_id):
            return call_id
        return "tooluse_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:22]


def conversation(messages: Any, accepts: Model, *, calls_as_text: bool) -> Conversation:
    """Translates the decoded `messages`. Raises InvalidRequest, naming the path.

    With `calls_as_text`, tool calls and results become text: Converse refuses them in a request
    without tools, and tools cannot be declared without allowing calls.
    """
    reader = _Reader(accepts, calls_as_text=calls_as_text)
    for message, where in request_fields.messages(messages):
        reader.add(message, where)
    system, turns = reader.system, without_final_thoughts(reader.turns)
    if not turns:
        # OpenAI accepts instructions alone; here they become a user turn.
        system, turns = [], [Turn("user", system)] if system else []
    if not turns:
        raise InvalidRequest("messages have no content", param="messages")
    if turns[-1].role == "assistant":
        request_fields.refuse_empty_end(messages)
    return Conversation(system, valid_turns(turns, accepts))


def instructions(content: Any, where: str, message: Mapping[str, Any] | None = None) -> list[Block]:
    result = blocks(content, where)
    if not all(_IN_SYSTEM.issuperset(block) for block in result):
        raise InvalidRequest(f"{where}: instructions may only be text", param=where)
    return with_cache_point(result, message.get("cache_control") if message else None)


def _encrypted_thoughts(value: Any, where: str, vendor: str) -> list[Thought]:
    """The thoughts that only models of this vendor read, as Bedrock gave them."""

    def takes(block: Mapping[str, Any]) -> bool:
        own = block.get("type") == REDACTED and block.get("vendor") == vendor
        return own and isinstance(block.get("data"), str)

    return [
        structs.replace(
            thought, block={"reasoningContent": {"redactedContent": thought.block["data"]}}
        )
        for thought in parse_thinking_blocks(value, where, takes)
    ]


def _claudes_thoughts(value: Any, where: str) -> list[Thought]:
    thoughts: list[Thought] = []
    for thought in parse_thinking_blocks(value, where):
        each = thought.block
        if each["type"] == "thinking":
            reasoning = {"text": each.get("thinking") or "", "signature": each["signature"]}
            block: Block = {"reasoningContent": {"reasoningText": reasoning}}
        else:
            block = {"reasoningContent": {"redactedContent": _redacted_bytes(each, where)}}
        thoughts.append(structs.replace(thought, block=block))
    return thoughts


def _redacted_bytes(thinking_block: Mapping[str, Any], where: str) -> bytes:
    """The encrypted thinking as bytes, which msgspec encodes in base64 as Bedrock expects."""
    try:
        data: Any = thinking_block.get("data")
        return bytes(data.encode("latin-1"))
    except (AttributeError, UnicodeError):
        raise InvalidRequest(f"{where}: redacted thoughts have no data", param=where) from None


_WRITERS: Final = {"user": _Reader.user, "assistant": _Reader.assistant, "tool": _Reader.tool}
