"""OpenAI messages to system instructions and turns of user and assistant."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from gateway.core.errors import InvalidRequest
from gateway.wire import asked, calls
from gateway.wire.bedrock.models import Model
from gateway.wire.bedrock.parts import IN_RESULTS, blocks, marked, text
from gateway.wire.bedrock.turns import Turn, lawful
from gateway.wire.parts import Block
from gateway.wire.thoughts import Thought, sent_back, woven

_IN_SYSTEM: Final = frozenset({"text", "cachePoint", "guardContent"})
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_CLAUDE_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Conversation(Struct, frozen=True):
    """`system` holds blocks; `turns` alternate, begin with the user, and none is empty."""

    system: list[Block]
    turns: list[Turn]

    @property
    def thoughtless_call(self) -> bool:
        """Whether the last answer called tools without its thoughts having been sent back."""
        last = next((turn for turn in reversed(self.turns) if turn.role == "assistant"), None)
        content = last.content if last else []
        return any("toolUse" in b for b in content) and "reasoningContent" not in content[0]

    @property
    def thoughtful(self) -> bool:
        """Whether thoughts were sent back."""
        return any("reasoningContent" in block for turn in self.turns for block in turn.content)


class _Reader:
    """Reads messages for one model. `tells` says whether calls are told in words: see `told`."""

    def __init__(self, accepts: Model, *, tells: bool) -> None:
        self._accepts = accepts
        self._tells = tells
        self._names: dict[str, str] = {}
        """What each call called, by its id."""
        self.system: list[Block] = []
        self.turns: list[Turn] = []

    def take(self, message: Any, where: str) -> None:
        role = asked.role(message, where)
        if role in {"system", "developer"}:
            self.system += instructions(message.get("content"), f"{where}.content", message)
            return
        speaker = "assistant" if role == "assistant" else "user"
        found = _SPOKEN[role](self, message, where)
        if found and self.turns and self.turns[-1].role == speaker:
            self.turns[-1].content += found
        elif found:
            self.turns.append(Turn(speaker, found))

    def user(self, message: Mapping[str, Any], where: str) -> list[Block]:
        found = blocks(message.get("content"), f"{where}.content")
        return marked(found, message.get("cache_control"))

    def tool(self, message: Mapping[str, Any], where: str) -> list[Block]:
        given = self._id(message.get("tool_call_id"), f"{where}.tool_call_id")
        content = blocks(message.get("content"), f"{where}.content")
        points = [block for block in content if "cachePoint" in block]
        content = [block for block in content if "cachePoint" not in block]
        if not all(IN_RESULTS.issuperset(block) for block in content):
            raise InvalidRequest(
                f"{where}: a result may be made of {', '.join(sorted(IN_RESULTS))}",
                param=f"{where}.content",
            )
        failed = message.get("is_error") is True
        if self._tells:
            head = f"The tool {self._names.get(given, '')} {'failed' if failed else 'answered'}:"
            return [*text(head), *content, *points]
        result: Block = {"toolUseId": given, "content": content or [{"text": "(empty)"}]}
        if failed and self._accepts.tells_errors:
            result["status"] = "error"
        return marked([{"toolResult": result}, *points[:1]], message.get("cache_control"))

    def assistant(self, message: Mapping[str, Any], where: str) -> list[Block]:
        asked.unsayable(message, where, ("function_call", "audio"), "Bedrock")
        thoughts = _thoughts(message.get("thinking_blocks"), f"{where}.thinking_blocks")
        spoken = blocks(message.get("content"), f"{where}.content")
        if isinstance(message.get("refusal"), str):
            spoken += text(message["refusal"])
        made = enumerate(calls.made(message, where))
        uses = [self._use(call, f"{where}.tool_calls[{i}]") for i, call in made]
        return marked(woven(thoughts, spoken, uses), message.get("cache_control"))

    def _use(self, call: Any, where: str) -> list[Block]:
        name, given = calls.called(call, where)
        known = self._id(call.get("id"), f"{where}.id")
        self._names[known] = name
        if self._tells:
            return [{"text": f"I called the tool {name} with {bytes(given).decode()}"}]
        use = {"toolUse": {"toolUseId": known, "name": name, "input": given}}
        return marked([use], call.get("cache_control"))

    def _id(self, given: Any, where: str) -> str:
        """The id of a call, without a signature of Google's in it. One with other signs than the
        model takes, or too long, is replaced: the same way in the call and in its result.
        """
        told, _ = calls.call_id(given, where)
        strict = self._accepts.vendor in {"", "anthropic"}
        if (_CLAUDE_ID if strict else _ID).fullmatch(told):
            return told
        return "tooluse_" + hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:22]


def conversation(messages: Any, accepts: Model, *, tells: bool) -> Conversation:
    """The decoded `messages`. Raises InvalidRequest, naming the place.

    With `tells`, calls of tools and their results are told in words: Converse takes neither in a
    request that offers no tools, and has no way to offer tools that may not be called.
    """
    reader = _Reader(accepts, tells=tells)
    for message, where in asked.messages(messages):
        reader.take(message, where)
    system, turns = reader.system, reader.turns
    if not turns:
        # Instructions alone are a whole request to OpenAI; here they become what the user says.
        system, turns = [], [Turn("user", system)] if system else []
    if not turns:
        raise InvalidRequest("messages have no content", param="messages")
    return Conversation(system, lawful(turns, accepts))


def instructions(content: Any, where: str, message: Mapping[str, Any] | None = None) -> list[Block]:
    found = blocks(content, where)
    if not all(_IN_SYSTEM.issuperset(block) for block in found):
        raise InvalidRequest(f"{where}: instructions may only be text", param=where)
    return marked(found, message.get("cache_control") if message else None)


def _thoughts(given: Any, where: str) -> list[Thought]:
    found: list[Thought] = []
    for thought in sent_back(given, where):
        each = thought.block
        if each["type"] == "thinking":
            told = {"text": each.get("thinking") or "", "signature": each["signature"]}
            block: Block = {"reasoningContent": {"reasoningText": told}}
        else:
            block = {"reasoningContent": {"redactedContent": _sealed(each, where)}}
        found.append(structs.replace(thought, block=block))
    return found


def _sealed(each: Mapping[str, Any], where: str) -> bytes:
    """The cipher as bytes: msgspec writes them in base64, as a blob is on this wire."""
    try:
        data: Any = each.get("data")
        return bytes(data.encode("latin-1"))
    except (AttributeError, UnicodeError):
        raise InvalidRequest(f"{where}: redacted thoughts have no data", param=where) from None


_SPOKEN: Final = {"user": _Reader.user, "assistant": _Reader.assistant, "tool": _Reader.tool}
