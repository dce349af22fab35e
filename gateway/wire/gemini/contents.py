"""OpenAI messages to the system instruction and turns of user and model."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire import asked, calls
from gateway.wire.gemini.parts import parts, text
from gateway.wire.parts import Block as Part
from gateway.wire.signed_ids import PLACEHOLDER_SIGNATURE


class Turn(Struct):
    role: str
    parts: list[Part]
    results: bool = False
    """Whether it holds the results of calls: those stand apart from what the user says."""


class Conversation:
    """`system` holds text parts; no turn is empty, and none has the role of the one before it,
    but for results, which keep their own.

    `signs` is a model that refuses a call without a signature. Raises InvalidRequest, naming the
    place in `messages`.
    """

    def __init__(self, messages: Any, *, signs: bool) -> None:
        self.system: list[Part] = []
        self.turns: list[Turn] = []
        self._signs = signs
        self._names: dict[str, str] = {}
        """The function that each call is of, by the call's id."""
        self._media: list[Part] = []
        """Of results, said after the last of their run: a turn must answer all calls at once."""
        for message, where in asked.messages(messages):
            self._take(message, where)
        self._add("user", self._media)
        if not self.turns and self.system:
            # Instructions alone are a whole request to OpenAI; here the user says them.
            self.system, self.turns = [], [Turn("user", self.system)]
        if not self.turns:
            raise InvalidRequest("messages have no content", param="messages")

    def _take(self, message: Any, where: str) -> None:
        role = asked.role(message, where)
        if role in {"assistant", "user"}:
            self._add("user", self._media)
            self._media = []
        if role == "assistant":
            self._add("model", self._assistant(message, where))
        elif role == "tool":
            self._tool(message, where)
        elif role == "user":
            self._add("user", parts(message.get("content"), f"{where}.content"))
        else:
            self.system += _instructions(message, where)

    def _add(self, role: str, found: list[Part], *, results: bool = False) -> None:
        last = self.turns[-1] if self.turns else None
        if not found:
            return
        if last is not None and last.role == role and last.results == results:
            last.parts += found
        else:
            self.turns.append(Turn(role, found, results))

    def _assistant(self, message: Mapping[str, Any], where: str) -> list[Part]:
        asked.refuse_message_fields(message, where, ("function_call", "audio"), "Google's models")
        spoken = parts(message.get("content"), f"{where}.content")
        if isinstance(message.get("refusal"), str):
            spoken += text(message["refusal"])
        signature = _signature(message)
        if signature and spoken and "text" in spoken[-1]:
            spoken[-1]["thoughtSignature"] = signature
        given = calls.tool_calls(message, where)
        made = [self._call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(given)]
        if self._signs and made:
            # Of calls made at once only the first is signed.
            made[0].setdefault("thoughtSignature", PLACEHOLDER_SIGNATURE)
        return _native(message) + spoken + made

    def _call(self, call: Any, where: str) -> Part:
        name, args = calls.name_and_arguments(call, where)
        call_id, carried = calls.split_call_id(call.get("id"), f"{where}.id")
        self._names[call_id] = name
        part: Part = {"functionCall": {"id": call_id, "name": name, "args": args}}
        signature = _signature(call) or carried
        return part | ({"thoughtSignature": signature} if signature else {})

    def _tool(self, message: Mapping[str, Any], where: str) -> None:
        call_id, _ = calls.split_call_id(message.get("tool_call_id"), f"{where}.tool_call_id")
        name = self._names.get(call_id) or message.get("name")
        if not isinstance(name, str):
            raise InvalidRequest(
                f"{where}.tool_call_id names no earlier tool call", param=f"{where}.tool_call_id"
            )
        content = message.get("content")
        found = parts(content, f"{where}.content")
        said = "".join(part["text"] for part in found if "text" in part)
        response = {"id": call_id, "name": name, "response": _response(said)}
        self._add("user", [{"functionResponse": response}], results=True)
        self._media += [part for part in found if "text" not in part]


def _response(said: str) -> Any:
    """The API wants an object: one that the tool wrote, else {"result": text}."""
    return calls.json_object(said) or {"result": said}


def _google(holder: Mapping[str, Any], name: str) -> Any:
    """A field of extra_content.google, of a message or a call; None where there is none."""
    content = holder.get("extra_content")
    google = content.get("google") if isinstance(content, Mapping) else None
    return google.get(name) if isinstance(google, Mapping) else None


def _signature(holder: Mapping[str, Any]) -> str | None:
    found = _google(holder, "thought_signature")
    return found if isinstance(found, str) and found else None


def _native(message: Mapping[str, Any]) -> list[Part]:
    """Parts of the provider's own tools, as they came with an earlier answer."""
    found = _google(message, "server_tool_parts")
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _instructions(message: Mapping[str, Any], where: str) -> list[Part]:
    found = parts(message.get("content"), f"{where}.content")
    if any("text" not in part for part in found):
        raise InvalidRequest(f"{where}: instructions may only be text", param=f"{where}.content")
    return found
