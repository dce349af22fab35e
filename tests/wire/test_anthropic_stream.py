"""Streams: events in, deltas or errors out."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import ChoiceDelta, Delta, ToolCall, Usage
from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    UpstreamError,
)
from gateway.wire import anthropic
from tests.wire.anthropic_streams import (
    PROPERTY,
    TARGET,
    WORDS,
    add,
    begin,
    end,
    read,
    sse,
    start,
    stop,
    text,
)
from tests.wire.chats import assembled, last_usage


def tool(index: int, id_: str, *pieces: str) -> list[dict[str, Any]]:
    return [
        begin(index, type="tool_use", id=id_, name=f"{id_}_name", input={}),
        *(add(index, "input_json_delta", partial_json=piece) for piece in pieces),
        end(index),
    ]


def test_delta_by_delta() -> None:
    found = read(
        [sse(start(input_tokens=3, output_tokens=1), *text(0, "Hi"), stop(output_tokens=9))]
    )
    assert found == [
        Delta(choices=(ChoiceDelta(text="Hi"),), usage=Usage(3), id="msg_1"),
        Delta(usage=Usage(3, 9), id="msg_1"),
        Delta(choices=(ChoiceDelta(finish="stop"),), usage=Usage(3, 9), id="msg_1"),
    ]


def test_calls_are_counted_among_themselves_not_by_block() -> None:
    found = assembled(
        read(
            [
                sse(
                    start(input_tokens=1, output_tokens=1),
                    *text(0, "Both:"),
                    *tool(1, "a", "", '{"x"', ": 1}"),
                    begin(2, type="server_tool_use", id="s", name="web_search", input={}),
                    add(2, "input_json_delta", partial_json='{"query": "q"}'),
                    end(2),
                    *tool(3, "b", ""),
                    *tool(4, "c"),
                    stop("tool_use", output_tokens=2),
                )
            ]
        )
    ).first
    assert found.tool_calls == (
        ToolCall("a", "a_name", '{"x": 1}'),
        ToolCall("b", "b_name", "{}"),
        ToolCall("c", "c_name", "{}"),
    )
    assert found.finish == "tool_calls"
    assert json.loads(bytes(found.extra["server_tool_blocks"])) == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    ]


def test_interleaved_calls_keep_apart() -> None:
    events: list[dict[str, Any]] = [
        begin(0, type="tool_use", id="a", name="f", input={}),
        begin(1, type="tool_use", id="b", name="g", input={"given": "whole"}),
        add(0, "input_json_delta", partial_json='{"x":'),
        end(1),
        add(0, "input_json_delta", partial_json="1}"),
        end(0),
    ]
    found = assembled(read([sse(start(), *events, stop("tool_use"))])).first
    assert [call.arguments for call in found.tool_calls] == ['{"x":1}', '{"given":"whole"}']


def test_thoughts_come_back_with_their_signatures() -> None:
    events: list[dict[str, Any]] = [
        begin(0, type="thinking", thinking="", signature=""),
        add(0, "thinking_delta", thinking="H"),
        add(0, "thinking_delta", thinking="m."),
        add(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, type="redacted_thinking", data="Y2lwaGVy"),
        end(1),
        begin(2, type="thinking", thinking="", signature=""),
        add(2, "signature_delta", signature="YWxvbmU="),
        end(2),
        *text(3, "4"),
    ]
    found = assembled(read([sse(start(), *events, stop())])).first
    assert found.reasoning == "Hm."
    assert found.text == "4"
    assert json.loads(bytes(found.extra["thinking_blocks"])) == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "Y2lwaGVy"},
        {"type": "thinking", "thinking": "", "signature": "YWxvbmU="},
    ]


USAGES: Final[list[tuple[dict[str, int], list[dict[str, int]], Usage | None]]] = [
    # the last value of each field counts, whatever came before it
    ({"input_tokens": 3, "output_tokens": 1}, [{"output_tokens": 9}], Usage(3, 9)),
    (
        {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1},
        [{"input_tokens": 4, "cache_read_input_tokens": 6, "output_tokens": 9}],
        Usage(10, 9, cached=6),
    ),
    (
        {"input_tokens": 3, "cache_creation_input_tokens": 7, "output_tokens": 1},
        [{"output_tokens": 5}, {"output_tokens": 9}],
        Usage(10, 9, cache_write=7),
    ),
    # no prompt has no tokens
    (
        {"input_tokens": 3, "output_tokens": 0},
        [{"input_tokens": 0, "output_tokens": 9}],
        Usage(3, 9),
    ),
    (
        {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1},
        [{"input_tokens": 0, "cache_read_input_tokens": 8, "output_tokens": 9}],
        Usage(8, 9, cached=8),
    ),
    ({"input_tokens": 0}, [{"input_tokens": 0, "output_tokens": 9}], Usage(0, 9)),
    ({}, [{"output_tokens": 9}], None),
    ({"input_tokens": -3, "output_tokens": 1}, [{"output_tokens": 9}], None),
]


@pytest.mark.parametrize(("first", "later", "expected"), USAGES)
def test_usage_is_cumulative(
    first: dict[str, int], later: list[dict[str, int]], expected: Usage | None
) -> None:
    *between, last = later
    events: list[dict[str, Any]] = [start(**first), *(stop(None, **each) for each in between)]
    events.append(stop("end_turn", **last))
    assert last_usage(read([sse(*events)])) == expected


def test_what_says_nothing_is_ignored() -> None:
    events: list[dict[str, Any]] = [
        {"type": "ping"},
        {"type": "something_new", "index": "x", "delta": 7},
        start(input_tokens=1, output_tokens=1),
        begin(0, type="text", text=""),
        add(0, "something_new", value=7),
        add(0, "text_delta", text="x"),
        end(0),
        stop(),
        {"type": "message_stop"},
    ]
    stream = b": comment\n\nevent: ping\ndata:\n\n" + sse(*events) + b"data: [DONE]\n\n"
    assert assembled(read([stream])).first.text == "x"


def test_the_end_of_the_answer_ends_what_was_left_open() -> None:
    thought = begin(0, type="thinking", thinking="hm", signature="s")
    call = begin(1, type="tool_use", id="a", name="f")
    answer = assembled(read([sse(start(), thought, call, stop("tool_use"))])).first
    assert answer.tool_calls == (ToolCall("a", "f", "{}"),)
    assert b'"signature":"s"' in bytes(answer.extra["thinking_blocks"])


def test_imitators_go_on_behind_the_reason_to_stop() -> None:
    thought = begin(0, type="thinking", thinking="", signature="")
    call = begin(2, type="tool_use", id="a", name="f", input={})
    events: list[dict[str, Any]] = [
        thought,
        begin(1, type="text", text=""),
        add(1, "text_delta", text="So"),
        end(1),
        stop("tool_use", output_tokens=9),
        add(1, "text_delta", text=" it goes"),
        add(0, "thinking_delta", thinking="hm"),
        add(0, "signature_delta", signature="s"),
        end(0),
        call,
        end(2),
        add(2, "input_json_delta", partial_json='{"x":1}'),
        stop(None, output_tokens=12),
        {"type": "message_stop"},
        {"type": "message_stop"},
        add(1, "text_delta", text="never"),
    ]
    deltas = read([sse(start(input_tokens=3), *events)])
    answer = assembled(deltas).first
    assert (answer.text, answer.reasoning) == ("So it goes", "hm")
    assert answer.tool_calls == (ToolCall("a", "f", '{"x":1}'),)
    assert b'"thinking":"hm","signature":"s"' in bytes(answer.extra["thinking_blocks"])
    ends = [choice.finish for delta in deltas for choice in delta.choices if choice.finish]
    assert (ends, last_usage(deltas)) == (["tool_calls"], Usage(3, 12))


def test_the_last_reason_to_stop_is_right() -> None:
    call = begin(0, type="tool_use", id="a", name="f", input={})
    events = [stop("end_turn"), call, stop("tool_use"), {"type": "message_stop"}]
    assert assembled(read([sse(start(), *events)])).first.finish == "tool_calls"


def test_a_stream_that_fails_behind_the_reason_to_stop_has_not_ended() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "why"}}
    decoder = anthropic.decoder(TARGET)
    late = add(0, "text_delta", text="So")
    opened = begin(0, type="text", text="")
    told = decoder.feed(
        sse(start(input_tokens=3, output_tokens=1), opened, stop(output_tokens=9), late, error)
    )
    assert last_usage(told) == Usage(3, 9)
    assert not any(choice.finish for delta in told for choice in delta.choices)
    with pytest.raises(Faulty, match="why"):
        decoder.finish()


def test_blocks_that_all_have_index_0_are_all_ended() -> None:
    events: list[dict[str, Any]] = [
        begin(0, type="thinking", thinking="hm", signature="s"),
        begin(0, type="tool_use", id="a", name="f", input={}),
        begin(0, type="tool_use", id="b", name="g", input={}),
        add(0, "input_json_delta", partial_json='{"x":1}'),
    ]
    answer = assembled(read([sse(start(), *events, stop("tool_use"))])).first
    assert [call.arguments for call in answer.tool_calls] == ["{}", '{"x":1}']
    assert b'"signature":"s"' in bytes(answer.extra["thinking_blocks"])


def test_what_is_not_there_yet_may_be_null() -> None:
    """As imitators have it; thoughts without a signature are not sent back."""
    events: list[dict[str, Any]] = [
        begin(0, type="thinking", thinking=None, signature=None),
        add(0, "thinking_delta", thinking="hm"),
        begin(1, type="text", text=None, citations=None),
        add(1, "text_delta", text="So"),
    ]
    answer = assembled(read([sse(start(), *events, stop())])).first
    assert (answer.text, answer.reasoning) == ("So", "hm")


@pytest.mark.parametrize("given", [{}, None, ""])
def test_a_call_without_arguments_has_an_empty_object(given: Any) -> None:
    call = begin(0, type="tool_use", id="a", name="f", input=given)
    answer = assembled(read([sse(start(), call, end(0), stop("tool_use"))])).first
    whole = {"type": "message", "content": [call["content_block"]], "stop_reason": "tool_use"}
    decoded = anthropic.decode(200, {}, json.dumps(whole).encode(), TARGET).first
    assert answer.tool_calls == decoded.tool_calls == (ToolCall("a", "f", "{}"),)


ERRORS: Final[list[tuple[str, type[UpstreamError]]]] = [
    ("overloaded_error", Overloaded),
    ("rate_limit_error", Throttled),
    ("api_error", Faulty),
    ("timeout_error", Faulty),
    ("invalid_request_error", Rejected),
    ("authentication_error", Misconfigured),
    ("something_new", Faulty),
]


@pytest.mark.parametrize(("kind", "expected"), ERRORS)
def test_an_error_in_a_stream_is_raised_after_what_came_before_it(
    kind: str, expected: type[UpstreamError]
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "why"}}
    decoder = anthropic.decoder(TARGET)
    before = decoder.feed(sse(start(), *text(0, "So"), error))
    assert [choice.text for delta in before for choice in delta.choices] == ["So"]
    for again in (decoder.finish, lambda: decoder.feed(b"")):
        with pytest.raises(UpstreamError, match="why") as caught:
            again()
        assert type(caught.value) is expected


def test_an_error_before_any_output_is_raised_at_once() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(Overloaded):
        anthropic.decoder(TARGET).feed(sse(start(input_tokens=3, output_tokens=1), error))


BROKEN: Final[dict[str, bytes]] = {
    "nothing": b"",
    "no stop reason": sse(start(), *text(0, "So"), {"type": "message_stop"}),
    "no JSON": b"data: {\n\n",
    "no UTF-8": b'data: {"type": "ping", "x": "\xff"}\n\n',
    "a piece of nothing": sse(start(), add(0, "text_delta", text="x"), stop()),
    "a wrong type": sse(start(), begin(0, type="text", text=7), stop()),
    "no SSE": b'[{"type": "message", "content": []}]',
    "no answer": b'{"type": "message"}',
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_is_not_whole_is_broken(case: str) -> None:
    with pytest.raises(Broken):
        read([BROKEN[case]])


def test_a_stream_is_whole_without_its_last_event_and_its_last_empty_line() -> None:
    stream = sse(start(), *text(0, "So"), stop()).rstrip(b"\n")
    assert assembled(read([stream])).first.finish == "stop"


def test_a_stream_is_whole_wherever_its_last_event_is_cut_off() -> None:
    told = sse(start(input_tokens=3), *text(0, "Hi"), stop(output_tokens=9))
    answer = told + sse({"type": "message_stop"})
    for cut in range(len(told), len(answer)):
        found = assembled(read([answer[:cut]]))
        assert (found.first.text, found.first.finish) == ("Hi", "stop"), answer[len(told) : cut]


def test_a_server_tool_cut_off_in_its_input_keeps_its_start() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = [begin(0, **block), add(0, "input_json_delta", partial_json='{"que'), end(0)]
    found = assembled(read([sse(start(), *events, stop("max_tokens"))])).first
    assert json.loads(bytes(found.extra["server_tool_blocks"])) == [block]
    assert found.finish == "length"


piece = st.one_of(
    WORDS.map(lambda s: lambda i: text(i, s)),
    st.lists(WORDS, max_size=3).map(
        lambda pieces: lambda i: tool(i, f"t{i}", *[json.dumps(p) for p in pieces][:1])
    ),
    WORDS.map(
        lambda s: (
            lambda i: [
                begin(i, type="thinking", thinking="", signature=""),
                add(i, "thinking_delta", thinking=s),
                add(i, "signature_delta", signature="c2ln"),
                end(i),
            ]
        )
    ),
)


@PROPERTY
@given(st.lists(piece, max_size=4), st.data(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cut_reads_the_same(blocks: list[Any], data: st.DataObject, newline: bytes) -> None:
    events = [event for i, block in enumerate(blocks) for event in block(i)]
    stream = sse(start(input_tokens=1, output_tokens=1), *events, stop(output_tokens=2))
    stream = stream.replace(b"\n", newline)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert shown(read(chunks)) == shown(read([stream]))


def shown(deltas: list[Delta]) -> list[str]:
    """Deltas with their raw values as bytes, so that they compare."""
    return [
        repr([(c.text, c.tool_calls, c.finish, c.reasoning) for c in delta.choices])
        + repr([{k: bytes(v) for k, v in c.extra.items()} for c in delta.choices])
        + repr((delta.usage, delta.id))
        for delta in deltas
    ]


KINDS: Final = [
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "error", "ping", "x",
]  # fmt: skip
loose = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.dictionaries(
        st.sampled_from(["type", "text", "usage", "message", "input", "id", "output_tokens"]),
        inner,
        max_size=3,
    ),
    max_leaves=4,
)
event = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={"index": loose, "delta": loose, "content_block": loose, "message": loose,
              "usage": loose, "error": loose},
)  # fmt: skip


@PROPERTY
@given(st.binary(max_size=60) | st.lists(event, max_size=5).map(lambda events: sse(*events)))
def test_any_bytes_are_a_stream_or_an_upstream_error(stream: bytes) -> None:
    decoder = anthropic.decoder(TARGET)
    try:
        decoder.feed(stream)
        decoder.finish()
    except UpstreamError as failure:
        said = str(failure)
    else:
        said = ""
    assert len(said) <= 500
