"""The simulator and the gateway's dialects understand each other, and count the same.

Neither knows the other's code: where they differ, one of them is wrong.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from gateway.core.chat import ChatRequest, Choice, Completion, Delta, ToolCall
from gateway.core.errors import Broken, UpstreamError
from gateway.core.tokens import count_answer, count_prompt
from gateway.simulator import BASES, PLACES, Served
from gateway.simulator.behaviours import BEHAVIOURS
from gateway.simulator.hosts import HOSTS
from gateway.wire import DIALECTS
from gateway.wire.dialect import StreamDecoder, Target


class Provider(NamedTuple):
    """Where it is, and how it is asked; `array` streams what Google does without `alt=sse`."""

    place: str
    dialect: str
    array: bool = False


PROVIDERS = {
    **{name: Provider(name, name) for name in BASES},
    "azure": Provider("azure", "openai"),
    "vertex": Provider("vertex", "gemini"),
    "gemini-array": Provider("gemini", "gemini", array=True),
    "vertex-array": Provider("vertex", "gemini", array=True),
}
WIRES = list(PROVIDERS)
ERRORS = {
    "throttle": "throttled",
    "error400": "rejected",
    "error500": "faulty",
    "error502": "faulty",
    "error503": "overloaded",
    "error504": "faulty",
    "overloaded": "overloaded",
    "errormid": "overloaded",
    "errormid-throttle": "throttled",
}
AFTER_ERRORMID = (
    "",
    "-throttle",
    "-error400",
    "-error500",
    "-error503",
    "-error504",
    "-overloaded",
)
_OPENAI = "faulty throttled rejected faulty faulty faulty faulty"
_ANTHROPIC = "overloaded throttled rejected faulty faulty faulty overloaded"
_GOOGLE = "overloaded throttled rejected faulty overloaded faulty overloaded"
_BEDROCK = "faulty throttled rejected faulty overloaded faulty overloaded"
IN_THE_MIDDLE = {
    "openai": _OPENAI,
    "azure": _OPENAI,
    "anthropic": _ANTHROPIC,
    "anthropic-vertex": _ANTHROPIC,
    "gemini": _GOOGLE,
    "gemini-array": _GOOGLE,
    "vertex": _GOOGLE,
    "vertex-array": _GOOGLE,
    "bedrock": _BEDROCK,
    "bedrock-invoke": _BEDROCK,
    "ollama": "faulty throttled faulty faulty overloaded faulty overloaded",
}
"""What each of AFTER_ERRORMID is taken for. An error there has no status, only its own words."""
TELL_WHEN = ("openai", "azure", "anthropic", "gemini", "gemini-array")
"""Those that say after how long a throttled call may be made again."""
HOSTS_TELL_WHEN = ("groq",)
WRITE_OBJECTS = {
    "anthropic": (False,), "anthropic-vertex": (False,),
    "bedrock": (False,), "bedrock-invoke": (False,),
    "gemini": (False, True), "ollama": (False, True),
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
    provider = PROVIDERS.get(wire) or Provider(wire, "openai")
    dialect, target = DIALECTS[provider.dialect], targeted(wire, request)
    call = dialect.encode(request, target, stream=request.stream)
    path = call.path.removesuffix("?alt=sse") if provider.array else call.path
    url = PLACES[provider.place] + path
    return await http.post(url, content=call.body, headers=dict(call.headers))


def targeted(wire: str, request: ChatRequest) -> Target:
    return Target(request.model, 100, api_version="2024-10-21" if wire == "azure" else None)


async def ask(http: httpx.AsyncClient, wire: str, request: ChatRequest) -> Completion:
    """One call through a dialect. A streamed answer is put together from its deltas."""
    provider = PROVIDERS.get(wire) or Provider(wire, "openai")
    dialect, target = DIALECTS[provider.dialect], targeted(wire, request)
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
@pytest.mark.parametrize("wire", WIRES)
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
    if tools and stream in WRITE_OBJECTS.get(PROVIDERS[wire].dialect, ()):
        assert counted[0] == billed.prompt_tokens
    else:
        assert counted == (billed.prompt_tokens, billed.completion_tokens)


FAILING = [(word, False) for word in ERRORS]
FAILING += [(word, True) for word in ERRORS if not word.startswith("errormid")]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("behaviour", "stream"), FAILING)
async def test_an_error_is_understood(
    sim: Served, http: httpx.AsyncClient, wire: str, behaviour: str, stream: bool
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await ask(http, wire, chat(f"cheap-{behaviour}", stream=stream))
    assert (caught.value.kind, caught.value.bills) == (ERRORS[behaviour], "nothing")
    told = behaviour.endswith("throttle") and wire in TELL_WHEN
    assert caught.value.retry_after == (1.0 if told else None)
    assert (sim.bill.calls, sim.bill.unbilled) == ([], 1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_hosts_429_is_understood(
    sim: Served, http: httpx.AsyncClient, host: str, stream: bool
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await ask(http, host, chat("cheap-throttle", stream=stream))
    assert (caught.value.kind, caught.value.bills) == ("throttled", "nothing")
    assert caught.value.retry_after == (1.0 if host in HOSTS_TELL_WHEN else None)
    assert "{" not in str(caught.value), "the body is not the message"
    answer = await ask(http, host, chat("cheap-right", stream=stream))
    assert answer.first.text == "3*3 = 9."
    assert [(each.format, each.model) for each in sim.bill.calls] == [(host, "cheap-right")]


def fed(decoder: StreamDecoder, pieces: list[bytes]) -> Iterator[list[Delta]]:
    for piece in pieces:
        yield decoder.feed(piece)
    yield decoder.finish()


@pytest.mark.parametrize("cut", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("place", range(len(AFTER_ERRORMID)), ids=AFTER_ERRORMID)
@pytest.mark.parametrize("wire", WIRES)
async def test_an_error_in_the_middle_comes_after_what_was_said(
    sim: Served, http: httpx.AsyncClient, wire: str, place: int, cut: bool
) -> None:
    request = chat(f"cheap-errormid{AFTER_ERRORMID[place]}", stream=True)
    got = await post(http, wire, request)
    decoder = DIALECTS[PROVIDERS[wire].dialect].decoder(targeted(wire, request))
    pieces = [bytes([each]) for each in got.content] if cut else [got.content]
    said, kind = "", ""
    try:
        for deltas in fed(decoder, pieces):
            said += "".join(choice.text for delta in deltas for choice in delta.choices)
    except UpstreamError as error:
        kind = error.kind
    assert said == "3*3 ="
    assert kind == IN_THE_MIDDLE[wire].split()[place]
    [billed] = sim.bill.calls
    assert (billed.completion_tokens, billed.whole) == (2, False)


@pytest.mark.parametrize("wire", WIRES)
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
