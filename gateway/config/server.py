"""How the service itself behaves: how it stops, and whether it looks at its own files."""

from typing import Annotated

from pydantic import BeforeValidator

from gateway.config.scalars import LONGEST_S, Flag, Seconds, decimal, number_schema
from gateway.config.stanza import Stanza

_wait = decimal(f"a number of seconds from 0 to {LONGEST_S:,}", lambda s: 0 <= s <= LONGEST_S)
Wait = Annotated[
    float,
    BeforeValidator(lambda value: float(_wait(value))),
    number_schema(minimum=0, maximum=LONGEST_S),
]


class Server(Stanza):
    drain_delay_s: Wait = 0.0
    """After SIGTERM, for how long it still accepts requests while `/readyz` says that it is not
    ready: as long as whoever spreads the load takes to notice."""
    drain_timeout_s: Seconds = 30.0
    """For how long it then finishes what it has begun. Streams that are left get an error event."""
    keep_alive_s: Seconds = 75.0
    """For how long a client's connection may wait for its next request, or for the rest of a
    request's head: longer than whoever is before the gateway keeps it, or its request may meet the
    end of the connection."""
    watch: Flag = True
    """Whether it looks every second if a file of its configuration has changed, and reloads."""
