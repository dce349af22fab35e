"""Every recorded exchange of every provider: as its SDK read it, and however it is cut.

The figures are printed at the end of the session (see tests/conftest.py). An answer that came whole
cannot be cut: it is read once. A failure is of its class, and nothing is left out.
"""

import msgspec
import pytest

from gateway.core.chat import Delta
from gateway.core.errors import UpstreamError
from tests import oracle
from tests.figures import FIGURES, Figures
from tests.recordings import Recording, cuts

CUTS = 20
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


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, Figures]:
    return request.config.stash.setdefault(FIGURES, {})


@pytest.mark.parametrize("provider", oracle.PROVIDERS)
def test_every_exchange_of(provider: str, figures: dict[str, Figures]) -> None:
    counted = figures[provider] = Figures(provider)
    wrong: dict[str, dict[str, str]] = {}
    for recording in oracle.exchanges(provider):
        counted.files += 1
        if oracle.dialect(recording) is None:
            counted.unspoken += 1
        elif oracle.failed(recording):
            counted.failures += 1
            fails(recording)
        elif oracle.compared(recording):
            counted.compared += 1
            found = oracle.differences(recording)
            counted.differ(found, oracle.told(oracle.EXPLAINED, recording) or {})
            if left := oracle.unexplained(recording, found):
                wrong[recording.file] = left
        else:
            counted.unasked += 1
            assert oracle.told(oracle.UNASKED, recording), f"{recording.file}: why no oracle?"
            oracle.understood(recording)
        if oracle.streamed(recording) and not oracle.failed(recording):
            counted.cuts += cut(recording)
    assert wrong == {}
    assert counted.different == oracle.DIFFERENT.get(provider, 0), "explanations that are stale"


def test_nothing_is_left_out() -> None:
    every = [each for provider in oracle.PROVIDERS for each in oracle.exchanges(provider)]
    failures = [each for each in every if oracle.failed(each)]
    compared = [each for each in every if oracle.compared(each) and each not in failures]
    unread = [each for each in every if each not in compared and each not in failures]
    assert (len(every), len(compared), len(failures), len(unread)) == (597, 514, 40, 43)
    assert all(oracle.told(oracle.UNASKED, each) for each in unread)
