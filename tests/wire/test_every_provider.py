"""Every recorded exchange of every provider: as its SDK read it, and however it is cut.

The figures are printed at the end of the session (see tests/conftest.py). An answer that came whole
cannot be cut: it is read once. A failure is of its class, and nothing is left out.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import structs

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from tests import oracle
from tests.explained import DIFFERENT, EXPLAINED
from tests.figures import FIGURES, Figures
from tests.recordings import Recording, cuts

CUTS = 20
FAILING = {"openrouter": ["openrouter/chat__200__pydantic-ai__35670edf.json"]}
"""Streams with status 200 that fail within."""
LONG = 200_000
"""Bytes from which a stream is not fed byte by byte."""


def plain(deltas: list[Delta]) -> bytes:
    """Deltas as bytes: undecoded values compare by identity."""
    return msgspec.json.encode(deltas)


def cut(recording: Recording) -> int:
    """Feed a stream in pieces, in many ways; how many."""
    body = recording.body
    whole = plain(oracle.deltas(recording, [body]))
    ways = [way for way in cuts(body, ways=CUTS) if len(way) < LONG]
    for pieces in ways:
        assert plain(oracle.deltas(recording, pieces)) == whole, f"{recording.file} cut"
    return len(ways)


def fails(recording: Recording) -> None:
    kind, status = oracle.told(oracle.FAULTS, recording)
    with pytest.raises(UpstreamError) as caught:
        oracle.understood(recording)
    assert (type(caught.value), caught.value.status) == (kind, status), recording.file
    assert str(caught.value), recording.file


def until_it_failed(recording: Recording, pieces: list[bytes]) -> tuple[bytes, str]:
    """What a stream that fails says before, and how it fails."""
    speaks = oracle.dialect(recording)
    assert speaks is not None
    decoder = speaks.decoder(oracle.TARGET)
    found: list[Delta] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        decoder.finish()
    except UpstreamError as failure:
        return plain(found), f"{failure.kind}: {failure}"
    pytest.fail(f"{recording.file} does not fail")


def cut_failing(recording: Recording) -> int:
    """Feed a stream that fails within in pieces, in many ways; how many."""
    whole = until_it_failed(recording, [recording.body])
    ways = [way for way in cuts(recording.body, ways=CUTS) if len(way) < LONG]
    for pieces in ways:
        assert until_it_failed(recording, pieces) == whole, f"{recording.file} cut"
    return len(ways)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, Figures]:
    return request.config.stash.setdefault(FIGURES, {})


@pytest.mark.parametrize("provider", oracle.PROVIDERS)
def test_every_exchange_of(provider: str, figures: dict[str, Figures]) -> None:
    counted = figures[provider] = Figures(provider)
    wrong: dict[str, dict[str, str]] = {}
    failing: list[str] = []
    for recording in oracle.exchanges(provider):
        counted.files += 1
        if oracle.dialect(recording) is None:
            counted.unspoken += 1
        elif oracle.failed(recording):
            counted.failures += 1
            fails(recording)
        elif oracle.compared(recording):
            counted.compared += 1
            got, want = oracle.understood(recording), oracle.expected(recording)
            found = oracle.differences(recording, got, want)
            known = oracle.explained(recording, found, got, want)
            counted.differ(found, known)
            if left := {name: str(found[name]) for name in found.keys() - known.keys()}:
                wrong[recording.file] = left
        else:
            counted.unasked += 1
            assert oracle.told(oracle.UNASKED, recording), f"{recording.file}: why no oracle?"
            oracle.understood(recording)
        if oracle.streamed(recording) and not oracle.failed(recording):
            counted.cuts += cut(recording)
        elif oracle.streamed(recording):
            counted.cuts += cut_failing(recording)
            failing.append(recording.file)
    assert wrong == {}
    assert failing == FAILING.get(provider, [])
    assert counted.different == DIFFERENT.get(provider, 0), "explanations that are stale"


def test_nothing_is_left_out() -> None:
    every = [each for provider in oracle.PROVIDERS for each in oracle.exchanges(provider)]
    failures = [each for each in every if oracle.failed(each)]
    compared = [each for each in every if oracle.compared(each) and each not in failures]
    unread = [each for each in every if each not in compared and each not in failures]
    assert (len(every), len(compared), len(failures), len(unread)) == (597, 514, 40, 43)
    assert all(oracle.told(oracle.UNASKED, each) for each in unread)


# What an explanation does not forgive -------------------------------------------------------------


def spoil_calls(got: oracle.JSON, **wrong: str) -> None:
    for choice in got["choices"]:
        choice["tool_calls"] = [{**call, **wrong} for call in choice["tool_calls"]]


def spoil_choices(got: oracle.JSON, **wrong: Any) -> None:
    for choice in got["choices"]:
        choice.update(wrong)


def spoil_usage(got: oracle.JSON, **more: int) -> None:
    usage = got["usage"]
    got["usage"] = structs.replace(
        usage, **{name: getattr(usage, name) + value for name, value in more.items()}
    )


SPOILT: list[tuple[str, str, Callable[[oracle.JSON], None]]] = [
    # field, what is wrong, what makes it so
    ("tool_calls", "name", lambda got: spoil_calls(got, name="WRONG")),
    ("tool_calls", "arguments", lambda got: spoil_calls(got, arguments='{"wrong":1}')),
    ("tool_calls", "no id", lambda got: spoil_calls(got, id="")),
    ("tool_calls", "id", lambda got: spoil_calls(got, id="call_wrong")),
    ("tool_calls", "one more", lambda got: spoil_choices(
        got, tool_calls=[call for c in got["choices"] for call in 2 * c["tool_calls"]])),
    ("tool_calls", "none", lambda got: spoil_choices(got, tool_calls=[])),
    ("content", "another text", lambda got: spoil_choices(got, content="WRONG")),
    ("content", "no text", lambda got: spoil_choices(got, content="")),
    ("finish", "length", lambda got: spoil_choices(got, finish="length")),
    ("finish", "none", lambda got: spoil_choices(got, finish="")),
    ("finish", "another word", lambda got: spoil_choices(got, finish="eos")),
    ("usage", "a token more", lambda got: spoil_usage(got, completion=1)),
    ("usage", "a thought less", lambda got: spoil_usage(got, reasoning=-1)),
    ("usage", "a prompt", lambda got: spoil_usage(got, prompt=1)),
    ("usage", "a cached token", lambda got: spoil_usage(got, cached=1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "title", "spoil"), SPOILT, ids=[f"{s[0]}, {s[1]}" for s in SPOILT]
)
def test_a_wrong_value_is_never_explained(
    field: str, title: str, spoil: Callable[[oracle.JSON], None]
) -> None:
    tried = 0
    for recording in explained_files():
        got, want = oracle.understood(recording), oracle.expected(recording)
        if field not in oracle.explained(
            recording, oracle.differences(recording, got, want), got, want
        ):
            continue
        tried += 1
        spoil(got)
        found = oracle.differences(recording, got, want)
        # What is wrong may be just what the SDK says: that is no difference, and DIFFERENT knows.
        assert field not in oracle.explained(recording, found, got, want), recording.file
    assert tried == FIELDS[field]


FIELDS = {"tool_calls": 15, "content": 5, "finish": 11, "usage": 22}
"""In how many files a field differs, for an explained reason."""


def explained_files() -> list[Recording]:
    return [
        each
        for provider in DIFFERENT
        for each in oracle.exchanges(provider)
        if oracle.told(EXPLAINED, each) and oracle.compared(each) and not oracle.failed(each)
    ]
