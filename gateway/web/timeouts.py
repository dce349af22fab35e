"""How long a client may take to send a request, the rest of one, and to read its answer."""

from collections.abc import Callable
from typing import Final

from gateway.core.errors import RequestTimeout
from gateway.core.snapshot import Server
from gateway.web.backlog import Backlog
from gateway.web.idle import Idle

BODY_S: Final = 30.0
"""Seconds for a body's next portion (64 KiB), or its rest."""
UNREAD_S: Final = 60.0
"""Seconds in which it may read nothing of what waits for it, as nginx's `send_timeout`."""


def default_keep_alive_s() -> float:
    """How long a connection may wait for a request, unless the configuration says otherwise."""
    return Server().keep_alive_s


def body_timed_out(most_s: float) -> RequestTimeout:
    more = f"64 KiB more of it, or its end, must come in {most_s:g} seconds"
    return RequestTimeout(f"The body stopped half-way: {more}.")


class ClientTimeouts:
    """The time limits for the clients of one server."""

    def __init__(
        self,
        keep_alive_s: Callable[[], float] = default_keep_alive_s,
        body_s: float = BODY_S,
        unread_s: float = UNREAD_S,
    ) -> None:
        self.idle = Idle(keep_alive_s, lambda connection: connection.shutdown())
        self.bodies = Idle(lambda: body_s, lambda incoming: incoming.fail(body_timed_out(body_s)))
        self.unread = Idle(lambda: unread_s, Backlog.review)
