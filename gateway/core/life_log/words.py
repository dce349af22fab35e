"""The words of a life, for a log that keeps them: what was asked, what each call answered, what
was given. Or their hashes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.core.chat import ChatRequest, Choice, Completion
from gateway.core.errors import InvalidRequest
from gateway.core.events import Event, Replied, Settled

LOG_CONTENT: Final = ("off", "hash", "sample", "full")
"""What may be known of the words of a request: nothing, their hash, all of some, or all."""
Hash = Callable[[bytes], str]
_WHO: Final = frozenset({"user", "safety_identifier"})
_json: Final = msgspec.json.Encoder().encode


class Content(Struct):
    """What was said in a life: `heard` has each call's answer, by its hold."""

    request: ChatRequest | None
    heard: Mapping[str, Completion]
    hash: Hash | None
    """None: the words themselves are written."""


def add_answers(calls: list[bytes], life: Sequence[Event], content: Content) -> None:
    """Add to each call's line, left open, what it said. A call is paid once, in their order."""
    holds = [event.record.attempt for event in life if isinstance(event, Settled)]
    for at, hold in enumerate(holds):
        heard = content.heard.get(hold)
        if heard is None:
            continue
        said = _json(answer_words(heard))
        if content.hash is None:
            calls[at] += b',"answer":%b' % said
        else:
            calls[at] += b',"answer_hash":"%b"' % content.hash(said).encode()


def add_words(found: dict[str, Any], life: Sequence[Event], content: Content) -> None:
    """Add to a line's fields."""
    request, answer = content.request, _final_answer(life, content.heard)
    said = None if answer is None else answer_words(answer)
    asked = None if request is None else request_words(request)
    if content.hash is None:
        found |= {} if asked is None else {"asked": asked}
        found |= {} if said is None else {"answer": said}
        return
    if asked is not None:
        found["asked_hash"] = content.hash(_json(asked.get("messages")))
    if said is not None:
        found["answer_hash"] = content.hash(_json(said))


def _final_answer(life: Sequence[Event], heard: Mapping[str, Completion]) -> Completion | None:
    """What the client got. What flowed is what the call has said that is told of in the end."""
    last = life[-1]
    if not isinstance(last, Replied):
        return None
    if last.answer is not None:
        return last.answer
    to = last.model, last.provider, last.tier
    calls = [event.record for event in life if isinstance(event, Settled)]
    holds = [call.attempt for call in calls if (call.model, call.provider, call.tier) == to]
    return next((heard[hold] for hold in reversed(holds) if hold in heard), None)


def request_words(request: ChatRequest) -> dict[str, Any]:
    """The client's JSON, written anew: no line break and no escape of its own is left in it, and
    no field with a number beyond all bounds. Who it is asked for stays a hash.
    """
    found: dict[str, Any] = {}
    for name in request.fields:
        if name not in _WHO:
            with suppress(InvalidRequest):
                found[name] = request.json(name)
    return found


def answer_words(answer: Completion) -> list[dict[str, Any]]:
    """Each choice, with what there is of it."""
    return [_choice_words(choice) for choice in answer.choices]


def _choice_words(choice: Choice) -> dict[str, Any]:
    said: dict[str, Any] = {"text": choice.text, "finish": choice.finish}
    if choice.refusal is not None:
        said["refusal"] = choice.refusal
    if choice.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in choice.tool_calls
        ]
    return said
