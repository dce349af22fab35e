"""Streams that go on and say nothing are refused before they cost a second of CPU; those that say
little are read. And each decoder tells its own end.
"""

from typing import Final

import pytest

from gateway.core.errors import Broken
from gateway.simulator.eventstream import event
from gateway.wire import DIALECTS
from gateway.wire.dialect import StreamDecoder, Target
from gateway.wire.silence import MAX_SILENT_BYTES, MAX_SILENT_EVENTS
from tests.service.good_answers import FORMATS, Format

BY_NAME: Final = {form.name: form for form in FORMATS}
TARGET: Final = Target("m", 100)
SSE: Final = {
    "empty lines": b"\n",
    "line breaks of old": b"\r",
    "comments": b": ping\n\n",
    "bare comments": b":\n",
    "names of nothing": b"event: ping\n\n",
    "other fields": b"id: 1\n",
}
NOISE: Final = {
    **{(name, what): unit for name in ("openai", "anthropic", "gemini")
       for what, unit in SSE.items()},
    ("ollama", "empty lines"): b"\n",
    ("ollama", "blank lines"): b" \t\r\n",
}  # fmt: skip
EMPTY: Final = {
    ("openai", "no data"): b"data:\n\n",
    ("openai", "no object"): b"data: {}\n\n",
    ("anthropic", "pings"): b'event: ping\ndata: {"type":"ping"}\n\n',
    ("gemini", "no candidates"): b"data: {}\n\n",
    ("bedrock", "padding"): event("padding", b"{}"),
    ("ollama", "no text"): b'{"message":{"content":""}}\n',
}


def begun(form: Format) -> StreamDecoder:
    decoder = DIALECTS[form.name].decoder(TARGET)
    assert decoder.feed(form.flow()[0])
    return decoder


def fed(decoder: StreamDecoder, unit: bytes, times: int) -> None:
    """In pieces of about 64 kB, as a socket gives them."""
    at_once = max(1, 2**16 // len(unit))
    while times > 0:
        assert decoder.feed(unit * min(at_once, times)) == []
        times -= at_once


@pytest.mark.parametrize(("dialect", "what"), NOISE)
def test_noise_is_read_up_to_a_bound(dialect: str, what: str) -> None:
    form, unit = BY_NAME[dialect], NOISE[dialect, what]
    decoder = begun(form)
    fed(decoder, unit, MAX_SILENT_BYTES // 2 // len(unit))
    assert decoder.feed(form.flow()[1]) + decoder.finish()
    with pytest.raises(Broken, match="says nothing"):
        fed(begun(form), unit, 2 * MAX_SILENT_BYTES // len(unit))


@pytest.mark.parametrize(("dialect", "what"), EMPTY)
def test_events_that_say_nothing_are_read_up_to_a_bound(dialect: str, what: str) -> None:
    form, unit = BY_NAME[dialect], EMPTY[dialect, what]
    decoder = begun(form)
    fed(decoder, unit, MAX_SILENT_EVENTS // 2)
    assert decoder.feed(form.flow()[1]) + decoder.finish()
    with pytest.raises(Broken, match="says nothing"):
        fed(begun(form), unit, MAX_SILENT_EVENTS + 2)


def test_an_array_of_nothing_ends_too() -> None:
    with pytest.raises(Broken, match="says nothing"):
        fed(DIALECTS["gemini"].decoder(TARGET), b"[{},{}", 1 + MAX_SILENT_EVENTS // 2)


@pytest.mark.parametrize(
    "name", [b"event: " + b"a" * 50 + b"\n", b"id: " + b"1" * 40 + b"\nretry: 9\n: x\n"]
)
def test_what_stands_beside_the_data_of_an_event_is_no_noise(name: bytes) -> None:
    """However long the answer: a name, an id and a short comment with each event."""
    form = BY_NAME["openai"]
    decoder, piece = begun(form), form.flow()[0]
    times = MAX_SILENT_BYTES // len(name) + 1
    for _ in range(times // 100 + 1):
        assert len(decoder.feed((name + piece) * 100)) == 100


def test_what_is_spread_over_lines_is_held_with_all_its_lines() -> None:
    decoder = DIALECTS["ollama"].decoder(TARGET)
    with pytest.raises(Broken, match="beyond 4 MiB"):
        fed(decoder, b"{\n" + b"\n" * 2**16, 65)


# The end -------------------------------------------------------------------------------------

DONE: Final = ("openai", "anthropic", "bedrock", "ollama")
"""Whose end has a mark. Gemini may give reason and usage with every piece."""


@pytest.mark.parametrize("dialect", BY_NAME)
def test_the_end_is_told(dialect: str) -> None:
    form = BY_NAME[dialect]
    first, rest = form.flow()
    decoder = DIALECTS[dialect].decoder(TARGET)
    for at in range(len(first + rest)):
        assert not decoder.done, f"at {at} of {len(first + rest)}"
        if at < len(first):
            assert not decoder.complete, f"at {at}, within the answer"
        decoder.feed((first + rest)[at : at + 1])
    assert decoder.done == (dialect in DONE)
    assert decoder.done or decoder.complete


@pytest.mark.parametrize("dialect", DONE)
def test_what_comes_behind_the_end_is_nothing(dialect: str) -> None:
    form = BY_NAME[dialect]
    decoder = DIALECTS[dialect].decoder(TARGET)
    decoder.feed(form.stream())
    assert decoder.feed(form.stream() + form.error_inside("overloaded")) == []
    decoder.finish()


def test_without_its_mark_an_answer_is_complete_once_it_is_counted() -> None:
    form = BY_NAME["openai"]
    decoder = begun(form)
    end, usage, mark = (each + b"\n\n" for each in form.flow()[1].split(b"\n\n")[:3])
    seen = []
    for each in (end, usage, mark):
        decoder.feed(each)
        seen.append((decoder.complete, decoder.done))
    assert seen == [(False, False), (True, False), (True, True)]


def test_an_end_before_the_reason_for_it_is_none() -> None:
    decoder = begun(BY_NAME["anthropic"])
    decoder.feed(b'data: {"type":"message_stop"}\n\n')
    assert not decoder.done
