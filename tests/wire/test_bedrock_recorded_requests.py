"""Recorded requests: Bedrock's said again through us, and OpenAI's in Bedrock's words."""

import base64
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import pytest

from gateway.core.errors import InvalidRequest
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from tests.recordings import Recording, recordings
from tests.wire.bedrock_streams import JSON, body, chat

RECORDED: Final = recordings("bedrock")
CONVERSE: Final = [each for each in RECORDED if "/converse" in each.file]
INVOKE: Final = [
    each for each in RECORDED if "anthropic_version" in (each.request.get("body") or {})
]
PASSED: Final = ("guardrailConfig", "outputConfig", "additionalModelRequestFields")
UNSAYABLE: Final = {
    "converse__200__pydantic-ai__9c934200": "an earlier answer's server tool, and its result",
}
LIMIT: Final = 8_192
"""What is sent where a recorded request had no limit: we always send one."""


def file_name(recording: Recording) -> str:
    return recording.file.rpartition("/")[2].removesuffix(".json")


def upstream(recording: Recording) -> str:
    path: str = recording.request["url"].partition("/model/")[2]
    return unquote(path.rpartition("/")[0])


# ---- Converse


def as_openai(sent: JSON) -> JSON:
    """A Converse body as the chat request that asks the same."""
    fields: JSON = {name: sent[name] for name in PASSED if sent.get(name)}
    config = sent.get("inferenceConfig", {})
    names = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p",
             "stopSequences": "stop"}  # fmt: skip
    fields |= {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
    messages: list[JSON] = []
    if sent.get("system"):
        messages.append({"role": "system", "content": parts(sent["system"])})
    for message in sent["messages"]:
        messages += user(message) if message["role"] == "user" else [assistant(message)]
    fields["messages"] = messages
    if "toolConfig" in sent:
        fields["tools"] = tools(sent["toolConfig"]["tools"])
    match sent.get("toolConfig", {}).get("toolChoice"):
        case {"any": _}:
            fields["tool_choice"] = "required"
        case {"tool": {"name": named}}:
            fields["tool_choice"] = {"type": "function", "function": {"name": named}}
        case _:  # auto is what OpenAI takes for said
            pass
    return fields


def parts(content: list[JSON]) -> list[JSON]:
    """Blocks as parts; a cache point is a mark on the part before it."""
    found: list[JSON] = []
    for block in content:
        if "cachePoint" in block and found and "type" in found[-1]:
            found[-1]["cache_control"] = {"type": "ephemeral"}
        elif block != {"text": "\n"}:  # which stands between a document and its cache point
            found.append(part(block))
    return found


def part(block: JSON) -> JSON:
    match block:
        case {"text": text}:
            return {"type": "text", "text": text}
        case {"image": {"format": form, "source": {"bytes": data}}}:
            url = f"data:image/{form};base64,{data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case {"document": {"format": form, "name": name, "source": {"bytes": data}}}:
            media = {"pdf": "application/pdf", "txt": "text/plain"}[form]
            file = {"filename": f"{name}.{form}", "file_data": f"data:{media};base64,{data}"}
            return {"type": "file", "file": file}
        case _:
            return block  # in Converse's own words


def tools(given: list[JSON]) -> list[JSON]:
    found: list[JSON] = []
    for each in given:
        if "cachePoint" in each:
            found[-1]["cache_control"] = {"type": "ephemeral"}
        elif "toolSpec" in each:
            spec = each["toolSpec"]
            function = {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}
            function |= {name: spec[name] for name in ("description", "strict") if name in spec}
            found.append({"type": "function", "function": function})
        else:
            found.append(each)
    return found


def user(message: JSON) -> list[JSON]:
    results = [
        {
            "role": "tool",
            "tool_call_id": block["toolResult"]["toolUseId"],
            "content": [
                {"type": "text", "text": json.dumps(each["json"])} if "json" in each else part(each)
                for each in block["toolResult"]["content"]
            ],
            "is_error": block["toolResult"].get("status") == "error",
        }
        for block in message["content"]
        if "toolResult" in block
    ]
    said = parts([block for block in message["content"] if "toolResult" not in block])
    return results + ([{"role": "user", "content": said}] if said else [])


def assistant(message: JSON) -> JSON:
    content = message["content"]
    calls = [
        {
            "id": block["toolUse"]["toolUseId"],
            "type": "function",
            "function": {
                "name": block["toolUse"]["name"],
                "arguments": json.dumps(block["toolUse"]["input"]),
            },
        }
        for block in content
        if "toolUse" in block
    ]
    thoughts = [thought(b["reasoningContent"]) for b in content if "reasoningContent" in b]
    return {
        "role": "assistant",
        "content": parts([block for block in content if "text" in block]) or None,
        **({"tool_calls": calls} if calls else {}),
        **({"thinking_blocks": thoughts} if thoughts else {}),
    }


def thought(said: JSON) -> JSON:
    if "redactedContent" in said:
        data = base64.b64decode(said["redactedContent"]).decode()
        return {"type": "redacted_thinking", "data": data}
    signed = said["reasoningText"]
    return {"type": "thinking", "thinking": signed["text"], "signature": signed["signature"]}


def plain(sent: JSON) -> JSON:
    """A Converse body in one way of saying things: what is empty, or the default, is not said."""
    fields = {name: value for name, value in sent.items() if value not in ([], {})}
    config = {"maxTokens": LIMIT} | sent.get("inferenceConfig", {})
    if fields.get("additionalModelRequestFields", {}).get("thinking"):
        config.pop("temperature", None)  # 1 is all that thinking admits: the default
    fields["inferenceConfig"] = config
    turns: list[JSON] = []
    for message in sent["messages"]:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += [tidy(block) for block in message["content"]]
        else:
            content = [tidy(block) for block in message["content"]]
            turns.append({"role": message["role"], "content": content})
    fields["messages"] = turns
    if "toolConfig" in fields:
        chosen = fields["toolConfig"].get("toolChoice")
        fields["toolConfig"] = {"tools": fields["toolConfig"]["tools"]}
        if chosen not in (None, {"auto": {}}):
            fields["toolConfig"]["toolChoice"] = chosen
    return fields


def tidy(block: JSON) -> JSON:
    if "toolResult" in block:
        result = dict(block["toolResult"])
        result.pop("type", None)
        if result.get("status") == "success":
            del result["status"]
        result["content"] = [
            {"text": json.dumps(each["json"])} if "json" in each else each
            for each in result["content"]
        ]
        return {"toolResult": result}
    if "toolUse" in block:
        return {"toolUse": {k: v for k, v in block["toolUse"].items() if k != "type"}}
    return block


SAYABLE: Final = [each for each in CONVERSE if file_name(each) not in UNSAYABLE]


def test_nearly_all_recorded_requests_can_be_said_in_openais_words() -> None:
    assert (len(SAYABLE), len(CONVERSE)) == (59, 60)


@pytest.mark.parametrize("recording", SAYABLE, ids=file_name)
def test_a_recorded_request_is_sent_as_it_was(recording: Recording) -> None:
    sent = recording.request["body"]
    made = body(Target(upstream(recording), LIMIT), **as_openai(sent))
    assert plain(made) == plain(sent)


@pytest.mark.parametrize("recording", CONVERSE, ids=file_name)
def test_a_recorded_address_is_made_from_the_models_name(recording: Recording) -> None:
    stream = "converse-stream" in recording.file
    call = DIALECTS["bedrock"].encode(chat(), Target(upstream(recording), 9), stream=stream)
    assert recording.request["url"].endswith(call.path)


# ---- invoke, with bodies of the Messages API


def said_as_messages(sent: JSON) -> JSON:
    names = ("max_tokens", "temperature", "top_p", "top_k", "thinking", "tools")
    fields: JSON = {name: sent[name] for name in names if sent.get(name) is not None}
    system = sent.get("system")
    messages: list[JSON] = [{"role": "system", "content": system}] if system else []
    for message in sent["messages"]:
        content = message["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        calls = [
            {
                "id": block["id"],
                "type": "function",
                "function": {"name": block["name"], "arguments": json.dumps(block["input"])},
                "cache_control": block.get("cache_control"),
            }
            for block in content
            if block["type"] == "tool_use"
        ]
        results = [
            {
                "role": "tool",
                "tool_call_id": block["tool_use_id"],
                "content": block["content"],
                "is_error": block.get("is_error"),
                "cache_control": block.get("cache_control"),
            }
            for block in content
            if block["type"] == "tool_result"
        ]
        said = [inline(b) for b in content if b["type"] not in {"tool_use", "tool_result"}]
        messages += results
        if said or calls:
            spoken: JSON = {"role": message["role"], "content": said or None}
            messages.append(spoken | ({"tool_calls": calls} if calls else {}))
    if sent.get("stop_sequences"):
        fields["stop"] = sent["stop_sequences"]
    choice = sent.get("tool_choice")
    if choice is not None:
        named = {"type": "function", "function": {"name": choice.get("name")}}
        fields["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}[choice["type"]]
    return fields | {"messages": messages}


def inline(block: JSON) -> JSON:
    if block["type"] != "image":
        return block
    source = block["source"]
    data = f"data:{source.get('media_type')};base64,{source.get('data')}"
    return {"type": "image_url", "image_url": {"url": source.get("url") or data}}


def in_one_way(sent: JSON) -> JSON:
    fields = {name: value for name, value in sent.items() if value != []}
    system = fields.get("system")
    if isinstance(system, list):
        fields["system"] = "\n\n".join(block["text"] for block in system)
    fields["messages"] = [
        {
            "role": message["role"],
            "content": [
                {k: v for k, v in block.items() if (k, v) != ("is_error", False)}
                for block in (
                    [{"type": "text", "text": message["content"]}]
                    if isinstance(message["content"], str)
                    else message["content"]
                )
            ],
        }
        for message in sent["messages"]
    ]
    return fields


@pytest.mark.parametrize("recording", INVOKE, ids=file_name)
def test_a_recorded_invocation_is_sent_as_it_was(recording: Recording) -> None:
    sent = recording.request["body"]
    stream = "invoke-stream" in recording.file
    target = Target(upstream(recording), sent["max_tokens"])
    fields = said_as_messages(sent)
    if "chatlas__3a5fbd2d" in recording.file:  # Bedrock refused it: a picture by its address
        with pytest.raises(InvalidRequest, match="base64 data: URLs"):
            DIALECTS["bedrock-invoke"].encode(chat(**fields), target, stream=stream)
        return
    call = DIALECTS["bedrock-invoke"].encode(chat(**fields), target, stream=stream)
    assert in_one_way(json.loads(call.body)) == in_one_way(sent)
    assert unquote(recording.request["url"]).endswith(unquote(call.path))


# ---- Requests to OpenAI


def keys(sent: JSON) -> Iterator[str]:
    """Every field of the API's own in a body: not what lies within inputs and schemas."""
    yield from sent
    for name in ("inferenceConfig", "additionalModelRequestFields", "toolConfig"):
        yield from (f"{name}.{key}" for key in sent.get(name, {}))
    for tool in sent.get("toolConfig", {}).get("tools", ()):
        yield from tool
        yield from (f"toolSpec.{key}" for key in tool.get("toolSpec", {}))
    blocks = [block for message in sent["messages"] for block in message["content"]]
    for block in blocks + sent.get("system", []):
        for kind, inner in block.items():
            yield kind
            yield from (f"{kind}.{key}" for key in (inner if isinstance(inner, dict) else ()))


DOCUMENTED: Final = {"additionalModelRequestFields.tool_choice"}
"""Fields that no recording happens to use: BerriAI/litellm#34347 shows this one accepted."""
KNOWN: Final = {key for each in CONVERSE for key in keys(each.request["body"])} | DOCUMENTED
OPENAI: Final = [
    each
    for each in recordings("openai")
    if isinstance(each.request.get("body"), dict) and "messages" in each.request["body"]
]
REFUSED: Final[dict[str, str]] = {
    "chat__200__ai-gateway__4d65456d": "web_search_options",
    "chat__200__ai-gateway__8f06b7cd": "modalities",
    "chat__200__ai-gateway__9be3ff11": "messages[0].content[1].image_url.url",
    "chat__200__chatlas__42ef5499": "logprobs",
    "chat__200__logfire__dec15b46": "messages[0].content[1]",
    "chat__200__openllmetry__70299be4": "functions",
    "chat__200__openllmetry__7ef6187e": "messages[0].content[1].image_url.url",
    "chat__200__openllmetry__aa9ff7c4": "n",
    "chat__200__openllmetry__df875638": "functions",
    "chat__200__opentelemetry-python-c__363a2a7a": "n",
    "chat__200__pydantic-ai__036b13fd": "messages[3].content[1].image_url.url",
    "chat__200__pydantic-ai__37a0b506": "messages[3].content[1].image_url.url",
    "chat__200__pydantic-ai__9a6dc424": "web_search_options",
    "chat__200__pydantic-ai__b7c442d1": "messages[3].content[0].file.file_id",
    "chat__400__ai-gateway__34577680": "messages",
    "chat__400__ai-gateway__b507044c": "messages",
    "chat__400__crewAI__a42267cb": "messages[1].content[0]",
    "chat__400__openllmetry__72688745": "messages[0].content[1].image_url.url",
    "chat__400__pydantic-ai__536be2e2": "web_search_options",
    "chat__400__pydantic-ai__59d98154": "messages[3].content[0]",
}
"""Recorded requests to OpenAI that Bedrock cannot serve, and the field that says so."""


@pytest.mark.parametrize("recording", OPENAI, ids=file_name)
@pytest.mark.parametrize(
    "name", ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0", "meta.llama3"]
)
def test_a_request_to_openai_uses_only_fields_that_bedrock_knows(
    recording: Recording, name: str
) -> None:
    asked = {k: v for k, v in recording.request["body"].items() if k not in {"model", "stream"}}
    try:
        made = body(Target(name, 8_192), **asked)
    except InvalidRequest as refused:
        param: str | None = refused.param
        unknown: set[str] = set()
    else:
        param = None
        unknown = set(keys(made)) - KNOWN
    assert param == REFUSED.get(file_name(recording))
    assert unknown == set()
