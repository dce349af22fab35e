"""What a lawful life is, as a table of lives."""

import pytest

from gateway.core.events import (
    About,
    Began,
    CircuitMoved,
    Denied,
    Dropped,
    Escalated,
    Event,
    FellBack,
    HoldRefused,
    Judged,
    Planned,
    Replied,
    Reserved,
    Settled,
    lawful,
)
from gateway.core.money import Nanos
from tests.usage_lines import record

ME = About("r", "t", "auto", stream=False)

EVENTS: dict[str, Event] = {
    "began": Began(ME),
    "planned": Planned(ME, 1, 0),
    "refused": HoldRefused(ME, "tenant"),
    "judged": Judged(ME, "m", "cheap", ("sql",), ()),
    "escalated": Escalated(ME, "cheap", "mid", "sql"),
    "fell-back": FellBack(ME, "a", "b", "faulty"),
    "replied": Replied(ME, "p", "m", "cheap", "passed", 1, 1, None),
    "denied": Denied(ME, "no_answer", 502, 1),
    "dropped": Dropped(ME, 1),
    "circuit": CircuitMoved("m@p", "open"),
}


def event(word: str) -> Event:
    """A word of a life; "hold-1" and "settle-1" are of hold 1."""
    kind, _, hold = word.partition("-")
    if kind == "hold":
        return Reserved(ME, hold, Nanos(5), None)
    if kind == "settle":
        return Settled(ME, record(hold))
    return EVENTS[word]


@pytest.mark.parametrize(
    "life",
    [
        "began planned hold-1 settle-1 replied",
        "began planned hold-1 settle-1 hold-2 settle-2 judged replied",
        "began planned hold-1 settle-1 fell-back hold-2 settle-2 denied",
        "began planned hold-1 hold-2 settle-2 settle-1 replied",
        "began planned refused denied",
        "began planned denied",
        "began planned dropped",
        "began denied",
        "began dropped",
        "began replied",
    ],
)
def test_a_lawful_life(life: str) -> None:
    assert lawful(map(event, life.split())) is None


@pytest.mark.parametrize(
    ("life", "wrong"),
    [
        ("", "ends in state new"),
        ("began", "ends in state begun"),
        ("began planned", "ends in state planned"),
        ("began planned hold-1 settle-1", "ends in state planned"),
        ("planned denied", "Planned in state new"),
        ("denied", "Denied in state new"),
        ("began began denied", "Began in state begun"),
        ("began planned planned denied", "Planned in state planned"),
        ("began hold-1 settle-1 denied", "Reserved in state begun"),
        ("began planned replied replied", "Replied in state over"),
        ("began planned replied dropped", "Dropped in state over"),
        ("began denied planned", "Planned in state over"),
        ("began planned hold-1 replied", "1 holds never settled"),
        ("began planned hold-1 hold-2 settle-1 dropped", "1 holds never settled"),
        ("began planned hold-1 replied settle-1", "1 holds never settled"),
        ("began planned settle-1 replied", "hold 1 settled but not open"),
        ("began planned hold-1 settle-1 settle-1 replied", "hold 1 settled but not open"),
        ("began planned hold-1 settle-2 replied", "hold 2 settled but not open"),
        ("began planned hold-1 hold-1 settle-1 replied", "hold 1 reserved twice"),
        ("began circuit denied", "CircuitMoved in state begun"),
    ],
)
def test_an_unlawful_life(life: str, wrong: str) -> None:
    assert lawful(map(event, life.split())) == wrong
