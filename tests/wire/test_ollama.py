"""The ollama dialect at its edges: what no recording shows."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.core.chat import Choice, ChoiceDelta, Delta, ToolCall, ToolDelta, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    InvalidRequest,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import ollama
from gateway.wire.dialect import Target
from gateway.wire.ollama.stream import MAX_LINE
from tests.recordings import cuts
from tests.wire.chats import chat
from tests.wire.ollama_chats import JSON, TARGET, USER, body, feed, lines

# What is sent -------------------------------------------------------------------------------------

F: Final[JSON] = {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}
TOOL: Final[JSON] = {"type": "function", "function": F}
BARE: Final[JSON] = {"type": "function", "function": {"name": "g"}}
EMPTY: Final[JSON] = {"type": "object", "properties": {}}
SCHEMA: Final[JSON] = {"type": "object", "properties": {"x": {"type": "integer"}}}
ALLOWED: Final[JSON] = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [BARE]},
}

SENT: Final[list[tuple[JSON, JSON, tuple[str, ...]]]] = [
    # the request's fields, the body beside model, messages, stream and num_predict, what is dropped
    ({}, {}, ()),
    ({"max_tokens": 7}, {"options": {"num_predict": 7}}, ()),
    ({"max_tokens": 700}, {"options": {"num_predict": 100}}, ()),
    (
        {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 7, "stop": "x", "min_p": None},
        {"options": {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "seed": 7, "stop": ["x"]}},
        (),
    ),
    ({"frequency_penalty": 0.5, "num_ctx": 9}, {"options": {"frequency_penalty": 0.5,
                                                            "num_ctx": 9}}, ()),
    (
        {"seed": 1, "options": {"seed": 2, "num_predict": 10**9, "num_gpu": 99, "num_ctx": 8}},
        {"options": {"seed": 2, "num_ctx": 8}},
        ("options.num_gpu", "options.num_predict"),
    ),
    ({"stop": ["a", "b"]}, {"options": {"stop": ["a", "b"]}}, ()),
    ({"stop": []}, {}, ()),
    ({"tools": [TOOL]}, {"tools": [TOOL]}, ()),
    ({"tools": [BARE]}, {"tools": [{**BARE, "function": {"name": "g", "parameters": EMPTY}}]}, ()),
    ({"tools": [TOOL], "tool_choice": "none"}, {}, ()),
    ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [TOOL]}, ()),
    ({"tools": [TOOL, BARE], "tool_choice": ALLOWED},
     {"tools": [{**BARE, "function": {"name": "g", "parameters": EMPTY}}]}, ()),
    ({"tools": [TOOL], "parallel_tool_calls": False}, {"tools": [TOOL]}, ("parallel_tool_calls",)),
    ({"response_format": {"type": "text"}}, {}, ()),
    ({"response_format": {"type": "json_object"}}, {"format": "json"}, ()),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
     {"format": SCHEMA}, ()),
    ({"reasoning_effort": "none"}, {"think": False}, ()),
    ({"reasoning_effort": "xhigh"}, {"think": True}, ()),
    ({"reasoning_effort": "low", "think": True, "keep_alive": "5m"},
     {"think": True, "keep_alive": "5m"}, ()),
    ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}, ()),
    ({"logprobs": False, "n": 1}, {}, ()),
    ({"logit_bias": {"5": 1}, "user": "u", "store": False, "stream_options": {}, "odd": 1}, {},
     ("logit_bias", "odd", "user")),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "said", "dropped"), SENT)
def test_what_is_sent(fields: JSON, said: JSON, dropped: tuple[str, ...]) -> None:
    call = ollama.encode(chat(**fields), TARGET, stream=False)
    options = {"num_predict": 100, **said.get("options", {})}
    expected = {"model": "llama3", "messages": [USER], "stream": False, **said, "options": options}
    assert json.loads(call.body) == expected
    assert call.dropped == dropped
    assert call.path == "/api/chat"


@pytest.mark.parametrize(
    ("upstream", "effort", "think"),
    [("gpt-oss:20b", "xhigh", "high"), ("hf.co/x/GPT-OSS-120B", "minimal", "low"),
     ("gpt-oss:20b", "none", False), ("qwen3:8b", "medium", True), ("qwen3:8b", "none", False)],
)  # fmt: skip
def test_a_level_of_thinking_is_gpt_oss_s_alone(upstream: str, effort: str, think: Any) -> None:
    """Of another model Ollama says: think value "medium" is not supported for this model."""
    call = ollama.encode(chat(reasoning_effort=effort), Target(upstream, 100), stream=False)
    assert json.loads(call.body)["think"] == think


WINDOWS: Final[list[tuple[int, int | None, JSON, int | None]]] = [
    # the prompt's tokens, what the model can be trusted with, the request's fields, num_ctx
    (0, None, {}, None),
    (10, 131_072, {}, 4_096),
    (2_972, 131_072, {}, 4_096),
    (2_973, 131_072, {}, 8_192),
    (50_000, 131_072, {}, 65_536),
    (50_000, 60_000, {}, 60_000),
    (10, 2_048, {}, 2_048),
    (7_000, 131_072, {"max_tokens": 10}, 8_192),
    (50_000, 131_072, {"num_ctx": 9}, 9),
    (50_000, 131_072, {"options": {"num_ctx": 8}}, 8),
]


@pytest.mark.parametrize(("prompt", "context", "fields", "window"), WINDOWS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_window_holds_prompt_and_answer(
    prompt: int, context: int | None, fields: JSON, window: int | None, stream: bool
) -> None:
    target = Target("llama3", 100, prompt=prompt, context=context)
    call = ollama.encode(chat(**fields), target, stream=stream)
    assert json.loads(call.body)["options"].get("num_ctx") == window


CALL: Final[JSON] = {
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a":1}'},
}
PNG: Final = "data:image/png;base64,iVBORw0KGgo="
SAID: Final[list[tuple[str, list[JSON], list[JSON]]]] = [
    ("a developer", [{"role": "developer", "content": "x"}], [{"role": "system", "content": "x"}]),
    ("parts", [{"role": "user", "content": [{"type": "text", "text": "a"},
                                            {"type": "text", "text": "b"}]}],
     [{"role": "user", "content": "a\nb"}]),
    ("an image", [{"role": "user", "content": [{"type": "text", "text": "a"},
                                               {"type": "image_url", "image_url": {"url": PNG}}]}],
     [{"role": "user", "content": "a", "images": ["iVBORw0KGgo="]}]),
    ("thoughts", [{"role": "assistant", "content": "x", "reasoning_content": "hm"}],
     [{"role": "assistant", "content": "x", "thinking": "hm"}]),
    ("a refusal was said, too",
     [{"role": "assistant", "content": None, "refusal": "No."},
      {"role": "assistant", "content": "So:", "refusal": "No."}],
     [{"role": "assistant", "content": "No."}, {"role": "assistant", "content": "So:\nNo."}]),
    ("a call", [{"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "5"}]}],
     [{"role": "assistant", "content": "",
       "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]},
      {"role": "tool", "content": "5", "tool_call_id": "c1", "tool_name": "f"}]),
    ("a call that Google signed",
     [{"role": "assistant", "tool_calls": [CALL | {"id": "c1__thought__c2ln"}]},
      {"role": "tool", "tool_call_id": "c1__thought__c2ln", "content": "5"}],
     [{"role": "assistant", "content": "",
       "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]},
      {"role": "tool", "content": "5", "tool_call_id": "c1", "tool_name": "f"}]),
    ("a call without arguments",
     [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": ""}}]}],
     [{"role": "assistant", "content": "",
       "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]),
    ("a result of an unknown call", [{"role": "tool", "name": "g", "content": "5"}],
     [{"role": "tool", "content": "5", "tool_name": "g"}]),
]  # fmt: skip


@pytest.mark.parametrize(("title", "given", "sent"), SAID, ids=[case[0] for case in SAID])
def test_messages(title: str, given: list[JSON], sent: list[JSON]) -> None:
    assert body(*given)["messages"] == sent, title


def test_arguments_go_out_as_they_were_written() -> None:
    written = '{"a": 1.0, "b":123456789012345678901234567890, "c":"\\u00e9"}'
    call = {"id": "c", "function": {"name": "f", "arguments": written}}
    made = ollama.encode(
        chat(messages=[{"role": "assistant", "tool_calls": [call]}]), TARGET, stream=False
    )
    assert written.encode() in made.body


ASSISTANT: Final[JSON] = {"role": "assistant"}
REFUSED: Final[list[tuple[JSON, str]]] = [
    ({"n": 2}, "n"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
     "tool_choice"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ({"tools": "f"}, "tools"),
    ({"functions": [F]}, "functions"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"modalities": ["audio"], "audio": {}}, "audio"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"reasoning_effort": "heroic"}, "reasoning_effort"),
    ({"stop": [1]}, "stop"),
    ({"options": [1]}, "options"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
     "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url":
                                                 {"url": "https://a/b.png"}}]}]},
     "messages[0].content[0].image_url.url"),
    ({"messages": [ASSISTANT | {"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]},
     "messages[0].tool_calls[0].function.arguments"),
    ({"messages": [ASSISTANT | {"tool_calls": [{}]}]}, "messages[0].tool_calls[0]"),
    ({"messages": [ASSISTANT | {"function_call": {"name": "f"}}]}, "messages[0].function_call"),
    ({"messages": [ASSISTANT | {"audio": {"id": "a"}}]}, "messages[0].audio"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_said_is_refused_by_name(fields: JSON, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ollama.encode(chat(**fields), TARGET, stream=False)
    assert caught.value.param == param
    assert param.partition("[")[0] in str(caught.value)


def test_a_key_is_only_sent_where_there_is_one() -> None:
    assert ollama.auth("") == {}
    assert ollama.auth("k") == {"authorization": "Bearer k"}


# Answers ------------------------------------------------------------------------------------------

WHEN: Final = "2025-01-01T00:00:00.123456789Z"
COUNTS: Final = {"prompt_eval_count": 10, "eval_count": 4}


def answer(message: JSON, **fields: Any) -> bytes:
    told = {"created_at": WHEN, "message": {"role": "assistant", **message}, "done": True}
    return json.dumps({**told, "done_reason": "stop", **COUNTS, **fields}).encode()


def made(place: int, arguments: str) -> str:
    """The id that a call of `f` without one gets."""
    told = {"tool_calls": [{"function": {"name": "f", "arguments": json.loads(arguments)}}]}
    filler = [{"function": {"name": "x"}}] * place
    found = ollama.decode(
        200, {}, answer({"tool_calls": [*filler, *told["tool_calls"]]}), TARGET
    ).first.tool_calls[place]
    return found.id


READ: Final[list[tuple[JSON, JSON, Choice]]] = [
    ({"content": "hi"}, {}, Choice(text="hi")),
    ({"content": ""}, {}, Choice(text="")),
    ({"content": "hi", "thinking": "hm"}, {}, Choice(text="hi", reasoning="hm")),
    ({"content": "hi"}, {"done_reason": "length"}, Choice(text="hi", finish="length")),
    ({"content": ""}, {"done_reason": "load"}, Choice(text="")),
    ({"content": "hi"}, {"done_reason": None}, Choice(text="hi")),
    (
        {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
        {},
        Choice(tool_calls=(ToolCall(made(0, '{"a":1}'), "f", '{"a":1}'),), finish="tool_calls"),
    ),
    (
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}},
                        {"id": "d", "function": {"name": "g"}}]},
        {},
        Choice(tool_calls=(ToolCall("c", "f", '{"a": 1}'), ToolCall("d", "g", "{}")),
               finish="tool_calls"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "fields", "choice"), READ)
def test_answers(message: JSON, fields: JSON, choice: Choice) -> None:
    found = ollama.decode(200, {}, answer(message, **fields), TARGET)
    assert found.first == choice
    assert (found.usage, found.created) == (Usage(10, 4), 1_735_689_600)


def test_ids_are_told_apart_by_place_and_time() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    message = {"tool_calls": [call, call]}
    first = ollama.decode(200, {}, answer(message), TARGET).first.tool_calls
    again = ollama.decode(200, {}, answer(message), TARGET).first.tool_calls
    later = ollama.decode(200, {}, answer(message, created_at="x"), TARGET).first.tool_calls
    assert first == again
    assert len({call.id for call in (*first, *later)}) == 4


def test_arguments_come_in_as_they_were_written() -> None:
    written = '{"a":1.0,"b":123456789012345678901234567890,"c":"\\u00e9"}'
    told = answer({"tool_calls": [{"function": {"name": "f", "arguments": "@"}}]})
    found = ollama.decode(200, {}, told.replace(b'"@"', written.encode()), TARGET)
    assert found.first.tool_calls[0].arguments == written


@pytest.mark.parametrize(
    "counts", [{"eval_count": None}, {"prompt_eval_count": -1}, {"eval_count": 2**41},
               {"prompt_eval_count": "10"}, {"eval_count": True}],
)  # fmt: skip
def test_counts_that_make_no_sense_are_no_usage(counts: JSON) -> None:
    assert ollama.decode(200, {}, answer({"content": "hi"}, **counts), TARGET).usage is None


def test_logprobs_are_told_as_openai_tells_them() -> None:
    given = [{"token": "hi", "logprob": -0.5, "bytes": [104, 105],
              "top_logprobs": [{"token": "ho", "logprob": -1.5}]},
             {"token": "!", "logprob": -2}]  # fmt: skip
    found = ollama.decode(200, {}, answer({"content": "hi!"}, logprobs=given), TARGET).first
    assert found.logprobs is not UNSET
    top = {"token": "ho", "logprob": -1.5, "bytes": None}
    assert json.loads(bytes(found.logprobs)) == {
        "content": [
            {"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": [top]},
            {"token": "!", "logprob": -2.0, "bytes": None, "top_logprobs": []},
        ],
        "refusal": None,
    }


@pytest.mark.parametrize(
    "told",
    [b"", b"{", b"null", b"[]", b"{}", b"<html>", b"\xff", b"[" * 100_000, b'{"message":{}}',
     b'{"message":{"content":7},"done":true}', b'{"message":{"content":"x"},"done":false}'],
    ids=lambda told: str(told[:40]),
)  # fmt: skip
def test_a_200_without_an_answer_is_broken(told: bytes) -> None:
    with pytest.raises(Broken):
        ollama.decode(200, {}, told, TARGET)


# Errors -------------------------------------------------------------------------------------------

FAULTS: Final[list[tuple[int, str, type[UpstreamError]]]] = [
    (404, "model 'x' not found, try pulling it first", Misconfigured),
    (410, "x was retired", Misconfigured),
    (401, "unauthorized", Misconfigured),
    (400, "registry.ollama.ai/library/x does not support tools", Unsuitable),
    (400, '"x" does not support thinking', Unsuitable),
    (400, 'think value "low" is not supported for this model', Unsuitable),
    (400, "the input length exceeds the context length", Unsuitable),
    (400, "invalid options: temperature", Rejected),
    (429, "too many concurrent requests", Throttled),
    (503, "server busy, please try again. maximum pending requests exceeded", Overloaded),
    (500, "model requires more system memory than is available", Faulty),
    (200, "an error was encountered while running the model: CUDA error", Faulty),
    (200, "server busy, please try again", Overloaded),
    (200, "x does not support tools", Unsuitable),
    (307, "moved", Misconfigured),
    (204, "", Broken),
]


@pytest.mark.parametrize(("status", "words", "kind"), FAULTS)
def test_errors(status: int, words: str, kind: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as caught:
        ollama.decode(status, {"retry-after": "3"}, json.dumps({"error": words}).encode(), TARGET)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert caught.value.status == (400 if status == 400 else kind.status)


def test_an_error_names_no_address() -> None:
    told = {"error": 'Post "http://127.0.0.1:40213/completion": EOF'}
    with pytest.raises(Faulty) as caught:
        ollama.decode(500, {"retry-after": "3"}, json.dumps(told).encode(), TARGET)
    assert str(caught.value) == 'Post "[...]": EOF'
    assert caught.value.retry_after == 3


# Streams ------------------------------------------------------------------------------------------


def line(done: bool = False, **message: Any) -> JSON:
    told: JSON = {"created_at": WHEN, "message": {"role": "assistant", **message}, "done": done}
    return {**told, **COUNTS, "done_reason": "stop"} if done else told


def calls(*names: str) -> JSON:
    return line(content="", tool_calls=[{"id": n, "function": {"name": n}} for n in names])


def delta(usage: Usage | None = None, **choice: Any) -> Delta:
    return Delta((ChoiceDelta(**choice),), usage, created=1_735_689_600)


END: Final = delta(Usage(10, 4), finish="stop")
STREAMS: Final[list[tuple[list[JSON], list[Delta]]]] = [
    ([line(content="a"), line(content="é\u2028"), line(True, content="")],
     [delta(text="a"), delta(text="é\u2028"), END]),
    ([line(thinking="hm"), line(content=""), line(True, content="b")],
     [delta(reasoning="hm"), delta(Usage(10, 4), text="b", finish="stop")]),
    ([calls("f"), calls("g", "h"), line(True)],
     [delta(tool_calls=(ToolDelta(0, "f", "f", "{}"),)),
      delta(tool_calls=(ToolDelta(1, "g", "g", "{}"), ToolDelta(2, "h", "h", "{}"))),
      delta(Usage(10, 4), finish="tool_calls")]),
    ([line(content="a"), line(True), line(content="after the end")], [delta(text="a"), END]),
    ([{"message": {}, "done": True, "done_reason": "length"}],
     [Delta((ChoiceDelta(finish="length"),))]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "deltas"), STREAMS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_streams_however_they_are_cut(said: list[JSON], deltas: list[Delta], end: bytes) -> None:
    told = lines(*said).replace(b"\n", end)
    for number, pieces in enumerate(cuts(told)):
        assert feed(pieces) == deltas, f"cut {number}"
    assert feed([told.rstrip()]) == deltas, "the last line need not end"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (lines({"error": "boom"}), Faulty),
        (lines({"error": {"message": "server busy"}}), Overloaded),
        (b"", Broken),
        (lines(line(content="")), Broken),
        (b"<html>\n", Broken),
        (b"x" * (MAX_LINE + 1), Broken),
        (lines({"status": "success"}), Broken),
    ],
    ids=["error", "error object", "nothing", "no end", "HTML", "too long", "of another kind"],
)
@pytest.mark.parametrize("before", [b"", lines(line(content="a"))], ids=["at once", "later"])
def test_a_stream_breaks_after_what_it_said(
    told: bytes, kind: type[UpstreamError], before: bytes
) -> None:
    decoder = ollama.decoder(TARGET)
    found: list[Delta] = []

    def read() -> None:
        found.extend(decoder.feed(before + told))
        found.extend(decoder.finish())

    with pytest.raises(UpstreamError) as caught:
        read()
    assert type(caught.value) is kind
    assert found == ([delta(text="a")] if before else [])


WORDS: Final = st.sampled_from(
    ["message", "content", "thinking", "tool_calls", "function", "name", "arguments", "done",
     "done_reason", "error", "eval_count", "prompt_eval_count", "created_at", "logprobs", "token"]
)  # fmt: skip
JUNK: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)
BODIES: Final = st.binary() | JUNK.map(lambda value: json.dumps(value).encode())


def outcome(read: Any) -> str:
    """The class of error; anything but an UpstreamError is let through."""
    try:
        read()
    except UpstreamError as error:
        return error.kind
    return "ok"


@given(st.sampled_from([200, 204, 302, 400, 401, 429, 500, 529]), BODIES)
def test_whole_answers_raise_nothing_but_upstream_errors(status: int, told: bytes) -> None:
    kind = outcome(lambda: ollama.decode(status, {"retry-after": "nan"}, told, TARGET))
    assert kind != "ok" or status == 200


@given(st.lists(BODIES, max_size=4), st.lists(st.integers(0, 10_000), max_size=5))
def test_streams_raise_nothing_but_upstream_errors(bodies: list[bytes], places: list[int]) -> None:
    told = lines(line(content="a")) + b"".join(each + b"\n" for each in bodies) + lines(line(True))
    ends = sorted({place % len(told) for place in places})
    pieces = [told[a:b] for a, b in zip([0, *ends], [*ends, len(told)], strict=True)]
    found: list[list[Delta]] = [[], []]

    def read(into: list[Delta], pieces: list[bytes]) -> None:
        decoder = ollama.decoder(TARGET)
        for piece in pieces:
            into += decoder.feed(piece)
        into += decoder.finish()

    assert outcome(lambda: read(found[0], [told])) == outcome(lambda: read(found[1], pieces))
    assert [repr(delta) for delta in found[0]] == [repr(delta) for delta in found[1]]
