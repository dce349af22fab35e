"""Mapping of failed calls to errors, as far as all providers share it."""

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
    410: Misconfigured,
    429: Throttled,
    503: Overloaded,
    529: Overloaded,
}
"""Statuses that mean the same everywhere. 410: a model, or an address, that was given up."""

T = TypeVar("T")
E = TypeVar("E", bound=UpstreamError)


def read(data: bytes, shape: type[T], format_name: str) -> T:
    """Decodes JSON into `shape`. Raises only Broken, whatever the bytes.

    `format_name` is the expected format, for the error message.
    """
    try:
        # Raw parts are not checked for UTF-8 when they are skipped, so the whole is, here.
        return msgspec.json.decode(data.decode(), type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Broken(f"the provider's answer is not in {format_name} format") from None


def with_usage(error: E, usage: Usage | None) -> E:
    """The error with the usage that the provider reported for the failed call, if any."""
    if usage is not None and (usage.prompt or usage.reported_cost):
        error.usage = usage
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; None if absent, not a finite number, or a date (there is no clock here)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(wait) and wait >= 0:
            return wait
    return None


def kind_by_message(message: str, table: Sequence[tuple[str, Kind]], otherwise: Kind) -> Kind:
    """The error class of the first (lower-case) phrase in `table` that the message contains."""
    text = message.lower()
    return next((kind for words, kind in table if words in text), otherwise)


def shorten(value: object) -> str:
    """A string cut to MAX_MESSAGE; "" for anything else."""
    return value[:MAX_MESSAGE] if isinstance(value, str) else ""
