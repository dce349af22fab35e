"""Google's OpenAI-compatible endpoint: a call's signature reaches the client, and comes back.

The field is as Google's page has it; of the recordings, only those of Gemini 2.5 have it, on the
message.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.core.chat import ChatRequest, Completion, Delta, Usage
from gateway.web.render import completion_body
from gateway.web.render_stream import ChunkWriter
from gateway.wire import openai
from gateway.wire.dialect import Target
from gateway.wire.signed_ids import MAX_SIGNATURE, PLACEHOLDER_SIGNATURE
from gateway.wire.sse import SseDecoder
from tests import oracle

JSON = dict[str, Any]

QUIRKS = frozenset({"thought_signatures"})
SIGNATURE = "AVSoXO4/lu90+w=="
SIGNED_ID = "call_1__thought__AVSoXO4_lu90-w"


def google(signature: str = SIGNATURE) -> JSON:
    return {"extra_content": {"google": {"thought_signature": signature}}}


FIRST: JSON = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SECOND: JSON = {**FIRST, "id": "call_2"}
USAGE: JSON = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def whole(*calls: JSON) -> Completion:
    """A strictly valid answer, but for what is in its calls."""
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    body = {"id": "c", "object": "chat.completion", "created": 5, "model": "m", "usage": USAGE}
    return openai.decode(200, {}, json.dumps({**body, "choices": [choice]}).encode(), oracle.TARGET)


def streamed(*calls: JSON, number: bool) -> list[Delta]:
    """One chunk for each call, as Google sends them: with an index, and without."""
    decoder = openai.decoder(oracle.TARGET)
    deltas: list[Delta] = []
    for at, call in enumerate(calls):
        place = {"index": at} if number else {}
        delta = {"role": "assistant", "tool_calls": [{**place, **call}]}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m"}
        deltas += decoder.feed(
            b"data: %b\n\n" % json.dumps({**chunk, "choices": [choice]}).encode()
        )
    return deltas + decoder.feed(b"data: [DONE]\n\n") + decoder.finish()


def given(answer: Completion | list[Delta]) -> list[JSON]:
    """The calls as the client gets them, put together."""
    writer = ChunkWriter("m", request_id="r", created=5)
    if isinstance(answer, Completion):
        told = completion_body(answer, "m", b"", usage=Usage(3, 2), request_id="r", created=5)
        events = [data for event in writer.recut(answer) for _, data in SseDecoder().feed(event)]
        calls: list[JSON] = json.loads(told)["choices"][0]["message"]["tool_calls"]
        assert together(events) == calls, "an answer that was held is no other"
        return calls
    return together([data for each in answer for _, data in SseDecoder().feed(writer.delta(each))])


def together(events: list[bytes]) -> list[JSON]:
    calls: dict[int, JSON] = {}
    for event in events:
        for piece in json.loads(event)["choices"][0]["delta"].get("tool_calls", ()):
            call = calls.setdefault(piece.pop("index"), piece)
            if call is not piece:
                call["function"]["arguments"] += piece["function"]["arguments"]
    return list(calls.values())


WAYS: dict[str, Callable[..., Completion | list[Delta]]] = {
    "whole": whole,
    "stream": lambda *calls: streamed(*calls, number=True),
    "no index": lambda *calls: streamed(*calls, number=False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_gets_the_signature_in_its_field_and_in_the_id(way: str) -> None:
    calls = given(WAYS[way](FIRST | google(), SECOND))
    assert calls == [FIRST | google() | {"id": SIGNED_ID}, SECOND]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("content", "extra"),
    [
        ({"extra_content": 7}, {}),
        ({"extra_content": {}}, {}),
        ({"extra_content": {"google": 7}}, {"extra_content": {"google": 7}}),
        (google("not base64!"), google("not base64!")),
        (google("A" * (MAX_SIGNATURE + 4)), google("A" * (MAX_SIGNATURE + 4))),
    ],
    ids=["number", "empty", "no signature", "not base64", "too long for an id"],
)
def test_other_contents_leave_the_id_alone(way: str, content: JSON, extra: JSON) -> None:
    assert given(WAYS[way](FIRST | content)) == [FIRST | extra]


def test_the_field_that_was_recorded_on_messages_reaches_the_client() -> None:
    found = [each for each in oracle.exchanges("gemini", "chat") if b"extra_content" in each.body]
    assert len(found) == 2
    for recording in found:
        message = json.loads(recording.body)["choices"][0]["message"]
        extra = oracle.completion(recording).first.extra
        assert json.loads(bytes(extra["extra_content"])) == message["extra_content"]


def sent(messages: list[JSON], quirks: frozenset[str] = QUIRKS) -> list[JSON]:
    fields = {"messages": msgspec.Raw(json.dumps(messages).encode())}
    call = openai.encode(ChatRequest(fields, "auto"), Target("g", 9, quirks), stream=False)
    told: list[JSON] = json.loads(call.body)["messages"]
    return told


def turn(*calls: JSON, **fields: Any) -> list[JSON]:
    """What a client sends for the next turn."""
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "5"} for call in calls]
    return [{"role": "assistant", "tool_calls": list(calls), **fields}, *results]


BY_ID = FIRST | {"id": SIGNED_ID}
OTHERS: JSON = {"google": {"thought_signature": SIGNATURE, "grounding_metadata": {"a": 1}}}
RETURNED: dict[str, tuple[list[JSON], list[JSON]]] = {
    # what the client sends, what Google gets
    "by both": (turn(BY_ID | google(), SECOND), turn(FIRST | google(), SECOND)),
    "by the id alone": (turn(BY_ID, SECOND), turn(FIRST | google(), SECOND)),
    "by the field alone": (turn(FIRST | google()), turn(FIRST | google())),
    "the field goes first": (turn(BY_ID | google("QUJD")), turn(FIRST | google("QUJD"))),
    "of the second call": (
        turn(FIRST, BY_ID | {"id": SIGNED_ID.replace("1", "2", 1)}),
        turn(FIRST | google(PLACEHOLDER_SIGNATURE), SECOND | google()),
    ),
    "another model's call": (
        turn(FIRST, SECOND),
        turn(FIRST | google(PLACEHOLDER_SIGNATURE), SECOND),
    ),
    "of a message": (turn(content="a", **google()), turn(content="a", **google())),
    "nothing else of a message": (
        turn(content="a", extra_content=OTHERS, thought_signature="x", reasoning_content="y"),
        turn(content="a", **google()),
    ),
    "none": (turn(content="a"), turn(content="a")),
    "no calls": (turn(content="a", tool_calls=None), turn(content="a", tool_calls=None)),
}


@pytest.mark.parametrize(("asked", "got"), RETURNED.values(), ids=RETURNED)
def test_google_gets_its_signatures_back(asked: list[JSON], got: list[JSON]) -> None:
    assert sent(asked) == got


def test_nobody_else_does() -> None:
    asked = turn(BY_ID | google(), SECOND, **google(), thought_signature="x")
    assert sent(asked, frozenset()) == turn(FIRST, SECOND)


@pytest.mark.parametrize("way", WAYS)
def test_round_trip(way: str) -> None:
    """A client that keeps only id, name and arguments, and one that keeps all."""
    calls = given(WAYS[way](FIRST | google(), SECOND))
    poor = [{name: call[name] for name in FIRST} for call in calls]
    assert sent(turn(*poor)) == sent(turn(*calls)) == turn(FIRST | google(), SECOND)
