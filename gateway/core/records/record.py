"""What is kept of each call to a provider: who caused it, what it was for, what it cost.

A record is written in the same atomic step as the settle that charges it, so the two cannot
disagree. What was charged, and to which budgets, is in the ledger's entry around the record; see
core/records/entry.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gateway.core.chat import Usage

_NOTHING: Final[Mapping[str, str]] = {}
COMPARED: Final = "compared"
"""The purpose of a record that is of no call: an answer that no client saw was compared with the
one that was given. It cost nothing; `outcome` is agreed, differed or incomparable."""
CACHED: Final = "cached"
"""The purpose of a record that is of no call: of answers that were kept, and given again `hits`
times, of one user within some seconds. They cost nothing; it names no request."""
NO_CALLS: Final = (CACHED, COMPARED)
BEHIND: Final = "~"
"""The id of a life that no client sees is that of the seen one, this, and what it is for."""


class UsageRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """One call. `attempt` is the id of its hold. Amounts are nano-dollars, times are seconds."""

    attempt: str
    request: str
    tenant: str
    route: str
    model: str
    provider: str
    tier: str
    purpose: str
    outcome: str
    """"ok", "cut", "outrun", "dropped", "shutting_down", "internal_error", "expired" (its hold was
    never settled), or the kind of an UpstreamError."""
    held: int
    cost: int
    usage: Usage
    counted: bool = False
    """Whether we had to count its tokens ourselves."""
    organisation: str = ""
    key: str = ""
    user: str = ""
    tags: Mapping[str, str] = _NOTHING
    stream: bool = False
    seconds: float = 0.0
    first_token_s: float | None = None
    signals: tuple[int, ...] = ()
    """Of the request, with one of its calls, where its route is to be learned from."""

    hits: int = 0
    saved: int = 0
    """What the answers cost when they were made, once for each hit."""


def is_of(request: str, wanted: str) -> bool:
    """Whether a record's request is the one that is asked for, or went on behind it."""
    return request == wanted or request.startswith(f"{wanted}{BEHIND}")


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(UsageRecord)


encode: Final[Callable[[UsageRecord | Sequence[Struct]], bytes]] = _encoder.encode
"""JSON of one line, also of several that are kept as one."""


def decode(line: bytes | str) -> UsageRecord:
    """Raises msgspec.ValidationError for what is no record."""
    return _decoder.decode(line)
