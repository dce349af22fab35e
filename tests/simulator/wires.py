"""One question in every format, and what was answered, written and read by hand."""

import json
import struct
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

QUESTION: Final = "What is 17*23?"  # 14 bytes: 4 tokens
TOOL: Final[Mapping[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}
WIRES: Final = ("openai", "anthropic", "gemini", "bedrock", "ollama")
BY_ID: Final = {
    "openai": "x-request-id",
    "anthropic": "request-id",
    "bedrock": "x-amzn-requestid",
}
"""The header that tells a call's id. Gemini tells it in the body, Ollama not at all."""


def request(
    wire: str, model: str, *, stream: bool, question: str = QUESTION, tool: bool = False
) -> tuple[str, dict[str, Any]]:
    """The path and the body. The tool is called `weather`."""
    messages = [{"role": "user", "content": question}]
    function = {"name": "weather", "parameters": TOOL}
    offered: Any
    match wire:
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path = f"/gemini/v1beta/models/{model}:{verb}"
            fields: dict[str, Any] = {
                "contents": [{"role": "user", "parts": [{"text": question}]}],
                "generationConfig": {"maxOutputTokens": 100},
            }
            offered = [{"functionDeclarations": [function]}]
        case "bedrock":
            path = f"/bedrock/model/{model}/{'converse-stream' if stream else 'converse'}"
            fields = {
                "messages": [{"role": "user", "content": [{"text": question}]}],
                "inferenceConfig": {"maxTokens": 100},
            }
            spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": TOOL}}}
            return path, fields | ({"toolConfig": {"tools": [spec]}} if tool else {})
        case "ollama":
            path = "/ollama/api/chat"
            fields = {"model": model, "messages": messages, "stream": stream}
            fields["options"] = {"num_predict": 100}
            offered = [{"type": "function", "function": function}]
        case "anthropic":
            path = "/anthropic/v1/messages"
            fields = {"model": model, "messages": messages, "stream": stream, "max_tokens": 100}
            offered = [{"name": "weather", "input_schema": TOOL}]
        case _:
            path = "/openai/v1/chat/completions"
            fields = {"model": model, "messages": messages, "stream": stream, "max_tokens": 100}
            if stream:
                fields["stream_options"] = {"include_usage": True}
            offered = [{"type": "function", "function": function}]
    return path, fields | ({"tools": offered} if tool else {})


def events(wire: str, body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event of a stream; of one that was cut, each whole event."""
    match wire:
        case "bedrock":
            return [json.loads(payload) for _, payload in messages(body)]
        case "ollama":
            return [json.loads(line) for line in body.splitlines()]
        case _:
            lines = [line.removeprefix(b"data: ") for line in body.splitlines()]
            return [json.loads(line) for line in lines if line.startswith(b"{")]


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
    return "".join(text for each in said for text in _texts(wire, each))


def _texts(wire: str, said: dict[str, Any]) -> list[str]:
    match wire:
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


def tells_usage(body: bytes) -> bool:
    names = (b"prompt_tokens", b"output_tokens", b"usageMetadata", b"outputTokens", b"eval_count")
    return any(name in body for name in names)
