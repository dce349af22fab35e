"""Recorded requests: Google's said again through us, and OpenAI's in Google's words.

Two bodies mean the same when they are the same after `plain`: protobuf's two spellings of a field
and of a base64 are one, contents of one role that follow each other are one, a schema is JSON
Schema in the subset that the API documents, and what is said by default is not said.
"""

import base64
import json
import re
from typing import Any, Final

import pytest

from gateway.wire.dialect import Target
from gateway.wire.signed_ids import PLACEHOLDER_SIGNATURE
from tests.recordings import Recording
from tests.wire.gemini_answers import JSON, body
from tests.wire.test_gemini_recordings import RECORDED, name

UNSAYABLE: Final = {"vertex/generateContent__400__pydantic-ai__9abe6e06"}
"""An image within the result of a call: ours stands beside it. Vertex refused this one, too."""

_OPAQUE: Final = ("args", "response", "properties", "enum", "$defs")
_SNAKE: Final = re.compile(r"(?<=[a-z])_([a-z])")


def camel(value: Any) -> Any:
    """Google's own spelling of every field: but for what the client's functions say."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        _SNAKE.sub(lambda found: found[1].upper(), key): each if key in _OPAQUE else camel(each)
        for key, each in value.items()
    }


def schema(said: JSON) -> JSON:
    """JSON Schema, of what may be said as OpenAPI's; titles tell the model nothing."""
    found: JSON = {}
    for key, value in said.items():
        if key in {"title", "nullable"}:
            continue
        if key == "type" and isinstance(value, str):
            found[key] = value.lower()
        elif key == "properties":
            found[key] = {each: schema(inner) for each, inner in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            found[key] = schema(value)
        elif key == "anyOf":
            found[key] = [schema(each) for each in value]
        else:
            found[key] = value
    return found


def sent(recording: Recording) -> JSON:
    """A recorded body in Google's own spelling."""
    found: JSON = camel(recording.request["body"])
    if isinstance(found.get("tools"), dict):  # a list of one, to protobuf
        found["tools"] = [found["tools"]]
    return found


def functions(found: JSON) -> list[JSON]:
    return [
        each for tool in found.get("tools", ()) for each in tool.get("functionDeclarations", ())
    ]


def parameters(function: JSON) -> JSON | None:
    said = function.get("parametersJsonSchema") or function.get("parameters")
    return schema(said) if said else None


def as_openai(found: JSON) -> JSON:
    """A generateContent body as the chat request that asks the same."""
    config = found.get("generationConfig", {})
    fields: JSON = {
        key: found[key]
        for key in ("cachedContent", "modelArmorConfig", "safetySettings")
        if key in found
    }
    system = found.get("systemInstruction", {}).get("parts", [])
    messages = [{"role": "system", "content": [part(each) for each in system]}] if system else []
    made = [0, 0]
    for content in found["contents"]:
        if content.get("role", "user") == "user":
            messages += user(content["parts"], made)
        else:
            messages.append(model(content["parts"], made))
    fields["messages"] = messages
    for theirs, ours in (
        ("temperature", "temperature"),
        ("topK", "top_k"),
        ("logprobs", "top_logprobs"),
        ("stopSequences", "stop"),
        ("responseLogprobs", "logprobs"),
    ):
        if theirs in config:
            fields[ours] = config[theirs]
    if "thinkingConfig" in config:
        fields["generationConfig"] = {"thinkingConfig": config["thinkingConfig"]}
    wanted = config.get("responseJsonSchema") or config.get("responseSchema")
    if wanted:
        fields["response_format"] = {
            "type": "json_schema",
            "json_schema": {"schema": schema(wanted)},
        }
    elif "responseMimeType" in config:
        fields["response_format"] = {"type": "json_object"}
    fields["tools"] = [
        tool for tool in found.get("tools", ()) if "functionDeclarations" not in tool
    ]
    for function in functions(found):
        told = {"name": function["name"], "parameters": parameters(function)}
        told |= {"description": function["description"]} if "description" in function else {}
        fields["tools"].append({"type": "function", "function": told})
    return fields | choice(found)


def choice(found: JSON) -> JSON:
    """OpenAI's word for the choice among tools, where it has one; else Google's."""
    config = found.get("toolConfig", {})
    calling = config.get("functionCallingConfig", {})
    words = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
    names = [each["name"] for each in functions(found)]
    if config.keys() != {"functionCallingConfig"} or calling["mode"] not in words:
        return {"toolConfig": config}
    if calling.get("allowedFunctionNames", names) != names:
        return {"toolConfig": config}
    return {"tool_choice": words[calling["mode"]]}


def user(parts: list[JSON], made: list[int]) -> list[JSON]:
    messages: list[JSON] = []
    for each in parts:
        if "functionResponse" in each:
            response = each["functionResponse"]
            made[1] += 1
            messages.append({
                "role": "tool",
                "tool_call_id": response.get("id", f"c{made[1]}"),
                "content": json.dumps(response["response"]),
            })  # fmt: skip
        else:
            messages.append({"role": "user", "content": [part(each)]})
    return messages


def model(parts: list[JSON], made: list[int]) -> JSON:
    message: JSON = {"role": "assistant"}
    spoken = [each for each in parts if "text" in each and not each.get("thought")]
    if spoken:
        message["content"] = [part(each) for each in spoken]
        message |= signature(spoken[-1])
    calls = []
    for each in parts:
        if "functionCall" in each:
            call = each["functionCall"]
            made[0] += 1
            function = {"name": call["name"], "arguments": json.dumps(call["args"])}
            calls.append({"id": call.get("id", f"c{made[0]}"), "type": "function",
                          "function": function, **signature(each)})  # fmt: skip
    native = [each for each in parts if not {"text", "functionCall"} & each.keys()]
    if native:
        google = message.setdefault("extra_content", {}).setdefault("google", {})
        google["server_tool_parts"] = native
    return message | ({"tool_calls": calls} if calls else {})


def signature(said: JSON) -> JSON:
    if "thoughtSignature" not in said:
        return {}
    return {"extra_content": {"google": {"thought_signature": said["thoughtSignature"]}}}


def part(said: JSON) -> JSON:
    if "text" in said:
        return {"type": "text", "text": said["text"]}
    if "inlineData" in said:
        media, data = said["inlineData"]["mimeType"], said["inlineData"]["data"]
        url = f"data:{media};base64,{data}"
        if media.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": "file", "file": {"file_data": url}}
    linked = said["fileData"]
    return {"type": "file", "file": {"file_id": linked["fileUri"], "format": linked["mimeType"]}}


def plain(found: JSON, *, ids: bool) -> JSON:
    """A generateContent body in one way of saying things. `ids` says whether calls have any."""
    said: list[tuple[str, JSON]] = []
    for content in found["contents"]:
        role = content.get("role", "user")
        said += [
            (role, tidy(each, ids=ids)) for each in content["parts"] if not each.get("thought")
        ]
    config = dict(found.get("generationConfig", {}))
    if config.get("responseModalities") == ["TEXT"]:
        del config["responseModalities"]
    wanted = config.pop("responseSchema", None) or config.pop("responseJsonSchema", None)
    tools = [tool for tool in found.get("tools", ()) if "functionDeclarations" not in tool]
    return {
        **{key: value for key, value in found.items() if key not in {"contents", "tools"}},
        "toolConfig": chosen(found),
        "systemInstruction": found.get("systemInstruction", {}).get("parts", []),
        "contents": [turn for turn in said if turn[1]],
        "generationConfig": {key: value for key, value in config.items() if value != []},
        "responseSchema": schema(wanted) if wanted else None,
        "tools": tools,
        "functions": [
            {
                "name": each["name"],
                "description": each.get("description") or "",
                "parameters": parameters(each),
            }
            for each in functions(found)
        ],
    }


def chosen(found: JSON) -> JSON:
    """toolConfig; to be held to all functions by name is to be held to them."""
    config = dict(found.get("toolConfig", {}))
    calling = dict(config.pop("functionCallingConfig", {}))
    if calling.get("allowedFunctionNames") == [each["name"] for each in functions(found)]:
        del calling["allowedFunctionNames"]
    return {**config, "functionCallingConfig": calling}


def tidy(said: JSON, *, ids: bool) -> JSON:
    """A part without an id where the recording has none, and its signature as the bytes it is."""
    found = dict(said)
    signed = found.pop("thoughtSignature", None)
    if signed is not None and signed != PLACEHOLDER_SIGNATURE:
        found["thoughtSignature"] = base64.b64decode(signed.translate(str.maketrans("-_", "+/")))
    for kind in ("functionCall", "functionResponse"):
        if kind in found and not ids:
            found[kind] = {key: value for key, value in found[kind].items() if key != "id"}
    return found if found != {"text": ""} else {}


@pytest.mark.parametrize("recording", [r for r in RECORDED if name(r) not in UNSAYABLE], ids=name)
def test_a_recorded_request_is_sent_as_it_was(recording: Recording) -> None:
    asked = sent(recording)
    upstream = recording.request["url"].partition("/models/")[2].partition(":")[0]
    limit = asked.setdefault("generationConfig", {}).setdefault("maxOutputTokens", 8_192)
    made = body(Target(upstream, limit, frozenset({"gs_uris"})), **as_openai(asked))
    ids = '"id"' in json.dumps(asked["contents"])
    assert plain(made, ids=ids) == plain(asked, ids=ids)


def test_nearly_all_can_be_said_in_openais_words() -> None:
    assert len(RECORDED) == 107
    assert {name(each) for each in RECORDED} >= UNSAYABLE
