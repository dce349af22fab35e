"""Instructor: response models, by JSON schema and by tools."""

from typing import Any

import instructor
from openai import OpenAI

from tests.clients.scenarios import QUESTION, Answer, Gateway, play

ASKED: Any = [{"role": "user", "content": QUESTION}]
SCHEMA, TOOLS = instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS


def client(gateway: Gateway, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(base_url=gateway.url, api_key=gateway.key), mode=mode)


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    """Without a response model it hands on what came."""
    got = client(gateway, SCHEMA).create(model=model, messages=ASKED, response_model=None)
    return {
        "text": got.choices[0].message.content,
        "tokens": [got.usage.prompt_tokens, got.usage.completion_tokens],
    }


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    """The response model, more of it with every piece."""
    parts = made_in_parts(gateway, model, SCHEMA)
    return {"made": parts[-1], "pieces": len(parts)}


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    return made(gateway, model, TOOLS)


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    return made_in_parts(gateway, model, TOOLS)[-1]


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    return made(gateway, model, SCHEMA)


def made(gateway: Gateway, model: str, mode: instructor.Mode) -> dict[str, Any]:
    got: Answer = client(gateway, mode).create(model=model, messages=ASKED, response_model=Answer)
    return got.model_dump()


def made_in_parts(gateway: Gateway, model: str, mode: instructor.Mode) -> list[dict[str, Any]]:
    parts = client(gateway, mode).create_partial(model=model, messages=ASKED, response_model=Answer)
    return [part.model_dump() for part in parts]


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
