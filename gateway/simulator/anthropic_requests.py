"""Anthropic's Messages API, from the provider's side: parsing and validation of requests.

Error messages are those of the real API. It is stricter than today's API in one respect:
consecutive messages of one role are refused, as they once were, instead of being joined.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.simulator.format import read_object
from gateway.simulator.simulated_request import Fault, SimulatedRequest, Tool

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_REQUIRED: Final = {"text": "text", "tool_use": "input", "tool_result": "tool_use_id"}
_BLOCKS: Final = {
    "user": ("text", "image", "document", "tool_result", "search_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
}
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")


def read(body: bytes, headers: Mapping[str, str], params: Mapping[str, str]) -> SimulatedRequest:
    """Raises Fault 400. Requires the header `anthropic-version`, as the real API does."""
    if "anthropic-version" not in headers:
        raise Fault(400, "anthropic-version: header is required")
    return _parse_request(_read(body))


def read_hosted(body: bytes, version: str, model: str, *, stream: bool) -> SimulatedRequest:
    """For other clouds: the version is in the body, the model in the path. Raises Fault 400."""
    fields = _read(body)
    given_version = fields.pop("anthropic_version", None)
    if given_version is None:
        raise Fault(400, "anthropic_version: Field required")
    if given_version != version:
        raise Fault(400, f"anthropic_version: Input should be '{version}'")
    for name in ("model", "cache_control"):
        if name in fields:
            raise Fault(400, f"{name}: Extra inputs are not permitted")
    return _parse_request(fields | {"model": model, "stream": stream})


def _read(body: bytes) -> dict[str, Any]:
    fields = read_object(body)
    if fields is None:
        raise Fault(400, "The request body is not valid JSON.")
    return fields


def _parse_request(fields: Mapping[str, Any]) -> SimulatedRequest:
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    for name in ("model", "messages", "max_tokens"):
        if name not in given:
            raise Fault(400, f"{name}: Field required")
    model = _typed(given, "model", str, "string")
    limit = _typed(given, "max_tokens", int, "integer")
    if limit < 1:
        raise Fault(400, "max_tokens: Input should be greater than or equal to 1")
    temperature = given.get("temperature", 0)
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 1:
        raise Fault(400, "temperature: range: 0..1")
    if "@" in str((given.get("metadata") or {}).get("user_id")):
        raise Fault(400, "metadata.user_id: user_id appears to contain an email address.")
    messages = _messages(_typed(given, "messages", list, "list"))
    user_texts = [_plain_texts(_blocks(m["content"])) for m in messages if m["role"] == "user"]
    questions = [texts for texts in user_texts if texts]
    tools, forced_tool = _tools(given)
    answered = any(block["type"] == "tool_result" for block in _blocks(messages[-1]["content"]))
    output_format = (
        given.get("output_format") or (given.get("output_config") or {}).get("format") or {}
    )
    return SimulatedRequest(
        model=model,
        texts=(*_system(given), *(t for m in messages for t in _texts(_blocks(m["content"])))),
        question="\n".join(questions[-1]) if questions else "",
        stream=_typed(given, "stream", bool, "boolean") if "stream" in given else False,
        limit=limit,
        stop=tuple(given.get("stop_sequences", ())),
        tools=() if answered else tools,
        forced_tool=forced_tool,
        parallel=not (given.get("tool_choice") or {}).get("disable_parallel_tool_use", False),
        wants_json=output_format.get("type") == "json_schema",
        schema=output_format.get("schema"),
        no_arguments="",
    )


def _typed(given: Mapping[str, Any], name: str, kind: type, type_name: str) -> Any:
    value = given[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Fault(400, f"{name}: Input should be a valid {type_name}")
    return value


def _system(given: Mapping[str, Any]) -> list[str]:
    system = given.get("system", "")
    if isinstance(system, str):
        return [system]
    blocks = _checked_blocks("system", system, ("text",))
    return _texts(blocks)


def _messages(messages: list[Any]) -> list[dict[str, Any]]:
    if not messages:
        raise Fault(400, "messages: at least one message is required")
    before = "assistant"
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        if not isinstance(message, dict):
            raise Fault(400, f"{where}: Input should be a valid dictionary")
        role = message.get("role")
        if role == "system":
            raise Fault(
                400,
                'messages: Unexpected role "system". The Messages API accepts a top-level '
                '`system` parameter, not "system" as an input message role.',
            )
        if role not in ("user", "assistant"):
            raise Fault(400, f"{where}.role: Input should be 'user' or 'assistant'")
        if role == before:
            raise Fault(400, _role_error(place, role))
        before = role
        _check_content(where, message, last=place == len(messages) - 1)
    _check_tool_results(messages)
    return messages


def _role_error(place: int, role: str) -> str:
    if place == 0:
        return 'messages: first message must use the "user" role'
    return (
        'messages: roles must alternate between "user" and "assistant", but found multiple '
        f'"{role}" roles in a row'
    )


def _check_content(where: str, message: Mapping[str, Any], *, last: bool) -> None:
    content = message.get("content")
    if content is None:
        raise Fault(400, f"{where}.content: Field required")
    if not isinstance(content, str):
        blocks = _checked_blocks(f"{where}.content", content, _BLOCKS[message["role"]])
        if blocks and "thinking" in blocks[-1]["type"]:
            raise Fault(
                400, f"{where}: The final block in an assistant message cannot be `thinking`."
            )
    final = last and message["role"] == "assistant"
    if not content and not final:
        raise Fault(
            400,
            f"{where}: all messages must have non-empty content except for the optional final "
            "assistant message",
        )
    texts = _plain_texts(_blocks(content))
    if any(not text.strip() for text in texts if text or not isinstance(content, str)):
        raise Fault(400, "messages: text content blocks must contain non-whitespace text")
    if final and texts and texts[-1] != texts[-1].rstrip():
        raise Fault(400, "messages: final assistant content cannot end with trailing whitespace")


def _checked_blocks(where: str, blocks: Any, types: Sequence[str]) -> list[dict[str, Any]]:
    if not isinstance(blocks, list):
        raise Fault(400, f"{where}: Input should be a valid list")
    for place, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in types:
            expected = ", ".join(f"'{one}'" for one in types)
            raise Fault(
                400,
                f"{where}.{place}: Input tag '{kind}' found using 'type' does not match any of "
                f"the expected tags: {expected}",
            )
        needed = _REQUIRED.get(str(kind))
        if needed is not None and needed not in block:
            raise Fault(400, f"{where}.{place}.{kind}.{needed}: Field required")
        if kind == "tool_use":
            _check_tool_use(f"{where}.{place}.tool_use", block)
    return blocks


def _check_tool_use(where: str, block: Mapping[str, Any]) -> None:
    if not isinstance(block["input"], dict):
        raise Fault(400, f"{where}.input: Input should be a valid dictionary")
    for name, pattern in (("id", _ID), ("name", _NAME)):
        if not isinstance(block.get(name), str) or not pattern.fullmatch(block[name]):
            raise Fault(400, f"{where}.{name}: String should match pattern '^{pattern.pattern}$'")


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each tool use needs a result at the start of the next message, and vice versa."""
    unanswered: list[str] = []
    for place, message in enumerate(messages):
        blocks = _blocks(message["content"])
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        missing = [one for one in unanswered if one not in results]
        if missing:
            raise Fault(
                400,
                f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
                "corresponding `tool_result` block in the next message.",
            )
        stray = [one for one in results if one not in unanswered]
        if stray:
            raise Fault(
                400,
                f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{', '.join(stray)}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message.",
            )
        if results and any(b["type"] != "tool_result" for b in blocks[: len(results)]):
            raise Fault(400, f"messages.{place}: `tool_result` blocks must come first")
        unanswered = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if unanswered:
        raise Fault(400, f"messages.{len(messages) - 1}: `tool_use` at the end has no result")


