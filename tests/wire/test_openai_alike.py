"""Chunks that are read by their likeness to one before: nothing may come out otherwise for it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from gateway.drivers.upstream.provider_flow import PIECE
from gateway.wire import openai, sse
from gateway.wire.dialect import Target
from gateway.wire.openai import alike, strict
from tests.recordings import Recording, recordings
from tests.wire.test_openai_stream import DONE, FIRST, STOP, event, piece

PADDED = {"obfuscation": "aB3"}
PROVIDERS = ("azure", "deepseek", "groq", "mistral", "openai", "openrouter", "vllm", "zai")

HEARD = {
    "text": [event(piece({"content": text})) for text in ("a", '"}', "\\ \n", "\N{SNOWMAN}", "")],
    "no space": [
        event(piece({"content": text})).replace(b": ", b":").replace(b"data:", b"data: ")
        for text in ("a", "b", "data: ")
    ],
    "thoughts": [event(piece({"content": None, "reasoning_content": text})) for text in "abc"],
    "thoughts, then text": [
        event(piece({"reasoning": "a"})),
        event(piece({"reasoning": "b"})),
        event(piece({"content": "c"})),
        event(piece({"content": "d"})),
    ],
    "padded": [event(piece({"content": text}), obfuscation=text * 3) for text in "abc"],
    "padded with less": [event(piece({"content": "a"}), obfuscation=pad) for pad in ("x", "", "z")],
    "two in turn": [event(piece({"content": "a"}, index=n % 2)) for n in range(6)],
    "an unknown field": [event(piece({"content": text, "x": {"content": "q"}})) for text in "ab"],
    "the field twice": [
        event(piece({"content": "a"})).replace(b'"content"', b'"content": "b", "content"')
    ]
    * 3,
    "another time": [event(piece({"content": "a"})), event(piece({"content": "a"}), created=6)],
    "usage at last": [event(piece({"content": "a"})), event(piece({"content": "b"}), usage=None)],
    "cut short": [event(piece({"content": "a"})), b'data: {"id": "c1"\n\n'],
    "bytes that are no text": [
        event(piece({"content": "a"})),
        event(piece({"content": "b"})).replace(b'"b"', b'"\xff"'),
    ],
    "no end of the text": [
        event(piece({"content": "a"})),
        event(piece({"content": "b"})).replace(b'"b"', b'"b\\"'),
    ],
    "a padding that is none": [
        event(piece({"content": "a"}), **PADDED),
        event(piece({"content": "a"}), **PADDED).replace(b'"aB3"', b'"}'),
        event(piece({"content": "a"}), **PADDED).replace(b'"aB3"', b'"a"b"'),
    ],
}


def told(*pieces: bytes, fed: bool = False) -> Iterator[Delta | str]:
    """As who pours them reads them; or all are `fed`, as large ones and compressed ones are."""
    decoder = openai.decoder(Target("m", 10))
    try:
        for each in pieces:
            small = not fed and len(each) <= PIECE
            if small and (delta := decoder.template.read(each)) is not None:
                yield delta
            else:
                yield from decoder.feed(each)
        yield from decoder.finish()
    except UpstreamError as error:
        yield error.kind


def alone(*pieces: bytes) -> list[Delta | str]:
    """As it is when each chunk is read by itself."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(alike, "_MOST_TRIES", 0)
        return [*told(*pieces)]


def cut(body: bytes) -> Iterator[list[bytes]]:
    """As it may come: at once, event by event, with the beginning of the next, in small pieces."""
    events = [each + b"\n\n" for each in body.split(b"\n\n")[:-1]]
    yield [body]
    yield events
    yield [each[9:] + after[:9] for each, after in pairwise([b" " * 9, *events, b""])]
    yield [body[at : at + 7] for at in range(0, len(body), 7)]


def body_of(events: list[bytes]) -> bytes:
    return b"".join([event(FIRST), *events, STOP, DONE])


@pytest.mark.parametrize("name", HEARD)
def test_it_is_heard_as_if_each_were_read_alone(name: str) -> None:
    body = body_of(HEARD[name])
    expected = alone(body)
    for pieces in cut(body):
        assert [*told(*pieces)] == [*told(*pieces, fed=True)] == expected


@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_streams_are_heard_as_if_each_chunk_were_read_alone(provider: str) -> None:
    streams = [each for each in recordings(provider) if each.streamed and chunks(each)]
    assert streams, "no proof else"
    for recording in streams:
        expected = alone(recording.body)
        for pieces in cut(recording.body):
            assert [*told(*pieces)] == expected, recording.file
            assert [*told(*pieces, fed=True)] == expected, recording.file


