"""What a failed call means, from its status or from the type of its error.

The types are in the API's documentation under "Errors"; an error inside a stream has only a type.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    TimedOut,
    Unsuitable,
    UpstreamError,
)

MAX_MESSAGE: Final = 500
"""Characters of a provider's message that are kept."""

_BY_STATUS: Final[Mapping[int, type[UpstreamError]]] = {
    401: Misconfigured,
    402: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    408: TimedOut,
    429: Throttled,
    503: Overloaded,
    529: Overloaded,
}
_BY_TYPE: Final[Mapping[str, type[UpstreamError]]] = {
    "api_error": Faulty,
    "authentication_error": Misconfigured,
    "billing_error": Misconfigured,
    "invalid_request_error": Rejected,
    "not_found_error": Misconfigured,
    "overloaded_error": Overloaded,
    "permission_error": Misconfigured,
    "rate_limit_error": Throttled,
    "request_too_large": Rejected,
    "timeout_error": Faulty,
}
_HUNDREDS: Final[Mapping[int, type[UpstreamError]]] = {3: Misconfigured, 4: Rejected}
"""A redirect is a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, type[UpstreamError]], ...]] = (
    ("credit balance is too low", Misconfigured),
    ("organization has been disabled", Misconfigured),
    ("api usage limits", Misconfigured),
    ("prompt is too long", Unsuitable),
    ("context limit", Unsuitable),
    ("context window", Unsuitable),
    ("content filter", Unsuitable),
    ("maximum allowed number of output tokens", Unsuitable),
    ("this model", Unsuitable),
)
"""A 400 says most things only in its text: not the client's fault, or only with this model."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes."""
    try:
        # Raw parts are not checked for UTF-8 when they are skipped, so the whole is, here.
        return msgspec.json.decode(data.decode(), type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Broken("the provider's answer is not in the Messages format") from None


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error that an answer with another status than 200 stands for."""
    try:
        said: Any = read(body, object)
    except Broken:
        said = None
    kind, message = _said(said)
    found = _class(status, kind, message)
    return found(
        message or f"the provider answered with HTTP status {status}",
        status=status if found in (Rejected, Unsuitable) else None,
        retry_after=retry_after(headers),
        upstream_code=kind or None,
    )


def stream_fault(said: Any) -> UpstreamError:
    """The error that an `error` event, or an error inside a 200, stands for."""
    kind, message = _said(said)
    found = _class(0, kind, message)
    return found(message or "the provider broke off its answer", upstream_code=kind or None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after`; None when it is absent, a date, or not a sane number."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _said(body: Any) -> tuple[str, str]:
    """Type and message of {"type": "error", "error": {"type", "message"}}; "" where absent."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    kind, message = error.get("type"), error.get("message")
    return (
        kind[:MAX_MESSAGE] if isinstance(kind, str) else "",
        message[:MAX_MESSAGE] if isinstance(message, str) else "",
    )


def _class(status: int, kind: str, message: str) -> type[UpstreamError]:
    """The status decides where it is plain, else the type, else the hundreds of the status."""
    found = _BY_STATUS.get(status) or _BY_TYPE.get(kind)
    if status >= 500:
        return Overloaded if found is Overloaded else Faulty
    if found is None:
        found = _HUNDREDS.get(status // 100) or (Faulty if kind else Broken)
    if found is Rejected:
        text = message.lower()
        return next((better for mark, better in _BY_MESSAGE if mark in text), found)
    return found
