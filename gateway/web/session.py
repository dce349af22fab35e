"""The authenticated caller, and what is remembered between requests of one connection."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from gateway.core.accounts import Purse
from gateway.core.chat import NO_EXTRAS, Extras
from gateway.core.events import About
from gateway.core.ladder import Ladder
from gateway.web.callers import Caller
from gateway.web.in_flight import Slots
from gateway.web.shapes import Known


class Headers(Struct, frozen=True):
    """What we read of a request's headers. `extras` are its x-gateway-*, without that prefix."""

    authorization: bytes
    content_length: int
    encoded: bool
    extras: Mapping[str, str]


class RequestTemplate(Struct, frozen=True):
    """What requests of one caller with the same headers and of one shape have in common."""

    known: Callable[[], Known | None]
    """The shape, if it is still kept. Connections refer to it weakly: the memory for shapes is
    bounded in one place (Shapes).
    """
    extras: Extras
    about: About
    """Without the request id."""
    purse: Purse
    ladder: Ladder
    """The tiers that its route climbs."""


def forgotten() -> None:
    """In place of a reference to a shape that is not kept."""


_NONE: Final = RequestTemplate(
    forgotten, NO_EXTRAS, About("", "", "", stream=False), Purse("", ()), Ladder("", ())
)


class Session(Struct):
    """The caller that the headers authenticate, under one configuration; another asks anew."""

    headers: Headers
    caller: Caller
    slots: Slots
    template: RequestTemplate = _NONE
    """That of the last request."""
