"""Bodies of Bedrock as the chat requests that ask the same, and in one way of saying things."""

import base64
import json
from typing import Final

from tests.wire.bedrock_streams import JSON

PASSED: Final = ("guardrailConfig", "outputConfig", "additionalModelRequestFields")
LIMIT: Final = 8_192
"""What is sent where a recorded request had no limit: we always send one."""


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
