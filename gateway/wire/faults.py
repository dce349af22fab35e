"""What failed calls mean at every provider alike; what is one's own is in its dialect."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from gateway.core.errors import (
    Broken,
    Misconfigured,
    Overloaded,
    Throttled,
    UpstreamError,
)
from gateway.core.usage import Usage

MAX_MESSAGE: Final = 500
"""Characters of a provider's message that are kept."""

Kind = type[UpstreamError]

BY_STATUS: Final[Mapping[int, Kind]] = {
    401: Misconfigured,
    402: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    429: Throttled,
    503: Overloaded,
    529: Overloaded,
}
"""Statuses that mean the same everywhere."""

T = TypeVar("T")
E = TypeVar("E", bound=UpstreamError)


def read(data: bytes, shape: type[T], format_name: str) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes.

    `form` names the format that it should have.
    """
    try:
        # Raw parts are not checked for UTF-8 when they are skipped, so the whole is, here.
        return msgspec.json.decode(data.decode(), type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Broken(f"the provider's answer is not in {format_name} format") from None


def with_usage(error: E, usage: Usage | None) -> E:
    """The error, with what the provider counted for the failed call, where it told that."""
    if usage is not None and usage.prompt:
        error.usage = usage
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; None when they are absent, no sane number, or a date: no clock is here."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(wait) and wait >= 0:
            return wait
    return None


def kind_by_message(message: str, table: Sequence[tuple[str, Kind]], otherwise: Kind) -> Kind:
    """The class of the first words of the table, in lower case, that the message has."""
    text = message.lower()
    return next((kind for words, kind in table if words in text), otherwise)


def shorten(value: object) -> str:
    """A text of the provider's, cut; "" for anything else."""
    return value[:MAX_MESSAGE] if isinstance(value, str) else ""
