"""OpenAI's own SDK, strict: it rejects every answer that is not as OpenAI says."""

import json
from typing import Any

from openai import OpenAI

from tests.clients.scenarios import MULTIPLY, QUESTION, Answer, Gateway, multiply, play

ASKED: Any = [{"role": "user", "content": QUESTION}]


def client(gateway: Gateway) -> OpenAI:
    return OpenAI(base_url=gateway.url, api_key=gateway.key, _strict_response_validation=True)


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    with client(gateway) as asked:
        got = asked.chat.completions.create(model=model, messages=ASKED)
    assert got.usage
    return {
        "text": got.choices[0].message.content,
        "tokens": [got.usage.prompt_tokens, got.usage.completion_tokens],
    }


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    pieces, usage = [], None
    with client(gateway) as asked:
        for chunk in asked.chat.completions.create(
            model=model, messages=ASKED, stream=True, stream_options={"include_usage": True}
        ):
            usage = chunk.usage or usage
            pieces += [c.delta.content for c in chunk.choices if c.delta.content]
    assert usage
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "tokens": [usage.prompt_tokens, usage.completion_tokens],
    }


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    with client(gateway) as asked:
        got = asked.chat.completions.create(model=model, messages=ASKED, tools=[MULTIPLY])
        return _second(asked, model, got.choices[0].message)


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    with client(gateway) as asked:
        with asked.chat.completions.stream(
            model=model,
            messages=ASKED,
            tools=[MULTIPLY],
        ) as events:
            got = events.get_final_completion()
        return _second(asked, model, got.choices[0].message)


def _second(asked: OpenAI, model: str, message: Any) -> dict[str, Any]:
    """The tool's result, and what is said to it."""
    (call,) = message.tool_calls
    arguments = json.loads(call.function.arguments)
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": str(multiply(**arguments))}
    got = asked.chat.completions.create(
        model=model,
        messages=[*ASKED, message, result],
        tools=[MULTIPLY],
    )
    return {
        "called": call.function.name,
        "arguments": arguments,
        "text": got.choices[0].message.content,
    }


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    with client(gateway) as asked:
        got = asked.chat.completions.parse(model=model, messages=ASKED, response_format=Answer)
    assert got.choices[0].message.parsed
    return got.choices[0].message.parsed.model_dump()


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
