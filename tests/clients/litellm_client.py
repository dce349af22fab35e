"""litellm as a library that calls an OpenAI-compatible server."""

import json
from typing import Any

import litellm

from tests.clients.scenarios import MULTIPLY, QUESTION, Answer, Gateway, multiply, play

ASKED = [{"role": "user", "content": QUESTION}]


def ask(gateway: Gateway, model: str, **more: Any) -> Any:
    asked = {"messages": ASKED, **more}
    return litellm.completion(f"openai/{model}", api_base=gateway.url, api_key=gateway.key, **asked)


def tokens(usage: Any) -> list[int]:
    return [usage.prompt_tokens, usage.completion_tokens]


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    got = ask(gateway, model)
    return {"text": got.choices[0].message.content, "tokens": tokens(got.usage)}


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    chunks = list(ask(gateway, model, stream=True, stream_options={"include_usage": True}))
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    usage = next(u for c in reversed(chunks) if (u := getattr(c, "usage", None)))
    return {"text": "".join(pieces), "pieces": len(pieces), "tokens": tokens(usage)}


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    return _second(gateway, model, ask(gateway, model, tools=[MULTIPLY]))


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    chunks = list(ask(gateway, model, tools=[MULTIPLY], stream=True))
    return _second(gateway, model, litellm.stream_chunk_builder(chunks, messages=ASKED))


def _second(gateway: Gateway, model: str, got: Any) -> dict[str, Any]:
    """The tool's result, and what is said to it."""
    message = got.choices[0].message
    (call,) = message.tool_calls
    arguments = json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": str(multiply(**arguments))}
    said = ask(gateway, model, tools=[MULTIPLY], messages=[*ASKED, message, result])
    return {
        "called": call.function.name,
        "arguments": arguments,
        "text": said.choices[0].message.content,
    }


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    got = ask(gateway, model, response_format=Answer)
    return Answer.model_validate_json(got.choices[0].message.content).model_dump()


if __name__ == "__main__":
    play(
        {
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "tools_streamed": tools_streamed,
            "structured": structured,
        }
    )
