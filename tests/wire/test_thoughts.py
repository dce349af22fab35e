"""Thoughts in the midst of an answer: told with their place, and back in it, at each of Claude's
doors, whole and streamed.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Completion
from gateway.web.render import completion_body
from gateway.wire import anthropic, bedrock
from tests.wire import anthropic_streams as messages
from tests.wire import bedrock_streams as converse
from tests.wire.anthropic_messages import JSON, result, user
from tests.wire.bedrock_messages import TOOL
from tests.wire.chats import assembled

Answer = list[tuple[str, str]]
"""Blocks in order: what each is, and what it says. T a thought, S a sealed one, W words, C a call.
"""


def answered(completion: Completion) -> JSON:
    """The message that a client sends back: the one it got."""
    told = completion.usage
    assert told is not None
    body = completion_body(completion, "m", b"", usage=told, request_id="r", created=1)
    message: JSON = json.loads(body)["choices"][0]["message"]
    return message


def block(kind: str, said: str) -> JSON:
    match kind:
        case "T":
            return {"type": "thinking", "thinking": said, "signature": "c2ln"}
        case "S":
            return {"type": "redacted_thinking", "data": said}
        case "W":
            return {"type": "text", "text": said}
        case _:
            return {"type": "tool_use", "id": said, "name": "weather", "input": {}}


def whole(answer: Answer) -> Completion:
    said = {
        "content": [block(*each) for each in answer],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return anthropic.decode(200, {}, json.dumps(said).encode(), messages.TARGET)


def streamed(answer: Answer) -> Completion:
    events: list[JSON] = [messages.start(input_tokens=1, output_tokens=1)]
    for at, (kind, said) in enumerate(answer):
        if kind == "W":
            events += messages.text(at, said)
        elif kind == "T":
            events += [
                messages.begin(at, type="thinking", thinking="", signature=""),
                messages.add(at, "thinking_delta", thinking=said),
                messages.add(at, "signature_delta", signature="c2ln"),
                messages.end(at),
            ]
        else:
            events += [messages.begin(at, **block(kind, said)), messages.end(at)]
    return assembled(messages.read([messages.sse(*events, messages.stop(output_tokens=1))]))


def sent(message: JSON) -> Answer:
    """The same answer as it goes back to Anthropic."""
    calls = [result(call["id"]) for call in message.get("tool_calls", ())]
    turn = messages.turns(user(), message, *(calls or [user()]))[1]
    says = {"thinking": "thinking", "redacted_thinking": "data", "text": "text", "tool_use": "id"}
    kinds = {"thinking": "T", "redacted_thinking": "S", "text": "W", "tool_use": "C"}
    assert not any("after" in each for each in turn["content"])
    return [(kinds[each["type"]], each[says[each["type"]]]) for each in turn["content"]]


def converse_block(kind: str, said: str) -> JSON:
    match kind:
        case "T":
            thought = {"text": said, "signature": "c2ln"}
            return {"reasoningContent": {"reasoningText": thought}}
        case "S":
            return {"reasoningContent": {"redactedContent": said}}
        case "W":
            return {"text": said}
        case _:
            return {"toolUse": {"toolUseId": said, "name": "weather", "input": {}}}


def converse_whole(answer: Answer) -> Completion:
    said = {
        "output": {"message": {"role": "assistant", "content": [
            converse_block(*each) for each in answer]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1},
    }  # fmt: skip
    return bedrock.decode(200, {}, json.dumps(said).encode(), converse.CLAUDE)


def converse_streamed(answer: Answer) -> Completion:
    events = [converse.event("messageStart", role="assistant")]
    for at, (kind, said) in enumerate(answer):
        if kind == "W":
            events.append(converse.text(at, said))
        elif kind == "C":
            events.append(converse.call(at, "{}", id_=said))
        else:
            thought = {"text": said} if kind == "T" else {"redactedContent": said}
            events.append(converse.add(at, reasoningContent=thought))
            if kind == "T":
                events.append(converse.add(at, reasoningContent={"signature": "c2ln"}))
            events.append(converse.end(at))
    usage = {"inputTokens": 1, "outputTokens": 1}
    events += [converse.stop(), converse.event("metadata", usage=usage)]
    return assembled(converse.read(events))


def converse_sent(message: JSON) -> Answer:
    calls = [result(call["id"]) for call in message.get("tool_calls", ())]
    turn = converse.turns(user(), message, *(calls or [user()]), tools=[TOOL])[1]
    found: Answer = []
    for each in turn["content"]:
        if "text" in each:
            found.append(("W", each["text"]))
        elif "toolUse" in each:
            found.append(("C", each["toolUse"]["toolUseId"]))
        elif "reasoningText" in each["reasoningContent"]:
            found.append(("T", each["reasoningContent"]["reasoningText"]["text"]))
        else:
            found.append(("S", each["reasoningContent"]["redactedContent"]))
    return found


Door = tuple[Callable[[Answer], Completion], Callable[[JSON], Answer]]
DOORS: Final[dict[str, Door]] = {
    "Messages, whole": (whole, sent),
    "Messages, streamed": (streamed, sent),
    "Converse, whole": (converse_whole, converse_sent),
    "Converse, streamed": (converse_streamed, converse_sent),
    "from Messages to Converse": (whole, converse_sent),
    "from Converse to Messages": (converse_streamed, sent),
}

SEALED: Final = "RXVvQg=="
ANSWERS: Final[list[Answer]] = [
    [("T", "a"), ("W", "b"), ("T", "c"), ("C", "c0")],
    [("T", "a"), ("W", "b"), ("T", "c"), ("W", "d"), ("T", "e"), ("C", "c0")],
    [("T", "a"), ("C", "c0"), ("T", "b"), ("C", "c1"), ("T", "c")],
    [("W", "b"), ("T", "c"), ("T", "d"), ("W", "e")],
    [("T", "a"), ("T", "b"), ("W", "b"), ("C", "c0"), ("C", "c1")],
    [("W", "b"), ("S", SEALED), ("W", "c"), ("C", "c0"), ("S", SEALED)],
]


def same(door: str, answer: Answer) -> None:
    read, write = DOORS[door]
    found = write(answered(read(answer)))
    while answer[-1][0] in "TS":  # no turn may end in a thought
        answer = answer[:-1]
    seals = door.startswith("from") and any(kind == "S" for kind, _ in answer)
    if seals:  # Converse has the cipher in base64 once more
        assert [kind for kind, _ in found] == [kind for kind, _ in answer]
    else:
        assert found == answer


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_thoughts_go_back_to_their_place(door: str, answer: Answer) -> None:
    same(door, answer)


def told(completion: Completion) -> list[Any]:
    blocks: list[JSON] = msgspec.json.decode(completion.first.extra["thinking_blocks"])
    return [each.get("after") for each in blocks]


@pytest.mark.parametrize("door", DOORS)
def test_only_what_did_not_come_first_tells_its_place(door: str) -> None:
    found = told(DOORS[door][0]([("T", "a"), ("W", "bc"), ("T", "d"), ("C", "c0"), ("T", "e")]))
    assert found == [
        None, {"characters": 2, "tool_calls": 0}, {"characters": 2, "tool_calls": 1},
    ]  # fmt: skip


WORDS: Final = st.text("ab\U0001f600", min_size=1, max_size=3)
SPOKEN: Final = st.lists(st.tuples(st.sampled_from("TW"), WORDS), max_size=6)
CALLED: Final = st.lists(st.sampled_from("TC"), max_size=5)


@messages.PROPERTY
@given(SPOKEN, CALLED, st.sampled_from(sorted(DOORS)))
def test_any_order_that_openais_messages_can_tell(
    spoken: Answer, called: list[str], door: str
) -> None:
    answer: Answer = []
    for kind, said in [*spoken, *((kind, f"c{at}") for at, kind in enumerate(called))]:
        if kind == "W" and answer and answer[-1][0] == "W":
            answer[-1] = ("W", answer[-1][1] + said)
        else:
            answer.append((kind, said))
    if answer and any(kind == "W" for kind, _ in answer):
        same(door, answer)


CHANGED: Final[list[tuple[str | None, Any, Answer]]] = [
    # the text that comes back, the place that the second thought tells, what is sent
    ("bcd", {"characters": 9}, [("T", "a"), ("W", "bcd"), ("T", "e"), ("C", "c0")]),
    (None, {"characters": 2}, [("T", "a"), ("T", "e"), ("C", "c0")]),
    ("bcd", {"tool_calls": 9}, [("T", "a"), ("W", "bcd"), ("C", "c0")]),
    (" \nbcd", {"characters": 2}, [("T", "a"), ("T", "e"), ("W", " \nbcd"), ("C", "c0")]),
    ("bcd ", {"characters": 3}, [("T", "a"), ("W", "bcd "), ("T", "e"), ("C", "c0")]),
    ("bcd", {"characters": -1}, [("T", "a"), ("T", "e"), ("W", "bcd"), ("C", "c0")]),
    ("bcd", {"characters": "1"}, [("T", "a"), ("T", "e"), ("W", "bcd"), ("C", "c0")]),
    ("bcd", [1], [("T", "a"), ("T", "e"), ("W", "bcd"), ("C", "c0")]),
]


@pytest.mark.parametrize(("content", "after", "answer"), CHANGED)
@pytest.mark.parametrize("write", [sent, converse_sent])
def test_what_a_client_changed(
    content: str | None, after: Any, answer: Answer, write: Callable[[JSON], Answer]
) -> None:
    call = {"id": "c0", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    thoughts = [block("T", "a"), {**block("T", "e"), "after": after}]
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    assert write({**message, "thinking_blocks": thoughts}) == answer


Turns = Callable[..., list[JSON]]


@pytest.mark.parametrize("turns", [messages.turns, converse.turns], ids=["Messages", "Converse"])
def test_an_answer_of_nothing_but_thoughts_is_left_out(turns: Turns) -> None:
    silent = {"role": "assistant", "content": None, "thinking_blocks": [block("T", "a")]}
    [turn] = turns(user("b"), silent, user("c"))
    assert turn["role"] == "user"
    assert [each["text"] for each in turn["content"]] == ["b", "c"]
    assert len(turns(user("b"), silent)) == 1
    _, turn = turns(user("b"), silent, {"role": "assistant", "content": "d"})
    assert len(turn["content"]) == 2
