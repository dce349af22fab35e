"""Translates OpenAI messages to the system instruction and turns of user and model."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.core.errors import InvalidRequest
from gateway.wire import calls, request_fields
from gateway.wire.gemini.generation import Generation
from gateway.wire.gemini.parts import parts, text
from gateway.wire.parts import Block as Part
from gateway.wire.signed_ids import PLACEHOLDER_SIGNATURE


class Turn(Struct):
    role: str
    parts: list[Part]
    results: bool = False
    """Whether it holds tool results, which are kept apart from what the user says."""


class Conversation:
    """`system` holds text parts. No turn is empty, and roles alternate, except that tool results
    have turns of their own.

    Raises InvalidRequest, naming the path in `messages`.
    """

    def __init__(self, messages: Any, accepts: Generation) -> None:
        self.system: list[Part] = []
        self.turns: list[Turn] = []
        self._accepts = accepts
        self._ids = calls.CallIds()
        self._names: dict[str, str] = {}
        """Function names by call id."""
        self._media: list[Part] = []
        """Media from tool results, sent after the last result: one turn must answer all calls."""
        for message, where in request_fields.messages(messages):
            self._add_message(message, where)
        self._add("user", self._media)
        if not self.turns and self.system:
            # OpenAI accepts instructions alone; here they become a user turn.
            self.system, self.turns = [], [Turn("user", self.system)]
        if not self.turns:
            raise InvalidRequest("messages have no content", param="messages")
        if self.turns[-1].role == "model":
            request_fields.refuse_empty_end(messages)

    def _add_message(self, message: Any, where: str) -> None:
        role = request_fields.role(message, where)
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

    def _add(self, role: str, new_parts: list[Part], *, results: bool = False) -> None:
        last = self.turns[-1] if self.turns else None
        if not new_parts:
            return
        if last is not None and last.role == role and last.results == results:
            last.parts += new_parts
        else:
            self.turns.append(Turn(role, new_parts, results))

    def _assistant(self, message: Mapping[str, Any], where: str) -> list[Part]:
        request_fields.refuse_message_fields(
            message, where, ("function_call", "audio"), "Google's models"
        )
        content = parts(message.get("content"), f"{where}.content")
        if isinstance(message.get("refusal"), str):
            content += text(message["refusal"])
        signature = _signature(message)
        if signature and content and "text" in content[-1]:
            content[-1]["thoughtSignature"] = signature
        tool_calls = calls.tool_calls(message, where)
        call_parts = [
            self._call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(tool_calls)
        ]
        if self._accepts.needs_signatures and call_parts:
            # Only the first of parallel calls is signed.
            call_parts[0].setdefault("thoughtSignature", PLACEHOLDER_SIGNATURE)
        return _server_tool_parts(message) + content + self._images(message, where) + call_parts

    def _images(self, message: Mapping[str, Any], where: str) -> list[Part]:
        """Pictures of the answer. Those without a signature are left out where the model refuses
        them, as others' are.
        """
        images = message.get("images") if self._accepts.draws else None
        result: list[Part] = []
        for image in images if isinstance(images, list) else ():
            signature = _signature(image) if isinstance(image, Mapping) else None
            if signature is not None or not self._accepts.needs_signatures:
                signed = {} if signature is None else {"thoughtSignature": signature}
                result += [part | signed for part in parts([image], f"{where}.images")]
        return result

    def _call(self, call: Any, where: str) -> Part:
        name, args = calls.name_and_arguments(call, where)
        given, id_signature = calls.split_call_id(call.get("id"), f"{where}.id")
        call_id = self._ids.of_call(given)
        self._names[call_id] = name
        part: Part = {"functionCall": {"id": call_id, "name": name, "args": args}}
        signature = _signature(call) or id_signature
        return part | ({"thoughtSignature": signature} if signature else {})

    def _tool(self, message: Mapping[str, Any], where: str) -> None:
        given, _ = calls.split_call_id(message.get("tool_call_id"), f"{where}.tool_call_id")
        call_id = self._ids.of_result(given)
        name = self._names.get(call_id) or message.get("name")
        if not isinstance(name, str):
            raise InvalidRequest(
                f"{where}.tool_call_id names no earlier tool call", param=f"{where}.tool_call_id"
            )
        content = message.get("content")
        result_parts = parts(content, f"{where}.content")
        output = "".join(part["text"] for part in result_parts if "text" in part)
        response = {"id": call_id, "name": name, "response": _response(output)}
        self._add("user", [{"functionResponse": response}], results=True)
        self._media += [part for part in result_parts if "text" not in part]


def _response(output: str) -> Any:
    """The output if it is a JSON object, which the API requires, else {"result": text}."""
    return calls.json_object(output) or {"result": output}


def _google_field(holder: Mapping[str, Any], name: str) -> Any:
    """A field of `extra_content.google` of a message or a call, or None."""
    content = holder.get("extra_content")
    google = content.get("google") if isinstance(content, Mapping) else None
    return google.get(name) if isinstance(google, Mapping) else None


def _signature(holder: Mapping[str, Any]) -> str | None:
    signature = _google_field(holder, "thought_signature")
    return signature if isinstance(signature, str) and signature else None


def _server_tool_parts(message: Mapping[str, Any]) -> list[Part]:
    """Parts of the provider's own tools, from an earlier answer."""
    native = _google_field(message, "server_tool_parts")
    return [part for part in native if isinstance(part, dict)] if isinstance(native, list) else []


def _instructions(message: Mapping[str, Any], where: str) -> list[Part]:
    result = parts(message.get("content"), f"{where}.content")
    if any("text" not in part for part in result):
        raise InvalidRequest(f"{where}: instructions may only be text", param=f"{where}.content")
    return result
