"""What a failed exchange with a provider is called, whichever client made it.

The client's own words may name our URL: these are shown instead.
"""

import errno
from typing import Final

from gateway.core.errors import Broken, Reset, TimedOut, Unreachable

WORKED_S: Final = 1.0
"""After so long a provider has begun to work on an answer: who merely closes idle connections, or
is being restarted, does so at once.
"""
UNREAD_S: Final = 10.0
"""The same for a connection that was reset: whose system finds unread what we asked answers so, and
a busy one may be seconds late. A balancer that resets after minutes may well have passed it on.
"""
PROXY_CREDENTIALS: Final = 407
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one answer that are read before the provider is taken for broken."""


def unreachable(*, proxied: bool = False) -> Unreachable:
    """`proxied`: a proxy stands between."""
    by = " through its proxy" if proxied else ""
    return Unreachable(f"the provider could not be connected to{by}")


def proxy_refused(status: int) -> Unreachable:
    """What a proxy says beside its status is about its network: it is not told."""
    if status == PROXY_CREDENTIALS:
        why = "the proxy wants a user and a password, or others than these: it answered 407"
        return Unreachable(why)
    return Unreachable(f"the proxy made no connection to the provider: it answered {status}")


def no_proxy() -> Unreachable:
    return Unreachable("the proxy broke off before it connected, or what answers there is none")


def timed_out() -> TimedOut:
    return TimedOut("the provider did not answer in time")


def no_time() -> TimedOut:
    return TimedOut("there was no time left to ask the provider")


def reset() -> Reset:
    return Reset("the provider closed the connection without an answer")


def unheard(asked_s: float, why: Exception | None) -> Reset | Broken:
    """The connection was closed before a byte of an answer, so long after it was asked for; `why`
    is what the system said, None for a clean end. What was worked on may be billed: it is not
    simply asked for again.
    """
    unread = isinstance(why, OSError) and why.errno in (errno.ECONNRESET, errno.EPIPE)
    if asked_s < (UNREAD_S if unread else WORKED_S):
        return reset()
    return Broken("the provider closed the connection before its answer")


def broken() -> Broken:
    return Broken("the provider's answer broke off, or was no HTTP")


def too_large() -> Broken:
    return Broken("the answer is beyond 64 MiB")
