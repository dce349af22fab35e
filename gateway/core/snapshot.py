"""The whole checked configuration as one immutable value: swapped whole, never changed."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from gateway.core.catalog import Catalog, Tenant


class Secret(str):
    """A text that must not be shown. It is an ordinary str to whoever sends it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


class Provider(Struct, frozen=True):
    """Where calls go. Only the configuration can say so, never a request."""

    name: str
    dialect: str
    base_url: str
    api_key: Secret | None = None
    regions: frozenset[str] = frozenset()
    quirks: frozenset[str] = frozenset()
    """The provider's named departures from its dialect."""


class Ledger(Struct, frozen=True):
    """Where money is counted. `url` is "embedded", "memory", or a Redis URL."""

    url: str = "embedded"
    data_dir: str = ".tollgate"
    timeout_s: float = 0.25
    hold_ttl_s: float = 600.0
    """A hold that nobody settled is charged in full after so long."""


class Timeouts(Struct, frozen=True):
    """Seconds. A route's own `timeout_s` bounds a request as a whole."""

    connect_s: float = 5.0
    answer_s: float = 60.0
    """One call: until the whole answer, or the first delta of a flowing one."""
    idle_s: float = 30.0
    """Between two pieces of a flowing answer."""


class Limits(Struct, frozen=True):
    """What one client may send, and how many requests are served at once."""

    body_bytes: int = 10_000_000
    json_depth: int = 64
    in_flight: int = 1_000
    in_flight_per_key: int = 64


class Snapshot(Struct, frozen=True):
    catalog: Catalog
    providers: Mapping[str, Provider]
    tenants: Mapping[str, Tenant]
    ledger: Ledger = Ledger()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()


DIALECTS: Final = ("anthropic", "openai")
QUIRKS: Final = ("max_tokens", "no_stream_usage")
"""Departures of a provider from its dialect: it wants `max_tokens` where OpenAI has
`max_completion_tokens`; it refuses to be asked for the usage of a stream."""
STRATEGIES: Final = ("cascade",)
CAPABILITIES: Final = (
    "audio",
    "files",
    "json_schema",
    "reasoning",
    "tools",
    "vision",
)
