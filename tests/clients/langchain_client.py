"""LangChain's ChatOpenAI, as an application would use it."""

from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from tests.clients.scenarios import MULTIPLY, QUESTION, Answer, Gateway, multiply, play


def client(gateway: Gateway, model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=gateway.url, api_key=gateway.key, stream_usage=True)


def tokens(message: Any) -> list[int]:
    usage = message.usage_metadata
    return [usage["input_tokens"], usage["output_tokens"]]


def chat(gateway: Gateway, model: str) -> dict[str, Any]:
    got = client(gateway, model).invoke(QUESTION)
    return {"text": got.content, "tokens": tokens(got)}


def stream(gateway: Gateway, model: str) -> dict[str, Any]:
    whole, pieces = AIMessageChunk(""), 0
    for chunk in client(gateway, model).stream(QUESTION):
        whole += chunk
        pieces += bool(chunk.content)
    return {"text": whole.content, "pieces": pieces, "tokens": tokens(whole)}


def tools(gateway: Gateway, model: str) -> dict[str, Any]:
    asked = client(gateway, model).bind_tools([MULTIPLY])
    return _second(asked, asked.invoke(QUESTION))


def tools_streamed(gateway: Gateway, model: str) -> dict[str, Any]:
    asked = client(gateway, model).bind_tools([MULTIPLY])
    whole = AIMessageChunk("")
    for chunk in asked.stream(QUESTION):
        whole += chunk
    return _second(asked, whole)


def _second(asked: Any, message: Any) -> dict[str, Any]:
    """The tool's result, and what is said to it."""
    (call,) = message.tool_calls
    result = ToolMessage(str(multiply(**call["args"])), tool_call_id=call["id"])
    got = asked.invoke([HumanMessage(QUESTION), message, result])
    return {"called": call["name"], "arguments": call["args"], "text": got.content}


def structured(gateway: Gateway, model: str) -> dict[str, Any]:
    asked = client(gateway, model).with_structured_output(Answer, method="json_schema")
    got: Answer = asked.invoke(QUESTION)
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