def _tools(given: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None]:
    choice = given.get("tool_choice") or {}
    declared = given.get("tools") or []
    if not isinstance(choice, dict) or not isinstance(declared, list):
        raise Fault(400, "tools: Input should be a valid list, tool_choice a valid dictionary")
    if not declared:
        if choice:
            raise Fault(400, "tool_choice may only be specified while providing tools")
        return (), None
    tools = tuple(_tool(f"tools.{place}.custom", tool) for place, tool in enumerate(declared))
    match choice.get("type", "auto"):
        case "none":
            return (), None
        case "tool":
            forced_tool = choice.get("name")
            if forced_tool not in [tool.name for tool in tools]:
                raise Fault(400, f"Tool '{forced_tool}' not found in provided tools")
            return tools, forced_tool
        case "auto" | "any":
            return tools, None
        case kind:
            message = f"tool_choice: Input tag '{kind}' found using 'type' does not match any of"
            raise Fault(400, f"{message} the expected tags: 'any', 'auto', 'none', 'tool'")


def _tool(where: str, tool: Any) -> Tool:
    schema = tool.get("input_schema") if isinstance(tool, dict) else None
    if not isinstance(schema, dict):
        raise Fault(400, f"{where}.input_schema: Field required")
    name = tool.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Fault(400, f"{where}.name: String should match pattern '^{_NAME.pattern}$'")
    if schema.get("type") != "object":
        raise Fault(400, f"{where}.input_schema.type: Field required")
    return Tool(name, schema)


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _plain_texts(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Texts of text blocks, without those in tool results."""
    return [b["text"] for b in blocks if b["type"] == "text" and isinstance(b["text"], str)]


def _texts(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    texts: list[str] = []
    for block in blocks:
        if block["type"] == "tool_result":
            texts += _texts(_blocks(block.get("content") or []))
        else:
            texts += _plain_texts([block])
    return texts
