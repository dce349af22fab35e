"""Translates OpenAI messages for Ollama: text, images apart from it, arguments as objects."""

from collections.abc import Mapping
from typing import Any

from gateway.core.errors import InvalidRequest
from gateway.wire import calls, parts, request_fields
from gateway.wire.signed_ids import split_id

JSON = dict[str, Any]


def messages(given: Any) -> list[JSON]:
    """Translates the decoded `messages`. Raises InvalidRequest, naming the path."""
    names: dict[str, str] = {}
    return [_message(message, where, names) for message, where in request_fields.messages(given)]


def _message(given: Any, where: str, names: dict[str, str]) -> JSON:
    """Translates one message. `names` maps the ids of earlier calls to function names."""
    role = request_fields.role(given, where)
    message: JSON = {"role": "system" if role == "developer" else role}
    message |= _content(given.get("content"), f"{where}.content")
    if role == "assistant":
        message |= _answer(given, where, names)
        if isinstance(given.get("refusal"), str):
            message["content"] = "\n".join(filter(None, (message["content"], given["refusal"])))
    elif role == "tool":
        message |= _result(given, names)
    return message


def _answer(given: Mapping[str, Any], where: str, names: dict[str, str]) -> JSON:
    """An assistant message's fields besides its content."""
    request_fields.refuse_message_fields(given, where, ("function_call", "audio"), "Ollama")
    fields: JSON = {}
    thoughts = given.get("reasoning_content") or given.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        fields["thinking"] = thoughts
    tool_calls = calls.tool_calls(given, where)
    if tool_calls:
        fields["tool_calls"] = [
            _call(call, f"{where}.tool_calls[{i}]", names) for i, call in enumerate(tool_calls)
        ]
    return fields


def _call(given: Any, where: str, names: dict[str, str]) -> JSON:
    name, arguments = calls.name_and_arguments(given, where)
    call: JSON = {"function": {"name": name, "arguments": arguments}}
    call_id = given.get("id")
    if isinstance(call_id, str) and call_id:
        call_id, _ = split_id(call_id)
        names[call_id] = name
        call = {"id": call_id, **call}
    return call


def _result(given: Mapping[str, Any], names: Mapping[str, str]) -> JSON:
    """`tool_name` of a tool result, and `tool_call_id`, which newer versions read."""
    fields: JSON = {}
    call_id = given.get("tool_call_id")
    name = given.get("name")
    if isinstance(call_id, str) and call_id:
        call_id, _ = split_id(call_id)
        fields["tool_call_id"] = call_id
        name = names.get(call_id, name)
    if isinstance(name, str) and name:
        fields["tool_name"] = name
    return fields


def _content(given: Any, where: str) -> JSON:
    """`content` and `images`."""
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
            texts.append(parts.require_string(part.get(kind), f"{place}.{kind}"))
        else:
            raise InvalidRequest(
                f"{place}: Ollama takes text and images, no part of type {str(kind)[:80]!r}",
                param=place,
            )
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _image(given: Any, where: str) -> str:
    """An image in base64: Ollama does not fetch URLs."""
    url = parts.require_string(given.get("url") if isinstance(given, Mapping) else given, where)
    parsed = parts.parse_data_url(url)
    if parsed is None or not (parsed[0] or "image/").startswith("image/"):
        raise InvalidRequest(f"{where} must be a base64 data: URL of an image", param=where)
    return parsed[1]
