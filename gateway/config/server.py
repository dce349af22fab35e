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
    """How long it still accepts requests after SIGTERM, while `/readyz` reports that it is not
    ready: the time that the load balancer takes to notice."""
    drain_timeout_s: Seconds = 30.0
    """How long requests in flight then have to finish. The streams that are left get an error
    event."""
    keep_alive_s: Seconds = 75.0
    """How long a client's connection may be idle, or may take for the head of a request. It must be
    longer than the load balancer keeps idle connections, or requests may arrive as the gateway
    closes theirs."""
    watch: Flag = True
    """Whether to check every second if a configuration file has changed, and to reload."""
