"""Pydantic AI's agents on its OpenAIChatModel."""

from typing import Any

from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.scenarios import QUESTION, Answer, Gateway, multiply, play


def agent(gateway: Gateway, model: str, **more: Any) -> Agent[None, Any]:
    provider = OpenAIProvider(base_url=gateway.url, api_key=gateway.key)
    return Agent(OpenAIChatModel(model, provider=provider), **more)


def tokens(run: Any) -> list[int]:
    return [run.usage.input_tokens, run.usage.output_tokens]


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    got = agent(gateway, model).run_sync(QUESTION)
    return {"text": got.output, "tokens": tokens(got)}


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    got = agent(gateway, model).run_stream_sync(QUESTION)
    pieces = list(got.stream_text(delta=True, debounce_by=None))
    return {"text": "".join(pieces), "pieces": len(pieces), "tokens": tokens(got)}


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    got = agent(gateway, model, tools=[multiply]).run_sync(QUESTION)
    return {**_called(got), "text": got.output}


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    got = agent(gateway, model, tools=[multiply]).run_stream_sync(QUESTION)
    text = "".join(got.stream_text(delta=True, debounce_by=None))
    return {**_called(got), "text": text}


def _called(run: Any) -> dict[str, Any]:
    parts = [part for message in run.all_messages() for part in message.parts]
    (call,) = [part for part in parts if isinstance(part, ToolCallPart)]
    return {"called": call.tool_name, "arguments": call.args_as_dict()}


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    got: Answer = agent(gateway, model, output_type=NativeOutput(Answer)).run_sync(QUESTION).output
    return got.model_dump()


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
