"""Recorded requests: Anthropic's said again through us, and OpenAI's in Anthropic's words."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire.dialect import Target
from tests.recordings import Recording, recordings
from tests.wire.anthropic_streams import body

JSON = dict[str, Any]

RECORDED: Final = recordings("anthropic")
PLAIN: Final = {"text", "image", "document", "tool_use", "tool_result", "thinking",
                "redacted_thinking"}  # fmt: skip
DOCUMENTED: Final = {
    "metadata", "strict", "disable_parallel_tool_use", "top_p", "title", "output_config.format",
}  # fmt: skip
"""Fields of the Messages API, by its SDK's types, that no recording happens to use."""


def content(message: JSON) -> list[JSON]:
    said = message["content"]
    return [{"type": "text", "text": said}] if isinstance(said, str) else said


def kinds(sent: JSON) -> Iterator[tuple[str, str]]:
    for message in sent["messages"]:
        for block in content(message):
            yield message["role"], block["type"]


def sayable(sent: JSON) -> bool:
    """Whether all of it can be said in OpenAI's words."""
    return all(role in {"user", "assistant"} and kind in PLAIN for role, kind in kinds(sent))


def as_openai(sent: JSON) -> JSON:
    """A Messages body as the chat request that asks the same."""
    fields: JSON = {
        name: sent[name]
        for name in ("max_tokens", "temperature", "top_k", "thinking", "output_config",
                     "container", "mcp_servers", "context_management", "cache_control")
        if name in sent
    }  # fmt: skip
    messages: list[JSON] = []
    if "system" in sent:
        messages.append({"role": "system", "content": sent["system"]})
    for message in sent["messages"]:
        messages += user(message) if message["role"] == "user" else [assistant(message)]
    fields["messages"] = messages
    if "output_format" in sent:
        fields["response_format"] = {"type": "json_schema", "json_schema": sent["output_format"]}
    if sent.get("stop_sequences"):
        fields["stop"] = sent["stop_sequences"]
    if sent.get("tools"):
        fields["tools"] = [tool(each) for each in sent["tools"]]
    choice = sent.get("tool_choice")
    if choice is not None:
        named = {"type": "function", "function": {"name": choice.get("name")}}
        fields["tool_choice"] = {
            "auto": "auto", "any": "required", "none": "none", "tool": named,
        }[choice["type"]]  # fmt: skip
    return fields


def tool(sent: JSON) -> JSON:
    if not sent.keys() <= {"name", "description", "input_schema"}:
        return sent  # in Anthropic's own words
    function = {"name": sent["name"], "parameters": sent["input_schema"]}
    if "description" in sent:
        function["description"] = sent["description"]
    return {"type": "function", "function": function}


def user(message: JSON) -> list[JSON]:
    results = [
        {
            "role": "tool",
            "tool_call_id": block["tool_use_id"],
            "content": block["content"],
            "is_error": block.get("is_error"),
            "cache_control": block.get("cache_control"),
        }
        for block in content(message)
        if block["type"] == "tool_result"
    ]
    parts = [part(block) for block in content(message) if block["type"] != "tool_result"]
    return results + ([{"role": "user", "content": parts}] if parts else [])


def part(block: JSON) -> JSON:
    source = block.get("source", {})
    if block["type"] != "image" or source["type"] == "file":
        return block
    inline = f"data:{source.get('media_type')};base64,{source.get('data')}"
    url = source["url"] if source["type"] == "url" else inline
    mark = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    return {"type": "image_url", "image_url": {"url": url}, **mark}


def assistant(message: JSON) -> JSON:
    thoughts = [b for b in content(message) if b["type"].endswith("thinking")]
    calls = [
        {
            "id": b["id"],
            "type": "function",
            "function": {"name": b["name"], "arguments": json.dumps(b["input"])},
            "cache_control": b.get("cache_control"),
        }
        for b in content(message)
        if b["type"] == "tool_use"
    ]
    spoken = [b for b in content(message) if b["type"] == "text"]
    return {
        "role": "assistant",
        "content": spoken or None,
        **({"tool_calls": calls} if calls else {}),
        **({"thinking_blocks": thoughts} if thoughts else {}),
    }


