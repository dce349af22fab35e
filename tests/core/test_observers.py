"""Who hears what: only what they name, in their order."""

from typing import get_args

from gateway.core.events import About, Began, Dropped, Event, Planned
from gateway.core.observers import Handlers, handlers_of, nothing, observer, of_all

WHO = About("r1", "acme", "auto", stream=False)
BEGAN, PLANNED, DROPPED = Began(WHO), Planned(WHO, 1, 0), Dropped(WHO, 0.5)


def test_each_hears_what_it_names() -> None:
    said: list[tuple[str, Event]] = []
    first: Handlers = {Began: lambda event: said.append(("first", event))}
    every = of_all(lambda event: said.append(("every", event)))
    last: Handlers = {kind: lambda event: said.append(("last", event)) for kind in (Began, Dropped)}
    observe = observer(first, every, last)
    for event in (BEGAN, PLANNED, DROPPED):
        observe(event)
    assert said == [
        ("first", BEGAN),
        ("every", BEGAN),
        ("last", BEGAN),
        ("every", PLANNED),
        ("every", DROPPED),
        ("last", DROPPED),
    ]


def test_what_nobody_hears_is_told_to_nobody() -> None:
    said: list[Event] = []
    observe = observer({Dropped: said.append})
    for event in (BEGAN, PLANNED, DROPPED):
        observe(event)
    assert said == [DROPPED]


def test_who_hears_of_all_hears_of_every_kind() -> None:
    assert set(of_all(print)) == set(get_args(Event))


def test_an_observer_tells_what_it_would_be_told() -> None:
    said: list[Event] = []
    observe = observer({Dropped: said.append})
    assert handlers_of(observe) == observe
    assert handlers_of(said.append) == of_all(said.append)


def test_what_nobody_hears_is_told_to_nothing() -> None:
    told = handlers_of(observer({Dropped: print}))
    assert [kind for kind in get_args(Event) if told[kind] is not nothing] == [Dropped]
