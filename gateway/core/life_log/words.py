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
    """What was said in a life: `answers` has each call's answer, by its hold."""

    request: ChatRequest | None
    answers: Mapping[str, Completion]
    hash: Hash | None
    """None: the words themselves are written."""


def add_answers(calls: list[bytes], life: Sequence[Event], content: Content) -> None:
    """Add to each call's line, left open, what it said. A call is paid once, in their order."""
    holds = [event.record.attempt for event in life if isinstance(event, Settled)]
    for at, hold in enumerate(holds):
        answer = content.answers.get(hold)
        if answer is None:
            continue
        words = _json(answer_words(answer))
        if content.hash is None:
            calls[at] += b',"answer":%b' % words
        else:
            calls[at] += b',"answer_hash":"%b"' % content.hash(words).encode()


def add_words(found: dict[str, Any], life: Sequence[Event], content: Content) -> None:
    """Add to a line's fields."""
    request, answer = content.request, _final_answer(life, content.answers)
    answered = None if answer is None else answer_words(answer)
    requested = None if request is None else request_words(request)
    if content.hash is None:
        found |= {} if requested is None else {"asked": requested}
        found |= {} if answered is None else {"answer": answered}
        return
    if requested is not None:
        found["asked_hash"] = content.hash(_json(requested.get("messages")))
    if answered is not None:
        found["answer_hash"] = content.hash(_json(answered))


def _final_answer(life: Sequence[Event], answers: Mapping[str, Completion]) -> Completion | None:
    """What the client got. What flowed is what the call has said that is told of in the end."""
    last = life[-1]
    if not isinstance(last, Replied):
        return None
    if last.answer is not None:
        return last.answer
    to = last.model, last.provider, last.tier
    calls = [event.record for event in life if isinstance(event, Settled)]
    holds = [call.attempt for call in calls if (call.model, call.provider, call.tier) == to]
    return next((answers[hold] for hold in reversed(holds) if hold in answers), None)


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
    words: dict[str, Any] = {"text": choice.text, "finish": choice.finish}
    if choice.refusal is not None:
        words["refusal"] = choice.refusal
    if choice.tool_calls:
        words["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in choice.tool_calls
        ]
    return words
