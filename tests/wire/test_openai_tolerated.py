"""What imitators of OpenAI do otherwise, by its name: what we send (a quirk) and what we read.

A departure in a request is a named quirk of the provider, or of one model there. One in an answer
is understood whoever it comes from: it needs no name in the configuration, only one here.
"""

import json
from typing import Any

import msgspec
import pytest

from gateway.core.chat import ChatRequest, Choice, Completion, Delta, ToolCall, Usage
from gateway.core.errors import Broken, Faulty, Overloaded, Throttled, UpstreamError
from gateway.core.snapshot import QUIRKS
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.openai.messages import short_id
from tests.folding import fold

JSON = dict[str, Any]

TARGET = Target("m", 100)
USAGE: JSON = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
CALL: JSON = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
READ = (ToolCall("a", "f", '{"x":1}'),)
TOLD = Usage(10, 4)


# Sent ---------------------------------------------------------------------------------------------

ASKED: JSON = {
    "messages": [
        {"role": "developer", "content": "x"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [CALL],
            "reasoning_content": "hm",
            "reasoning": "ah",
            "reasoning_details": [{"text": "oh"}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "5"},
        {"role": "user", "content": "y"},
    ],
    "max_completion_tokens": 7,
    "seed": 1,
}
SIGNED: JSON = {"google": {"thought_signature": "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv"}}
SENT: dict[str, tuple[str, Any, Any]] = {
    # quirk: where in what is sent, without it, with it
    "echo_reasoning": ("messages.1.reasoning_content", None, "hm"),
    "max_completion_tokens": ("max_completion_tokens", 7, 7),
    "max_tokens": ("max_tokens", None, 7),
    "no_developer_role": ("messages.0.role", "developer", "system"),
    "no_stream_usage": ("stream_options", {"include_usage": True}, None),
    "no_user_after_tool": ("messages.3.role", "user", "assistant"),
    "random_seed": ("random_seed", None, 1),
    "short_unstreamed": ("max_completion_tokens", 7, 7),
    "short_tool_ids": ("messages.2.tool_call_id", "a", short_id("a")),
    "takes_reasoning": ("messages.1.reasoning", None, "ah"),
    "takes_reasoning_content": ("messages.1.reasoning_content", None, "hm"),
    "takes_reasoning_details": ("messages.1.reasoning_details", None, [{"text": "oh"}]),
    "thought_signatures": ("messages.1.tool_calls.0.extra_content", None, SIGNED),
}


def sent(place: str, *quirks: str) -> Any:
    fields = msgspec.json.decode(json.dumps(ASKED), type=dict[str, msgspec.Raw])
    request = ChatRequest(fields, "auto", stream=True, max_tokens=7)
    found = json.loads(openai.encode(request, Target("m", 9, frozenset(quirks)), stream=True).body)
    for step in place.split("."):
        found = found[int(step)] if isinstance(found, list) else found.get(step)
    return found


def test_every_quirk_has_a_line_here() -> None:
    """But for files in clouds, which change nothing that is sent: test_gemini_contents.py, and
    test_bedrock_messages.py.
    """
    assert SENT.keys() | {"gs_uris", "s3_uris"} == QUIRKS.keys()


@pytest.mark.parametrize("quirk", SENT)
def test_a_quirk_of_requests(quirk: str) -> None:
    place, without, with_it = SENT[quirk]
    assert (sent(place), sent(place, quirk)) == (without, with_it)


@pytest.mark.parametrize(
    ("limit", "stream", "told"), [(None, False, 4096), (None, True, 8000), (9000, False, 9000)]
)
def test_a_host_that_gives_short_answers_whole(limit: int | None, stream: bool, told: int) -> None:
    """Fireworks answers 400 to more; where the client wants more, another may be asked."""
    fields = msgspec.json.decode(json.dumps(ASKED), type=dict[str, msgspec.Raw])
    del fields["max_completion_tokens"]
    if limit is not None:
        fields["max_tokens"] = msgspec.Raw(b"%d" % limit)
    request = ChatRequest(fields, "auto", max_tokens=limit)
    target = Target("m", 8000, frozenset({"max_tokens", "short_unstreamed"}))
    assert json.loads(openai.encode(request, target, stream=stream).body)["max_tokens"] == told
    few = Target("m", 99, target.quirks)
    assert json.loads(openai.encode(request, few, stream=False).body)["max_tokens"] == (limit or 99)


# Read ---------------------------------------------------------------------------------------------


def said(message: JSON, **choice: Any) -> JSON:
    told = {"role": "assistant", "content": None, "refusal": None, **message}
    return {"index": 0, "message": told, "finish_reason": "stop", "logprobs": None, **choice}


def whole(*choices: Any, **fields: Any) -> Completion:
    body = {"id": "c", "object": "chat.completion", "created": 5, "model": "m", "usage": USAGE}
    return openai.decode(
        200, {}, json.dumps({**body, "choices": choices, **fields}).encode(), TARGET
    )


TEXT = said({"content": "hi"})
WHOLE: dict[str, tuple[tuple[JSON, ...], JSON, Choice, Usage | None]] = {
    # departure (who): choices, fields; what is read
    "no usage": ((TEXT,), {"usage": None}, Choice(0, "hi"), None),
    "no id, object, time": ((TEXT,), {"id": None, "object": None, "created": None},
                            Choice(0, "hi"), TOLD),
    "a time with a fraction": ((TEXT,), {"created": 5.25}, Choice(0, "hi"), TOLD),
    "no index": (({k: v for k, v in TEXT.items() if k != "index"},), {}, Choice(0, "hi"), TOLD),
    "no finish (Snowflake)": ((TEXT | {"finish_reason": ""},), {}, Choice(0, "hi"), TOLD),
    "eos (Together)": ((TEXT | {"finish_reason": "eos"},), {}, Choice(0, "hi"), TOLD),
    "list content (Mistral, Databricks)": (
        (said({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                           {"type": "text", "text": "hi"}]}),), {},
        Choice(0, "hi", reasoning="hm"), TOLD,
    ),
    "an object for JSON (Cloudflare)": ((said({"content": {"a": 1}}),), {}, Choice(0, '{"a":1}'),
                                        TOLD),
    "reasoning_content (DeepSeek)": ((said({"content": "hi", "reasoning_content": "hm"}),), {},
                                     Choice(0, "hi", reasoning="hm"), TOLD),
    "reasoning (OpenRouter, Groq)": ((said({"content": "hi", "reasoning": "hm"}),), {},
                                     Choice(0, "hi", reasoning="hm"), TOLD),
    "thoughts beside completion_tokens (xAI)": (
        (TEXT,), {"usage": USAGE | {"total_tokens": 20,
                                    "completion_tokens_details": {"reasoning_tokens": 6}}},
        Choice(0, "hi"), Usage(10, 10, reasoning=6),
    ),
    "thoughts nowhere but in the total (Gemini)": (
        (TEXT,), {"usage": USAGE | {"total_tokens": 20}}, Choice(0, "hi"),
        Usage(10, 10, reasoning=6),
    ),
    "calls without type (Mistral)": (
        (said({"tool_calls": [{"id": "a", "function": CALL["function"]}]}),), {},
        Choice(0, None, READ), TOLD,
    ),
    "an object for arguments (Ollama)": (
        (said({"tool_calls": [CALL | {"function": {"name": "f", "arguments": {"x": 1}}}]}),), {},
        Choice(0, None, READ), TOLD,
    ),
    "no arguments (Databricks)": (
        (said({"tool_calls": [CALL | {"function": {"name": "f", "arguments": ""}}]}),), {},
        Choice(0, None, (ToolCall("a", "f", "{}"),)), TOLD,
    ),
    "an empty legacy call (Snowflake)": (
        (said({"content": "hi", "function_call": {"name": "", "arguments": ""}}),), {},
        Choice(0, "hi"), TOLD,
    ),
    "a tier of its own (Groq)": ((TEXT,), {"service_tier": "on_demand"}, Choice(0, "hi"), TOLD),
    "cached tokens apart (Kimi)": ((TEXT,), {"usage": USAGE | {"cached_tokens": 6}},
                                   Choice(0, "hi"), Usage(10, 4, cached=6)),
    "cached tokens twice": (
        (TEXT,), {"usage": USAGE | {"cached_tokens": 6,
                                    "prompt_tokens_details": {"cached_tokens": 7}}},
        Choice(0, "hi"), Usage(10, 4, cached=7),
    ),
    "a window that is full": ((TEXT | {"finish_reason": "model_context_window_exceeded"},), {},
                              Choice(0, "hi", finish="length"), TOLD),
    "cut off as it went round (vLLM)": ((TEXT | {"finish_reason": "repetition"},), {},
                                        Choice(0, "hi", finish="length"), TOLD),
    "a null that is a word (Alibaba)": ((TEXT | {"finish_reason": "null"},), {}, Choice(0, "hi"),
                                        TOLD),
    "filtered, and why (Gemini)": (
        ({"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"},), {},
        Choice(0, finish="content_filter"), TOLD,
    ),
    "null details": ((TEXT,), {"usage": USAGE | {"prompt_tokens_details": None}}, Choice(0, "hi"),
                     TOLD),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_a_departure_of_whole_answers(
    case: tuple[tuple[JSON, ...], JSON, Choice, Usage | None],
) -> None:
    choices, fields, choice, usage = case
    answer = whole(*choices, **fields)
    assert (answer.first, answer.usage) == (choice, usage)


def piece(delta: Any, finish: Any = None, **fields: Any) -> JSON:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    return {**head, "choices": [choice], **fields}


def calls(*pieces: JSON) -> JSON:
    return piece({"tool_calls": list(pieces)})


def streamed(*chunks: JSON, done: bool = True) -> list[Delta]:
    body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    decoder = openai.decoder(TARGET)
    return decoder.feed(body + b"data: [DONE]\n\n" * done) + decoder.finish()


FIRST = piece({"role": "assistant", "content": ""})
HI = piece({"content": "hi"})
END = piece({}, "stop")
LESS: JSON = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
A, B = {"id": "a", "type": "function"}, {"id": "b", "type": "function"}
STREAMS: dict[str, tuple[list[JSON], str, list[tuple[str, str]], Usage | None]] = {
    # departure (who): chunks, the text, the calls, the usage
    "usage alone (OpenAI)": ([FIRST, HI, END, {**FIRST, "choices": [], "usage": USAGE}], "hi", [],
                             TOLD),
    "usage nowhere (vLLM, llama.cpp)": ([FIRST, HI, END], "hi", [], None),
    "usage twice (Groq)": ([FIRST, HI, END | {"usage": LESS}, {**END, "choices": [],
                                                              "usage": USAGE}], "hi", [], TOLD),
    "usage with the finish (DeepSeek, z.ai)": ([FIRST, HI, END | {"usage": USAGE}], "hi", [], TOLD),
    "usage beside a delta (OpenRouter)": ([FIRST, HI | {"usage": USAGE}, END], "hi", [], TOLD),
    "usage with every chunk": ([FIRST | {"usage": LESS}, HI | {"usage": LESS},
                                END | {"usage": USAGE}], "hi", [], TOLD),
    "usage in the choice (Kimi)": (
        [FIRST, HI, {**END, "choices": [{**END["choices"][0], "usage": USAGE}]}], "hi", [], TOLD,
    ),
    "null usage (Databricks)": ([FIRST | {"usage": None}, HI, END], "hi", [], None),
    "no id, object, time (Gemini)": (
        [{k: v for k, v in chunk.items() if k == "choices"} for chunk in (FIRST, HI, END)],
        "hi", [], None,
    ),
    "no role, no index": ([{**HI, "choices": [{"delta": {"content": "hi"}}]}, END], "hi", [], None),
    "a whole message behind the deltas": (
        [FIRST, HI, {**END, "choices": [{"index": 0, "finish_reason": "stop",
                                         "message": {"role": "assistant", "content": "hi"}}]}],
        "hi", [], None,
    ),
    "and an empty delta beside it": (
        [FIRST, piece({"content": "hi", "tool_calls": None}),
         {**END, "choices": [{"index": 0, "finish_reason": "stop", "delta": {}, "text": "hi",
                              "message": {"role": "assistant", "content": "hi"}}]}],
        "hi", [], None,
    ),
    "a message, and no delta before but a role": (
        [FIRST, {**END, "choices": [{"index": 0, "finish_reason": "stop",
                                     "message": {"role": "assistant", "content": "hi"}}]}],
        "hi", [], None,
    ),
    "list content (Mistral)": ([FIRST, piece({"content": [{"type": "text", "text": "hi"}]}), END],
                               "hi", [], None),
    "calls in a null (Azure)": ([FIRST, piece({"content": "hi", "tool_calls": None}), END], "hi",
                                [], None),
    "calls without index and type (Mistral, Gemini)": (
        [FIRST, calls({"id": "a", "function": {"name": "f", "arguments": "{"}}),
         calls({"function": {"arguments": "}"}}),
         calls({"id": "b", "function": {"name": "g", "arguments": "[]"}}), END],
        "", [("f", "{}"), ("g", "[]")], None,
    ),
    "interleaved calls": (
        [FIRST, calls({"index": 0, **A, "function": {"name": "f", "arguments": ""}}),
         calls({"index": 1, **B, "function": {"name": "g", "arguments": ""}}),
         calls({"index": 0, "function": {"arguments": "{"}}),
         calls({"index": 1, "function": {"arguments": "[]"}}),
         calls({"index": 0, "function": {"arguments": "}"}}), END],
        "", [("f", "{}"), ("g", "[]")], None,
    ),
    "a custom tool's call": (
        [FIRST, calls({"index": 0, "id": "a", "type": "custom",
                       "custom": {"name": "f", "input": ""}}),
         calls({"index": 0, "custom": {"input": "SELECT "}}),
         calls({"index": 0, "custom": {"input": "1"}}), END],
        "", [("f", "SELECT 1")], None,
    ),
    "a call in no list (TGI)": (
        [FIRST, piece({"tool_calls": {"index": 0, **A, "function": {"name": "f",
                                                                    "arguments": "{"}}}),
         piece({"tool_calls": {"index": 0, "function": {"arguments": "}"}}}), END],
        "", [("f", "{}")], None,
    ),
    "no reason yet, as a word (Alibaba)": ([piece({"role": "assistant", "content": "h"}, "null"),
                                            piece({"content": "i"}, "null"), END], "hi", [], None),
    "a call with an object (Ollama)": (
        [FIRST, calls({"index": 0, **A, "function": {"name": "f", "arguments": {"x": 1}}}), END],
        "", [("f", '{"x":1}')], None,
    ),
    "large indexes of calls": (
        [FIRST, calls({"index": 128, **A, "function": {"name": "f", "arguments": "{"}}),
         calls({"index": 128.0, "function": {"arguments": "}"}}), END],
        "", [("f", "{}")], None,
    ),
    "indexes that are none": (
        [FIRST, calls({"index": "0", **A, "function": {"name": "f", "arguments": "{"}}),
         calls({"index": 0.5, "id": "a", "function": {"arguments": "}"}}), END],
        "", [("f", "{}")], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("done", [True, False], ids=["[DONE]", "no end mark (Cerebras, TGI)"])
@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_a_departure_of_streams(
    case: tuple[list[JSON], str, list[tuple[str, str]], Usage | None], done: bool
) -> None:
    chunks, text, called, usage = case
    folded, told = fold(streamed(*chunks, done=done))
    assert list(folded) == [0]
    assert (folded[0].text, folded[0].finishes, told) == (text, ["stop"], usage)
    assert list(folded[0].calls) == list(range(len(called)))
    assert [(call.name, call.arguments) for call in folded[0].calls.values()] == called
    assert len({call.id for call in folded[0].calls.values()}) == len(called)


TOKEN: JSON = {"token": "hi", "logprob": -0.5}
FULL: JSON = TOKEN | {"bytes": None, "top_logprobs": []}
LOGPROBS: dict[str, tuple[JSON, list[JSON]]] = {
    "no bytes (TGI)": ({"content": [TOKEN | {"top_logprobs": [TOKEN]}]},
                       [FULL | {"top_logprobs": [TOKEN | {"bytes": None}]}]),
    "null for no others": ({"content": [FULL | {"top_logprobs": None}]}, [FULL]),
    "two lists (Together)": ({"tokens": ["hi"], "token_logprobs": [-0.5], "token_ids": [7]},
                             [FULL]),
}  # fmt: skip


@pytest.mark.parametrize(("told", "content"), LOGPROBS.values(), ids=LOGPROBS)
def test_a_departure_of_logprobs(told: JSON, content: list[JSON]) -> None:
    found = whole(TEXT | {"logprobs": told}).first.logprobs
    assert msgspec.json.decode(found or b"null") == {"content": content, "refusal": None}
    first, *_ = streamed(
        {**HI, "choices": [HI["choices"][0] | {"logprobs": told}]}, END
    )  # in pieces as whole
    [choice] = first.choices
    assert bytes(choice.logprobs or b"") == bytes(found or b"")


def test_logprobs_of_other_forms_are_left_out() -> None:
    for told in ({"content": [7]}, {"content": [{"token": 1}]}, {"content": 3}):
        assert whole(TEXT | {"logprobs": told}).first.logprobs is msgspec.UNSET


CITED: JSON = {
    "type": "url_citation",
    "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 2, "content": "c"},
}


def test_citations_stay_whole_beside_what_is_read_of_files() -> None:
    """OpenRouter's, for a request with a PDF."""
    annotations = [CITED, {"type": "file", "file": {"hash": "h", "content": []}}]
    message = {"content": "hi", "annotations": annotations}
    found = whole(said(message)).first.extra
    assert msgspec.json.decode(found["annotations"]) == [CITED]
    assert whole(said(message | {"annotations": annotations[1:]})).first.extra == {}


TEXT_AND_HEAD: JSON = {"id": "c", "object": "chat.completion", "created": 5, "model": "m"}
ERRORS: dict[str, tuple[JSON, type[UpstreamError]]] = {
    "an error object in a 200 (Groq, Azure)": (
        {"error": {"message": "no", "type": "server_error"}}, Faulty),
    "beside choices (OpenRouter)": (
        {"choices": [], "error": {"message": "no", "code": 429}}, Throttled),
    "within a choice (OpenRouter)": (
        {"choices": [{"index": 0, "delta": {}, "message": {}, "finish_reason": "error",
                      "error": {"code": 429, "message": "no"}}]}, Throttled),
    "within a choice that goes on as if nothing were (OpenRouter)": (
        {**TEXT_AND_HEAD, "choices": [{**TEXT, "delta": {"content": ""},
                                       "error": {"code": 503, "message": "no"}}]}, Overloaded),
    "at the top (vLLM)": ({"object": "error", "message": "no", "code": 503}, Overloaded),
    "a number of its own (MiniMax)": (
        {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "no"}}, Throttled),
    "a finish that is an error": (
        {"choices": [{"index": 0, "delta": {}, "message": {}, "finish_reason": "error"}]}, Broken),
    "a call that could not be written (Gemini)": (
        {"choices": [{"index": 0, "delta": {}, "message": {},
                      "finish_reason": "function_call_filter: MALFORMED_FUNCTION_CALL"}]}, Broken),
    "out of resources (DeepSeek)": (
        {"choices": [{"index": 0, "delta": {}, "message": {},
                      "finish_reason": "insufficient_system_resource"}]}, Overloaded),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), ERRORS.values(), ids=ERRORS)
def test_an_error_in_a_200(body: JSON, kind: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as caught:
        openai.decode(200, {}, json.dumps(body).encode(), TARGET)
    assert type(caught.value) is kind
    with pytest.raises(UpstreamError) as caught:
        streamed(FIRST, HI, body, END)
    assert type(caught.value) is kind


def test_an_error_within_a_choice_of_a_chunk_that_is_sound_else() -> None:
    broken = piece({"content": ""})
    broken["choices"][0]["error"] = {"code": 502, "message": "no"}
    with pytest.raises(Faulty, match="no"):
        streamed(FIRST, HI, broken, END)
