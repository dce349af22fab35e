"""The simulator and the gateway's dialects understand each other, and count the same.

Neither knows the other's code: where they differ, one of them is wrong.
"""

from typing import Any

import httpx
import msgspec
import pytest

from gateway.core.chat import ChatRequest, Choice, Completion, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.core.tokens import count_answer, count_prompt
from gateway.simulator import BASES, Served
from gateway.simulator.behaviours import BEHAVIOURS
from gateway.wire import DIALECTS
from gateway.wire.dialect import Target

ERRORS = {
    "throttle": "throttled",
    "error500": "faulty",
    "overloaded": "overloaded",
    "errormid": "overloaded",
}
IN_THE_MIDDLE = {
    "openai": "faulty",
    "anthropic": "overloaded",
    "gemini": "overloaded",
    "bedrock": "faulty",
    "ollama": "faulty",
}
TELL_WHEN = ("openai", "anthropic", "gemini")
"""Those that say after how long a throttled call may be made again."""
WRITE_OBJECTS = {
    "anthropic": (False,), "bedrock": (False,), "gemini": (False, True), "ollama": (False, True)
}  # fmt: skip
"""Where the arguments of a call are an object (streamed or not), and not what the model wrote."""
UNFIT = {"flaky", "stall", "stallmid", "reset", "resetmid", *ERRORS}
ANSWERING = [one.name for one in BEHAVIOURS if one.name not in UNFIT]
SYSTEM = {"role": "system", "content": "Be brief. Call tools when there are any."}
ASK: list[dict[str, Any]] = [SYSTEM, {"role": "user", "content": "weather or clock? What is 3*3?"}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": TOOL}},
    {"type": "function", "function": {"name": "clock", "parameters": TOOL}},
]


def chat(model: str, *, stream: bool, **more: Any) -> ChatRequest:
    body = {"model": model, "messages": ASK, "max_tokens": 100} | more
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
    return ChatRequest(fields, model, stream=stream, include_usage=stream, max_tokens=100)


async def post(http: httpx.AsyncClient, wire: str, request: ChatRequest) -> httpx.Response:
    call = DIALECTS[wire].encode(request, Target(request.model, 100), stream=request.stream)
    return await http.post(BASES[wire] + call.path, content=call.body, headers=dict(call.headers))


async def ask(http: httpx.AsyncClient, wire: str, request: ChatRequest) -> Completion:
    """One call through a dialect. A streamed answer is put together from its deltas."""
    dialect, target = DIALECTS[wire], Target(request.model, 100)
    got = await post(http, wire, request)
    headers = {name.lower(): value for name, value in got.headers.items()}
    if not request.stream or got.status_code != 200:
        return dialect.decode(got.status_code, headers, got.content, target)
    decoder = dialect.decoder(target)
    deltas = [*decoder.feed(got.content), *decoder.finish()]
    texts: list[str] = []
    calls: dict[int, tuple[str, str, str]] = {}
    finish, usage = "", None
    for delta in deltas:
        usage = delta.usage or usage
        for choice in delta.choices:
            texts.append(choice.text)
            finish = choice.finish or finish
            for tool in choice.tool_calls:
                before = calls.get(tool.index, ("", "", ""))
                calls[tool.index] = (
                    tool.id or before[0], tool.name or before[1], before[2] + tool.arguments,
                )  # fmt: skip
    tool_calls = tuple(ToolCall(*calls[index]) for index in sorted(calls))
    text = "".join(texts)
    return Completion((Choice(text=text, tool_calls=tool_calls, finish=finish),), usage=usage)


@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("wire", BASES)
@pytest.mark.parametrize("behaviour", ANSWERING)
async def test_an_answer_is_understood_and_counted_as_it_is_billed(
    sim: Served, http: httpx.AsyncClient, wire: str, behaviour: str, stream: bool, tools: bool
) -> None:
    more = {"tools": TOOLS} if tools else {}
    request = chat(f"cheap-{behaviour}", stream=stream, **more)
    if behaviour == "noend" and stream:
        with pytest.raises(Broken):
            await ask(http, wire, request)
        return
    answer = await ask(http, wire, request)
    [billed] = sim.bill.calls
    if behaviour == "nousage":
        assert answer.usage is None
    else:
        assert answer.usage is not None
        told = (answer.usage.prompt, answer.usage.completion)
        assert told == (billed.prompt_tokens, billed.completion_tokens)
    counted = (count_prompt(request), count_answer(answer.choices))
    if tools and stream in WRITE_OBJECTS.get(wire, ()):
        assert counted[0] == billed.prompt_tokens
    else:
        assert counted == (billed.prompt_tokens, billed.completion_tokens)


@pytest.mark.parametrize("wire", BASES)
@pytest.mark.parametrize("behaviour", ERRORS)
async def test_an_error_is_understood(http: httpx.AsyncClient, wire: str, behaviour: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        await ask(http, wire, chat(f"cheap-{behaviour}", stream=False))
    assert (caught.value.kind, caught.value.bills) == (ERRORS[behaviour], "nothing")
    told = behaviour == "throttle" and wire in TELL_WHEN
    assert caught.value.retry_after == (1.0 if told else None)


@pytest.mark.parametrize("wire", BASES)
async def test_an_error_in_the_middle_comes_after_what_was_said(
    http: httpx.AsyncClient, wire: str
) -> None:
    request = chat("cheap-errormid", stream=True)
    got = await post(http, wire, request)
    decoder = DIALECTS[wire].decoder(Target(request.model, 100))
    deltas = decoder.feed(got.content)
    assert "".join(choice.text for delta in deltas for choice in delta.choices) == "3*3 ="
    with pytest.raises(UpstreamError) as caught:
        decoder.finish()
    assert caught.value.kind == IN_THE_MIDDLE[wire]


@pytest.mark.parametrize("wire", BASES)
async def test_a_conversation_with_tools_is_taken(
    sim: Served, http: httpx.AsyncClient, wire: str
) -> None:
    first = await ask(http, wire, chat("cheap-right", stream=False, tools=TOOLS))
    calls = first.first.tool_calls
    assert [call.name for call in calls] == ["weather", "clock"]
    functions = [{"name": call.name, "arguments": call.arguments} for call in calls]
    made = [
        {"id": call.id, "type": "function", "function": function}
        for call, function in zip(calls, functions, strict=True)
    ]
    turn = {"role": "assistant", "content": None, "tool_calls": made}
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    request = chat("cheap-right", stream=False, tools=TOOLS, messages=[*ASK, turn, *results])
    second = await ask(http, wire, request)
    assert (second.first.text, second.first.finish) == ("3*3 = 9.", "stop")
    assert sim.bill.calls[1].prompt_tokens == count_prompt(request)