def plain(sent: JSON) -> JSON:
    """A Messages body in one way of saying things."""
    system = sent.get("system")
    if isinstance(system, list) and not any("cache_control" in block for block in system):
        system = "\n\n".join(block["text"] for block in system)
    turns: list[JSON] = []
    for message in sent["messages"]:
        blocks = [tidy(block) for block in content(message)]
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": message["role"], "content": blocks})
    choice = {k: v for k, v in sent.get("tool_choice", {}).items() if v is not False}
    fields = {k: v for k, v in sent.items() if k not in {"stream", "tool_choice"} and v != []}
    if "output_format" in fields:  # what output_config.format was called before
        fields["output_config"] = {"format": fields.pop("output_format")}
    if "thinking" in fields:
        fields.pop("temperature", None)  # 1 is all that thinking admits: the default
    return fields | {"system": system, "messages": turns, "tool_choice": choice}


def tidy(block: JSON) -> JSON:
    block = {k: v for k, v in block.items() if not (k == "is_error" and v is False)}
    if block["type"] == "tool_result" and isinstance(block["content"], list):
        texts = [each for each in block["content"] if each["type"] != "text" or each["text"]]
        block["content"] = [tidy(each) for each in texts]
    return block


def advised(sent: JSON) -> bool:
    """Whether another model is asked for advice, which is refused: see test_anthropic_refusals."""
    return any("model" in each for each in sent.get("tools", ()))


SAYABLE: Final = [
    each for each in RECORDED if sayable(each.request["body"]) and not advised(each.request["body"])
]


def file_name(recording: Recording) -> str:
    return recording.file.rpartition("/")[2].removesuffix(".json")


def test_most_recorded_requests_can_be_said_in_openais_words() -> None:
    assert (len(SAYABLE), len(RECORDED)) == (51, 69)


@pytest.mark.parametrize("recording", SAYABLE, ids=file_name)
def test_a_recorded_request_is_sent_as_it_was(recording: Recording) -> None:
    sent = recording.request["body"]
    made = body(Target(sent["model"], sent["max_tokens"]), **as_openai(sent))
    assert plain(made) == plain(sent)


def keys(sent: JSON) -> Iterator[str]:
    """Every field of the API's own in a body: not what lies within inputs and schemas."""
    yield from sent
    yield from (f"output_config.{key}" for key in sent.get("output_config", {}))
    for each in (sent.get("tool_choice", {}), *sent.get("tools", ())):
        yield from each
    blocks = [block for message in sent["messages"] for block in content(message)]
    results = [b["content"] for b in blocks if isinstance(b.get("content"), list)]
    for block in blocks + [inner for result in results for inner in result]:
        yield from block
        yield f"type={block['type']}"
        yield from (f"source.{key}" for key in block.get("source", {}))


KNOWN: Final = {key for each in RECORDED for key in keys(each.request["body"])} | DOCUMENTED
OPENAI: Final = [
    each
    for each in recordings("openai")
    if isinstance(each.request.get("body"), dict) and "messages" in each.request["body"]
]
REFUSED: Final[dict[str, str]] = {
    "chat__200__ai-gateway__4d65456d": "web_search_options",
    "chat__200__ai-gateway__8f06b7cd": "audio",
    "chat__200__chatlas__42ef5499": "logprobs",
    "chat__200__logfire__dec15b46": "messages[0].content[1]",  # input_audio
    "chat__200__openllmetry__70299be4": "functions",
    "chat__200__openllmetry__aa9ff7c4": "n",
    "chat__200__openllmetry__df875638": "functions",
    "chat__200__opentelemetry-python-c__363a2a7a": "n",
    "chat__200__pydantic-ai__9a6dc424": "web_search_options",
    "chat__200__pydantic-ai__b7c442d1": "messages[3].content[0].file.file_id",
    "chat__400__ai-gateway__34577680": "messages",  # refused by OpenAI too, as are the next
    "chat__400__ai-gateway__b507044c": "messages",
    "chat__400__crewAI__a42267cb": "messages[1].content[0]",
    "chat__400__pydantic-ai__536be2e2": "web_search_options",
    "chat__400__pydantic-ai__59d98154": "messages[3].content[0]",  # input_audio
}
"""Recorded requests to OpenAI that Anthropic's models cannot serve, and the field that says so."""


@pytest.mark.parametrize("recording", OPENAI, ids=file_name)
@pytest.mark.parametrize("upstream", ["claude-haiku-4-5", "claude-opus-4-7"])
def test_a_request_to_openai_uses_only_fields_that_anthropic_knows(
    recording: Recording, upstream: str
) -> None:
    asked = {k: v for k, v in recording.request["body"].items() if k not in {"model", "stream"}}
    try:
        made = body(Target(upstream, 8_192), **asked)
    except InvalidRequest as refused:
        param: str | None = refused.param
        unknown: set[str] = set()
    else:
        param = None
        unknown = set(keys(made)) - KNOWN
    assert param == REFUSED.get(file_name(recording))
    assert unknown == set()
