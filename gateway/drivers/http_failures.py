"""What a failed exchange with a provider is called, whichever client made it.

The client's own words may name our URL: these are shown instead.
"""

from typing import Final

from gateway.core.errors import Broken, Reset, TimedOut, Unreachable

WORKED_S: Final = 1.0
"""After so long a provider has begun to work on an answer: who merely closes idle connections, or
is being restarted, does so at once.
"""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one answer that are read before the provider is taken for broken."""


def unreachable() -> Unreachable:
    return Unreachable("the provider could not be connected to")


def timed_out() -> TimedOut:
    return TimedOut("the provider did not answer in time")


def no_time() -> TimedOut:
    return TimedOut("there was no time left to ask the provider")


def reset() -> Reset:
    return Reset("the provider closed the connection without an answer")


def unheard(asked_s: float) -> Reset | Broken:
    """The connection was closed before a byte of an answer, so long after it was asked for. What
    was worked on may be billed: it is not simply asked for again.
    """
    if asked_s < WORKED_S:
        return reset()
    return Broken("the provider closed the connection before its answer")


def broken() -> Broken:
    return Broken("the provider's answer broke off, or was no HTTP")


def too_large() -> Broken:
    return Broken("the answer is beyond 64 MiB")
