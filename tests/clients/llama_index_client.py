"""LlamaIndex's OpenAILike, told what the gateway can do."""

from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from tests.clients.scenarios import QUESTION, Answer, Gateway, multiply, play

ASKED = ChatMessage(role=MessageRole.USER, content=QUESTION)
TOOL = FunctionTool.from_defaults(multiply)


def client(gateway: Gateway, model: str) -> OpenAILike:
    return OpenAILike(
        model=model,
        api_base=gateway.url,
        api_key=gateway.key,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
        context_window=100_000,
    )


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    got = client(gateway, model).chat([ASKED])
    counted = got.additional_kwargs
    return {
        "text": got.message.content,
        "tokens": [counted["prompt_tokens"], counted["completion_tokens"]],
    }


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    pieces = [each.delta for each in client(gateway, model).stream_chat([ASKED]) if each.delta]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    asked = client(gateway, model)
    return _second(asked, asked.chat_with_tools([TOOL], QUESTION))


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    asked = client(gateway, model)
    *_, got = asked.stream_chat_with_tools([TOOL], QUESTION)
    return _second(asked, got)


def _second(asked: OpenAILike, got: Any) -> dict[str, Any]:
    """The tool's result, and what is said to it."""
    (call,) = asked.get_tool_calls_from_response(got)
    result = ChatMessage(
        role=MessageRole.TOOL,
        content=str(TOOL(**call.tool_kwargs)),
        additional_kwargs={"tool_call_id": call.tool_id},
    )
    said = asked.chat_with_tools([TOOL], chat_history=[ASKED, got.message, result])
    return {
        "called": call.tool_name,
        "arguments": call.tool_kwargs,
        "text": said.message.content,
    }


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    got = client(gateway, model).as_structured_llm(Answer).chat([ASKED])
    assert isinstance(got.raw, Answer)
    return got.raw.model_dump()


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
