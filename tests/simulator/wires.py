"""One question in every format, and what was answered, written and read by hand."""

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

QUESTION: Final = "What is 17*23?"  # 14 bytes: 4 tokens
TOOL: Final[Mapping[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}
FAMILIES: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "bedrock": "bedrock",
    "ollama": "ollama",
    "azure": "openai",
    "bedrock-invoke": "anthropic",
    "anthropic-vertex": "anthropic",
    "vertex": "gemini",
    "gemini-array": "gemini",
    "vertex-array": "gemini",
}
"""Whose words each of them speaks. An array is what Google streams without `alt=sse`."""
WIRES: Final = tuple(FAMILIES)
BY_ID: Final = {
    "openai": "x-request-id",
    "azure": "apim-request-id",
    "anthropic": "request-id",
    "anthropic-vertex": "request-id",
    "bedrock": "x-amzn-requestid",
    "bedrock-invoke": "x-amzn-requestid",
}
"""The header that tells a call's id. Google tells it in the body, Ollama not at all."""
_WITH_USAGE: Final = {"stream_options": {"include_usage": True}}
_PATHS: Final = {
    "openai": "/openai/v1/chat/completions",
    "anthropic": "/anthropic/v1/messages",
    "ollama": "/ollama/api/chat",
}
_PROJECT: Final = "/vertex/v1/projects/simulated/locations/global/publishers"


def request(
    wire: str, model: str, *, stream: bool, question: str = QUESTION, tool: bool = False
) -> tuple[str, dict[str, Any]]:
    """The path and the body. The tool is called `weather`."""
    fields = _asked(FAMILIES[wire], question) | (_offered(FAMILIES[wire]) if tool else {})
    match wire:
        case "openai" | "anthropic" | "ollama":
            fields |= {"model": model, "stream": stream}
            return _PATHS[wire], fields | (_WITH_USAGE if stream and wire == "openai" else {})
        case "gemini" | "vertex" | "gemini-array" | "vertex-array":
            verb = "streamGenerateContent" if stream else "generateContent"
            if stream and not wire.endswith("-array"):
                verb += "?alt=sse"
            base = f"{_PROJECT}/google" if wire.startswith("vertex") else "/gemini/v1beta"
            return f"{base}/models/{model}:{verb}", fields
        case "bedrock":
            return f"/bedrock/model/{model}/{'converse-stream' if stream else 'converse'}", fields
        case "bedrock-invoke":
            verb = "invoke-with-response-stream" if stream else "invoke"
            version = {"anthropic_version": "bedrock-2023-05-31"}
            return f"/bedrock/model/{model}/{verb}", fields | version
        case "anthropic-vertex":
            verb = "streamRawPredict" if stream else "rawPredict"
            told = {"anthropic_version": "vertex-2023-10-16", "stream": stream}
            return f"{_PROJECT}/anthropic/models/{model}:{verb}", fields | told
        case _:
            fields |= {"stream": stream} | (_WITH_USAGE if stream else {})
            deployed = f"/azure/openai/deployments/{model}/chat/completions"
            return f"{deployed}?api-version=2024-10-21", fields


def _asked(family: str, question: str) -> dict[str, Any]:
    match family:
        case "gemini":
            turn = {"role": "user", "parts": [{"text": question}]}
            return {"contents": [turn], "generationConfig": {"maxOutputTokens": 100}}
        case "bedrock":
            said = {"role": "user", "content": [{"text": question}]}
            return {"messages": [said], "inferenceConfig": {"maxTokens": 100}}
        case "ollama":
            limit: dict[str, Any] = {"options": {"num_predict": 100}}
        case _:
            limit = {"max_tokens": 100}
    return {"messages": [{"role": "user", "content": question}], **limit}


def _offered(family: str) -> dict[str, Any]:
    function = {"name": "weather", "parameters": TOOL}
    match family:
        case "gemini":
            return {"tools": [{"functionDeclarations": [function]}]}
        case "bedrock":
            spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": TOOL}}}
            return {"toolConfig": {"tools": [spec]}}
        case "anthropic":
            return {"tools": [{"name": "weather", "input_schema": TOOL}]}
        case _:
            return {"tools": [{"type": "function", "function": function}]}


def events(wire: str, body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event of a stream; of one that was cut, each whole event."""
    match wire:
        case "bedrock":
            return [json.loads(payload) for _, payload in messages(body)]
        case "bedrock-invoke":
            return [_chunk(json.loads(payload)) for _, payload in messages(body)]
        case "gemini-array" | "vertex-array":
            ends = b"" if body.endswith(b"\n]\n") else b"]"
            return list(json.loads(body + ends)) if body else []
        case "ollama":
            return [json.loads(line) for line in body.splitlines()]
        case _:
            lines = [line.removeprefix(b"data: ") for line in body.splitlines()]
            return [json.loads(line) for line in lines if line.startswith(b"{")]


def _chunk(said: dict[str, Any]) -> dict[str, Any]:
    """What a chunk holds; an exception is itself."""
    return dict(json.loads(base64.b64decode(said["bytes"]))) if "bytes" in said else said


def messages(stream: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The headers and the payload of each message of AWS's; both sums must be right."""
    found = []
    while stream:
        total, size, summed = struct.unpack(">III", stream[:12])
        assert summed == crc32(stream[:8])
        message, stream = stream[:total], stream[total:]
        assert message[-4:] == struct.pack(">I", crc32(message[:-4]))
        told, headers = message[12 : 12 + size], {}
        while told:
            name, told = told[1 : 1 + told[0]].decode(), told[1 + told[0] :]
            assert told[0] == 7, "a header that is no string"
            length = int.from_bytes(told[1:3])
            headers[name], told = told[3 : 3 + length].decode(), told[3 + length :]
        found.append((headers, message[12 + size : -4]))
    return found


def text_of(wire: str, body: bytes, *, stream: bool) -> str:
    said = events(wire, body) if stream else [json.loads(body)]
    if not stream and isinstance(said[0], list):  # an error where an array was asked for
        said = said[0]
    return "".join(text for each in said for text in _texts(FAMILIES[wire], each))


def _texts(family: str, said: dict[str, Any]) -> list[str]:
    match family:
        case "openai":
            told = [choice.get("message") or choice["delta"] for choice in said.get("choices", ())]
            return [each.get("content") or "" for each in told]
        case "anthropic":
            return [
                block.get("text", "") for block in [*said.get("content", ()), said.get("delta", {})]
            ]
        case "gemini":
            parts = [each["content"].get("parts", ()) for each in said.get("candidates", ())]
            return [part.get("text", "") for some in parts for part in some]
        case "bedrock":
            whole = said.get("output", {}).get("message", {}).get("content", ())
            return [block.get("text", "") for block in [*whole, said.get("delta", {})]]
        case _:
            return [said.get("message", {}).get("content", "")]


def tells_usage(wire: str, body: bytes) -> bool:
    if wire == "bedrock-invoke" and not body.startswith(b"{"):
        body = json.dumps(events(wire, body)).encode()
    names = (b"prompt_tokens", b"output_tokens", b"usageMetadata", b"outputTokens", b"eval_count")
    return any(name in body for name in names)
