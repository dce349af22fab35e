"""What a failed exchange with a provider is called, whichever client made it.

The client's own words may name our URL: these are shown instead.
"""

from typing import Final

from gateway.core.errors import Broken, Reset, TimedOut, Unreachable

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


def broken() -> Broken:
    return Broken("the provider's answer broke off, or was no HTTP")


def too_large() -> Broken:
    return Broken("the answer is beyond 64 MiB")
