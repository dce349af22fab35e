"""A streamed answer put together is the answer that was cut into it."""

import time

import msgspec
import pytest
from msgspec import Raw

from gateway.core.assembly import Assembly
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolCall, ToolDelta, Usage
from gateway.wire.whole import as_delta

USAGE = Usage(3, 4)
LINKS = Raw(b'[{"url":"a"}]')
CALLS = (ToolCall("1", "f", '{"a":1}', {"x": Raw(b"1")}), ToolCall("2", "g", "{}"))
WHOLE = {
    "text": Choice(text="Paris", logprobs=Raw(b'{"content":[]}')),
    "calls": Choice(text="Look:", tool_calls=CALLS, finish="tool_calls"),
    "a refusal": Choice(refusal="No.", reasoning="Hm."),
    "filtered": Choice(text="Par", finish="content_filter", extra={"annotations": LINKS}),
}


@pytest.mark.parametrize("choice", WHOLE.values(), ids=WHOLE)
def test_what_was_cut_is_put_together(choice: Choice) -> None:
    answer = Completion((choice,), "id", 7, USAGE)
    assembly = Assembly()
    assembly.add([as_delta(answer)])
    assert assembly.completion(USAGE) == answer


def test_pieces_are_joined() -> None:
    assembly = Assembly()
    assembly.add([Delta((ChoiceDelta(text="Pa"),), id="x", created=1, dropped=("seed",))])
    assembly.add([Delta((ChoiceDelta(text="ris", extra={"annotations": LINKS}),), id="y")])
    assembly.add([Delta((ChoiceDelta(extra={"annotations": LINKS}),))])
    assembly.add([Delta((ChoiceDelta(index=1, text="Rome", finish="length"),))])
    pieces = ToolDelta(0, "1", "f"), ToolDelta(0, arguments='{"a"'), ToolDelta(0, arguments=":1}")
    for piece in pieces:
        assembly.add([Delta((ChoiceDelta(tool_calls=(piece,)),))])
    assembly.add([Delta((ChoiceDelta(finish="tool_calls"),)), Delta(usage=USAGE)])
    assembly.add([Delta((ChoiceDelta(1, "!", reasoning="Hm."),), size=4)])
    answer = assembly.completion(USAGE)
    assert (answer.id, answer.created, answer.dropped) == ("x", 1, ("seed",))
    first, second = answer.choices
    assert (first.text, first.finish) == ("Paris", "tool_calls")
    assert first.tool_calls == (ToolCall("1", "f", '{"a":1}'),)
    assert msgspec.json.decode(first.extra["annotations"]) == [{"url": "a"}, {"url": "a"}]
    assert (second.text, second.reasoning, second.finish) == ("Rome!", "Hm.", "length")


def test_lists_that_come_in_many_pieces_are_joined_in_little_time() -> None:
    """As OpenRouter's thoughts do. It took 18 s, in which a worker does little else."""
    thought = {"reasoning_details": Raw(b'[{"type":"reasoning.text","text":" word"}]')}
    assembly, started = Assembly(), time.process_time()
    for _ in range(20_000):
        assembly.add([Delta((ChoiceDelta(reasoning=" word", extra=thought),))])
    told = assembly.completion(None).first.extra["reasoning_details"]
    assert time.process_time() - started < 2, "each piece is joined to all before it"
    assert len(msgspec.json.decode(told)) == 20_000


def _logprobs(name: str, *words: str) -> Raw:
    rest: dict[str, object] = {"logprob": -0.5, "bytes": None, "top_logprobs": []}
    tokens = {name: [{"token": word, **rest} for word in words]}
    return Raw(msgspec.json.encode({"content": None, "refusal": None} | tokens))


def test_logprobs_are_of_all_tokens() -> None:
    """The first piece alone stood: of a held answer its client had those of a few tokens."""
    assembly = Assembly()
    for raw in (
        _logprobs("content", "Pa"),
        None,
        _logprobs("content", "ris", "!"),
        _logprobs("refusal", "No"),
        _logprobs("refusal", "."),
    ):
        assembly.add([Delta((ChoiceDelta(text="x", logprobs=raw),))])
    for _ in range(2):
        found = msgspec.json.decode(assembly.completion(None).first.logprobs or b"")
        words = {name: [token["token"] for token in tokens] for name, tokens in found.items()}
        assert words == {"content": ["Pa", "ris", "!"], "refusal": ["No", "."]}


def test_of_what_is_no_list_the_last_piece_stands() -> None:
    assembly = Assembly()
    for raw in (b"[1]", b'"x"', b'{"a":1}', b"[2]", b"[3,4]"):
        assembly.add([Delta((ChoiceDelta(extra={"more": Raw(raw)}),))])
        last = assembly.completion(None).first.extra["more"]
        assert bytes(last) == (b"[2,3,4]" if raw == b"[3,4]" else raw)


@pytest.mark.parametrize(
    ("name", "pieces", "whole"),
    [
        ("function_call",
         [b'{"name":"f","arguments":""}', b'{"arguments":"{\\"a\\""}', b'{"arguments":":1}"}'],
         {"name": "f", "arguments": '{"a":1}'}),
        ("function_call", [b'{"name":"f"}', b"null", b'{"name":"f","arguments":"{}"}'],
         {"name": "f", "arguments": "{}"}),
        ("audio",
         [b'{"id":"a","transcript":"Pa"}', b'{"data":"QUJD","transcript":"ris"}',
          b'{"data":"REVG"}', b'{"expires_at":12}'],
         {"id": "a", "expires_at": 12, "transcript": "Paris", "data": "QUJDREVG"}),
    ],
)  # fmt: skip
def test_openais_objects_come_in_pieces(name: str, pieces: list[bytes], whole: object) -> None:
    """The last piece alone stood: a call without its name, and no sound."""
    assembly = Assembly()
    for raw in pieces:
        assembly.add([Delta((ChoiceDelta(extra={name: Raw(raw)}),))])
    assert msgspec.json.decode(assembly.completion(None).first.extra[name]) == whole


@pytest.mark.parametrize(("whole", "finish"), [(True, "stop"), (False, "length")])
def test_how_it_ends_when_nobody_said(whole: bool, finish: str) -> None:
    assembly = Assembly()
    assembly.add([Delta((ChoiceDelta(text="Par"),))])
    assert assembly.completion(None, whole=whole).first.finish == finish


def test_what_a_provider_says_beside_the_pieces_is_said_once() -> None:
    """With each chunk, and whole each time; in chunks that could be relayed as they are, too."""
    begins = (
        b'{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
        b'"usage":null,"obfuscation":"ab","service_tier":"default","system_fingerprint":"fp_1",'
        b'"sources":["a"]}'
    )
    assembly = Assembly()
    assembly.add([Delta((ChoiceDelta(text="Pa"),), raw=begins)])
    assembly.add([Delta((ChoiceDelta(text="ris"),), extra={"sources": Raw(b'["a","b"]')})])
    extra = assembly.completion(None).extra
    assert {name: msgspec.json.decode(raw) for name, raw in extra.items()} == {
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "sources": ["a", "b"],
    }
