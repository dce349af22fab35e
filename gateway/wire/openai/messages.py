"""Adapts messages to a host's quirks. Everything else in them is sent byte for byte."""

import hashlib
import re
from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.core.errors import InvalidRequest
from gateway.wire.openai.signatures import restore_signatures
from gateway.wire.signed_ids import strip_signatures

Message = dict[str, Raw]


class ForeignFields(Struct, frozen=True):
    """Non-OpenAI fields of answers that clients send back. The first three are other hosts', the
    last is from Google's OpenAI-compatible endpoint, the others are from our anthropic and gemini
    dialects. Hosts that validate messages refuse them.
    """

    reasoning: Raw | UnsetType = UNSET
    reasoning_content: Raw | UnsetType = UNSET
    reasoning_details: Raw | UnsetType = UNSET
    citations: Raw | UnsetType = UNSET
    extra_content: Raw | UnsetType = UNSET
    images: Raw | UnsetType = UNSET
    server_tool_blocks: Raw | UnsetType = UNSET
    thinking_blocks: Raw | UnsetType = UNSET
    thought_signature: Raw | UnsetType = UNSET


FOREIGN_FIELDS: Final = ForeignFields.__struct_fields__
_ANSWER_FIELDS: Final = frozenset({"annotations", "audio", "function_call", "refusal"})
"""OpenAI's fields of answers, which clients send back unset: strict hosts refuse them even so."""
_UNSET: Final = (b"null", b"[]")
MESSAGE_QUIRKS: Final = frozenset(
    {
        "echo_reasoning",
        "no_developer_role",
        "no_user_after_tool",
        "short_tool_ids",
        "takes_reasoning",
        "takes_reasoning_content",
        "takes_reasoning_details",
        "thought_signatures",
    }
)

_SHORT: Final = re.compile(r"[A-Za-z0-9]{9}")
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NONE: Final = ForeignFields()
_SEPARATOR: Final[Message] = {"role": Raw(b'"assistant"'), "content": Raw(b'"OK."')}
_SYSTEM: Final = Raw(b'"system"')
_EMPTY: Final = Raw(b'""')
_NULL: Final = Raw(b"null")
_THOUGHTS_END: Final = b"</think>"

_encode: Final = msgspec.json.Encoder().encode
_messages: Final = msgspec.json.Decoder(list[Message]).decode
_string: Final = msgspec.json.Decoder(str).decode
_decode_foreign_fields: Final = msgspec.json.Decoder(list[ForeignFields]).decode
_calls: Final = msgspec.json.Decoder(list[Message]).decode


def adapt_messages(messages: Raw, quirks: Collection[str], *, tools: bool = False) -> Raw:
    """The messages as this host accepts them; the same object if nothing has to change. `tools`:
    the request offers some.
    """
    if "thought_signatures" not in quirks:
        messages = strip_signatures(messages)
    quirky = not MESSAGE_QUIRKS.isdisjoint(quirks)
    if not quirky and b'"assistant"' not in bytes(messages):
        return messages
    try:
        plain = not quirky and b'"extra_content"' not in bytes(messages)
        if plain and all(thoughts == _NONE for thoughts in _decode_foreign_fields(messages)):
            return messages
        decoded = _messages(messages)
        tools = tools or any(map(_calls_tools, decoded))
        adapted = [_adapt(message, quirks, tools=tools) for message in decoded]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidRequest("messages must be a list of messages", param="messages") from None
    if "no_user_after_tool" in quirks:
        adapted = _separate_user_from_tool(adapted)
    return messages if adapted == decoded else Raw(_encode(adapted))


def short_id(call_id: str) -> str:
    """An id of 9 letters and digits: the id itself, or one derived from it by a hash."""
    if _SHORT.fullmatch(call_id):
        return call_id
    number = int.from_bytes(hashlib.blake2b(call_id.encode(), digest_size=8).digest())
    letters = []
    for _ in range(9):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def _adapt(message: Message, quirks: Collection[str], *, tools: bool) -> Message:
    role = _string(message.get("role", _EMPTY))
    if role == "developer" and "no_developer_role" in quirks:
        return {**message, "role": _SYSTEM}
    if "thought_signatures" in quirks:
        message = restore_signatures(message)
    if role == "assistant":
        message = _filter_foreign_fields(_without_unset(message), quirks, tools=tools)
    return _with_short_ids(message) if "short_tool_ids" in quirks else message


def _without_unset(message: Message) -> Message:
    if _ANSWER_FIELDS.isdisjoint(message):
        return message
    return {
        name: raw
        for name, raw in message.items()
        if name not in _ANSWER_FIELDS or bytes(raw) not in _UNSET
    }


def _filter_foreign_fields(message: Message, quirks: Collection[str], *, tools: bool) -> Message:
    if "echo_reasoning" in quirks:
        return _with_reasoning(message) if tools else message
    signs = "thought_signatures" in quirks
    retained = {
        name: raw
        for name, raw in message.items()
        if name not in FOREIGN_FIELDS
        or f"takes_{name}" in quirks
        or (signs and name == "extra_content")
    }
    calls = retained.get("tool_calls", _EMPTY)
    if not signs and b'"extra_content"' in bytes(calls):
        retained["tool_calls"] = Raw(_encode([_without_signature(call) for call in _calls(calls)]))
    return retained


def _with_reasoning(message: Message) -> Message:
    """An answer with `reasoning_content`, be it empty: in a chat with tools DeepSeek answers 400
    for any answer without (DeepSeek, "Thinking Mode"; MoonshotAI/kimi-cli#2141), Kimi for one that
    calls. One that calls none and has its thoughts in its text, as MiniMax's, stays as it is.
    """
    if bytes(message.get("reasoning_content", _NULL)) != b"null":
        return message
    if not _calls_tools(message) and _THOUGHTS_END in bytes(message.get("content", _NULL)):
        return message
    others = message.get("reasoning", _NULL)  # of a host that names them so
    return {**message, "reasoning_content": others if bytes(others)[:1] == b'"' else _EMPTY}


def _calls_tools(message: Message) -> bool:
    return bytes(message.get("tool_calls", _NULL)) not in _UNSET


def _without_signature(call: Message) -> Message:
    """A call without Google's thought signature."""
    return {name: raw for name, raw in call.items() if name != "extra_content"}


def _with_short_ids(message: Message) -> Message:
    result = dict(message)
    if "tool_call_id" in result:
        result["tool_call_id"] = _shorten_id(result["tool_call_id"])
    calls = result.get("tool_calls")
    if calls is not None and bytes(calls) != b"null":
        result["tool_calls"] = Raw(
            _encode([
                {**call, "id": _shorten_id(call["id"])} if "id" in call else call
                for call in _calls(calls)
            ])
        )  # fmt: skip
    return result


def _shorten_id(given: Raw) -> Raw:
    return given if bytes(given) == b"null" else Raw(_encode(short_id(_string(given))))


def _separate_user_from_tool(messages: list[Message]) -> list[Message]:
    result: list[Message] = []
    before = ""
    for message in messages:
        role = _string(message.get("role", _EMPTY))
        if role == "user" and before == "tool":
            result.append(_SEPARATOR)
        result.append(message)
        before = role
    return result