def chunks(recording: Recording) -> bool:
    return b'"chat.completion.chunk"' in recording.body


@given(
    at=st.integers(0, 200),
    gone=st.integers(0, 3),
    come=st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b'",', b'"}', b"\\u", b"1", b"{"]),
    padded=st.booleans(),
)
def test_whatever_is_changed_is_heard_as_if_it_were_read_alone(
    at: int, gone: int, come: bytes, padded: bool
) -> None:
    fields: dict[str, Any] = PADDED if padded else {}
    one = event(piece({"content": "hello"}), **fields)
    data = one[6:-2]
    other = b"data: %b%b%b\n\n" % (data[:at], come, data[at + gone :])
    body = body_of([one, one, other, one])
    expected = alone(body)
    for pieces in cut(body):
        assert [*told(*pieces)] == [*told(*pieces, fed=True)] == expected


TEXT = event(piece({"content": "hello"}))
LONG = event(piece({"content": "x" * sse.MAX_LINE}))
ODD = {
    "half an event before it": [event(FIRST), TEXT, TEXT[:9], TEXT[9:] + TEXT, STOP, DONE],
    "a line before it": [event(FIRST), TEXT, b"event: x\n", TEXT, STOP, DONE],
    "data before it": [event(FIRST), TEXT, b"data: {\n", TEXT, STOP, DONE],
    "after the end": [event(FIRST), TEXT, STOP, DONE, TEXT],
    "after what is broken": [event(FIRST), TEXT, TEXT + b"data: {\n\n", TEXT, STOP, DONE],
    "too long": [event(FIRST), TEXT, LONG, STOP, DONE],
    "CRLF": [each.replace(b"\n", b"\r\n") for each in (event(FIRST), TEXT, TEXT, STOP, DONE)],
}


@pytest.mark.parametrize("pieces", ODD.values(), ids=ODD)
def test_what_stands_around_an_event_is_heeded(pieces: list[bytes]) -> None:
    assert [*told(*pieces)] == [*told(*pieces, fed=True)] == alone(*pieces)


def test_a_chunk_is_read_without_feeding_only_where_it_is_all_that_comes() -> None:
    decoder = openai.decoder(Target("m", 10))
    glances = []
    for chunk in (event(FIRST), TEXT, TEXT[:9], TEXT[9:], STOP, DONE):
        glances.append(decoder.template.read(TEXT) is not None)
        decoder.feed(chunk)
    assert glances == [False, False, True, False, True, True]
    assert decoder.template.read(TEXT) is None, "nothing comes after the end"


SIZES: dict[str, tuple[bytes, int | None]] = {
    "text": (event(piece({"content": "caf\u00e9"})), 5),
    "thoughts": (event(piece({"reasoning": "\N{SNOWMAN}"})), 3),
    "both": (event(piece({"content": "a", "reasoning": "b"})), 2),
    "nothing": (event(piece({"content": ""})), 0),
    "a role again": (event(piece({"role": "assistant", "content": "a"})), 1),
    "another choice begins": (event(piece({"role": "assistant", "content": "a"}, index=1)), None),
    "two choices": (event(piece({"content": "a"}), piece({"content": "b"})), None),
    "the end": (STOP, None),
    "a refusal": (event(piece({"refusal": "a"})), None),
    "written anew": (event(piece({"content": "a"}), created=6), None),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_size_of_a_plain_delta_is_told(name: str) -> None:
    said, size = SIZES[name]
    decoder = openai.decoder(Target("m", 10))
    [first] = decoder.feed(event(FIRST))
    [then] = decoder.feed(said)
    assert (first.size, then.size) == (None, size)


@pytest.mark.parametrize("fields", [{}, PADDED], ids=["plain", "padded"])
def test_of_many_alike_few_are_read(fields: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    whole = strict.chunk

    def counted(data: bytes) -> strict.Chunk:
        read.append(data)
        return whole(data)

    monkeypatch.setattr(strict, "chunk", counted)
    said = [event(piece({"content": f"{n}"}), **fields) for n in range(100)]
    deltas = [*told(body_of(said))]
    assert [delta.raw for delta in deltas[1:-1] if isinstance(delta, Delta)] == [
        each[6:-2] for each in said
    ]
    assert len(read) == 4, "the first, one with a text, that with another text, the last"


def test_who_never_says_alike_is_soon_read_alone() -> None:
    said = [event(piece({"content": "a", f"x{n}": 1})) for n in range(100)]
    proofs = []
    prove = alike._is_text

    def counted(*asked: Any) -> bool:
        proofs.append(asked)
        return prove(*asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(alike, "_is_text", counted)
        assert len([*told(body_of(said))]) == 102
    assert len(proofs) == 8
