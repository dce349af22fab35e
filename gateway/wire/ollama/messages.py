"""OpenAI messages as Ollama takes them: text, images beside it, arguments as objects."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.wire.signed_ids import split

JSON = dict[str, Any]

_ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_DATA_URL: Final = re.compile(r"data:(?:image/[\w.+-]+)?;base64,", re.IGNORECASE)


def messages(given: Any) -> list[JSON]:
    """The decoded `messages`. Raises InvalidRequest, naming the place."""
    if not isinstance(given, list) or not given:
        raise InvalidRequest("messages must be a list with at least one message", param="messages")
    names: dict[str, str] = {}
    return [_message(message, f"messages[{i}]", names) for i, message in enumerate(given)]


def _message(given: Any, where: str, names: dict[str, str]) -> JSON:
    """One message. `names` are the tools of the calls so far, by the calls' ids."""
    role = given.get("role") if isinstance(given, Mapping) else None
    if role not in _ROLES:
        raise InvalidRequest(
            f"{where}.role must be one of {', '.join(_ROLES)}", param=f"{where}.role"
        )
    told: JSON = {"role": "system" if role == "developer" else role}
    told |= _content(given.get("content"), f"{where}.content")
    if role == "assistant":
        told |= _answer(given, where, names)
    elif role == "tool":
        told |= _result(given, names)
    return told


def _answer(given: Mapping[str, Any], where: str, names: dict[str, str]) -> JSON:
    """What an answer of the model's has beside its text."""
    if given.get("function_call") is not None:
        raise InvalidRequest(
            f"{where}.function_call: send tool_calls", param=f"{where}.function_call"
        )
    told: JSON = {}
    thoughts = given.get("reasoning_content") or given.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        told["thinking"] = thoughts
    calls = given.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise InvalidRequest(f"{where}.tool_calls must be a list", param=f"{where}.tool_calls")
    if calls:
        told["tool_calls"] = [
            _call(call, f"{where}.tool_calls[{i}]", names) for i, call in enumerate(calls)
        ]
    return told


def _call(given: Any, where: str, names: dict[str, str]) -> JSON:
    function = given.get("function") if isinstance(given, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise InvalidRequest(f"{where} must be a call of a named function", param=where)
    told: JSON = {"function": {"name": name, "arguments": arguments(function, where)}}
    known = given.get("id")
    if isinstance(known, str) and known:
        known, _ = split(known)
        names[known] = name
        told = {"id": known, **told}
    return told


def arguments(function: Mapping[str, Any], where: str) -> Raw:
    """A call's arguments as the JSON object that was written: not a digit of it is changed."""
    given = function.get("arguments")
    if given is None or (isinstance(given, str) and given.strip() in {"", "null", '""'}):
        return Raw(b"{}")
    try:
        # The reading is only a proof, so a number too great for us is skipped, not refused.
        msgspec.json.decode(given, type=dict[str, Raw]) if isinstance(given, str) else given.keys()
        return Raw(given.encode() if isinstance(given, str) else msgspec.json.encode(given))
    except (msgspec.MsgspecError, AttributeError, UnicodeError, RecursionError):
        place = f"{where}.function.arguments"
        raise InvalidRequest(f"{place} must be a JSON object", param=place) from None


def _result(given: Mapping[str, Any], names: Mapping[str, str]) -> JSON:
    """A tool's result names the tool; newer versions also read the call's id."""
    told: JSON = {}
    known = given.get("tool_call_id")
    name = given.get("name")
    if isinstance(known, str) and known:
        known, _ = split(known)
        told["tool_call_id"] = known
        name = names.get(known, name)
    if isinstance(name, str) and name:
        told["tool_name"] = name
    return told


def _content(given: Any, where: str) -> JSON:
    """The text, and the images beside it."""
    if given is None or isinstance(given, str):
        return {"content": given or ""}
    if not isinstance(given, list):
        raise InvalidRequest(f"{where} must be a string or a list of parts", param=where)
    texts: list[str] = []
    images: list[str] = []
    for i, part in enumerate(given):
        place = f"{where}[{i}]"
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "image_url":
            images.append(_image(part.get("image_url"), f"{place}.image_url.url"))
        elif kind in ("text", "refusal"):
            texts.append(_string(part.get(kind), f"{place}.{kind}"))
        else:
            raise InvalidRequest(
                f"{place}: Ollama takes text and images, no part of type {str(kind)[:80]!r}",
                param=place,
            )
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _image(given: Any, where: str) -> str:
    """An image in base64. Ollama fetches nothing."""
    url = _string(given.get("url") if isinstance(given, Mapping) else given, where)
    found = _DATA_URL.match(url)
    if found is None:
        raise InvalidRequest(f"{where} must be a base64 data: URL of an image", param=where)
    return url[found.end() :]


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} must be a string", param=where)
    return value
