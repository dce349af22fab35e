"""The errors of failed exchanges with a provider, the same for both HTTP clients.

A client library's own message may contain our URL: these are shown instead.
"""

import errno
from typing import Final

from gateway.core.errors import Broken, Reset, TimedOut, Unreachable

WORKED_S: Final = 1.0
"""A connection that is closed later than this had reached a provider at work: one that merely
closes idle connections, or is being restarted, closes at once.
"""
UNREAD_S: Final = 10.0
"""The same for a reset: a kernel sends one when a socket is closed with our request unread, and a
busy one may be seconds late. A load balancer that resets after minutes may have passed it on.
"""
PROXY_AUTH_REQUIRED: Final = 407
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one answer; beyond that it is Broken."""


def unreachable(*, proxied: bool = False) -> Unreachable:
    """`proxied`: the way is through a proxy."""
    by = " through its proxy" if proxied else ""
    return Unreachable(f"the provider could not be connected to{by}")


def proxy_refused(status: int) -> Unreachable:
    """Shows the proxy's status only: its text is about its network."""
    if status == PROXY_AUTH_REQUIRED:
        why = "the proxy wants a user and a password, or others than these: it answered 407"
        return Unreachable(why)
    return Unreachable(f"the proxy made no connection to the provider: it answered {status}")


def proxy_broke_off() -> Unreachable:
    return Unreachable("the proxy broke off before it connected, or what answers there is none")


def timed_out() -> TimedOut:
    return TimedOut("the provider did not answer in time")


class Stale(Reset):
    """A reused connection was closed as a request was sent on it."""


class _Unsent(TimedOut):
    """Nothing was sent, so nothing is billed."""

    bills = "nothing"


def no_time() -> TimedOut:
    """There was none to connect, either."""
    return _Unsent("there was no time left to ask the provider")


def reset() -> Reset:
    return Reset("the provider closed the connection without an answer")


def closed_early(elapsed_s: float, cause: Exception | None) -> Reset | Broken:
    """The connection was closed before a byte of an answer, `elapsed_s` after the request; `cause`
    is the system's error, None for a clean end. Reset may be retried; Broken may have been billed,
    so it is not.
    """
    unread = isinstance(cause, OSError) and cause.errno in (errno.ECONNRESET, errno.EPIPE)
    if elapsed_s < (UNREAD_S if unread else WORKED_S):
        return reset()
    return Broken("the provider closed the connection before its answer")


def broken() -> Broken:
    return Broken("the provider's answer broke off, or was no HTTP")


def too_large() -> Broken:
    return Broken("the answer is beyond 64 MiB")
