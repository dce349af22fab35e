"""Who asks, and what is remembered of it from one request of a connection to the next."""

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
    """What requests have in common that one caller sends with the same headers and of one shape."""

    known: Callable[[], Known | None]
    """The shape, as long as it is kept: that is up to who keeps shapes, so that many connections
    take no more room than there is.
    """
    extras: Extras
    about: About
    """But for its id."""
    purse: Purse
    ladder: Ladder
    """What its route has it climb."""


def forgotten() -> None:
    """A shape that is not kept."""


_NONE: Final = RequestTemplate(
    forgotten, NO_EXTRAS, About("", "", "", stream=False), Purse("", ()), Ladder("", ())
)


class Session(Struct):
    """Who asks, as its headers say. One configuration's: under another it is met anew."""

    headers: Headers
    caller: Caller
    slots: Slots
    template: RequestTemplate = _NONE
    """Of the last request."""
