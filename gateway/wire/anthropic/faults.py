"""What a failed call means, from its status or from the type of its error.

The types are in the API's documentation under "Errors"; an error inside a stream has only a type.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

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
from gateway.wire import faults
from gateway.wire.faults import Kind, by_words, retry_after, short

_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.PLAIN, 408: TimedOut}
_BY_TYPE: Final[Mapping[str, Kind]] = {
    "api_error": Faulty,
    "FAILED_PRECONDITION": Misconfigured,
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
"""One is Google's: a region in which Vertex AI does not have the model."""
_HUNDREDS: Final[Mapping[int, Kind]] = {3: Misconfigured, 4: Rejected}
"""A redirect is a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, Kind], ...]] = (
    ("credit balance is too low", Misconfigured),
    ("organization has been disabled", Misconfigured),
    ("api usage limits", Misconfigured),
    ("prompt is too long", Unsuitable),
    ("exceeded model token limit", Unsuitable),
    ("exceeds max length", Unsuitable),
    ("context limit", Unsuitable),
    ("context window", Unsuitable),
    ("content filter", Unsuitable),
    ("maximum allowed number of output tokens", Unsuitable),
    ("this model", Unsuitable),
    ("when tool_choice forces", Unsuitable),
    ("in `thinking` block", Unsuitable),
    ("in `redacted_thinking` block", Unsuitable),
    ("first message must use", Unsuitable),
    ("image exceeds", Unsuitable),
    ("schemas contains too many", Unsuitable),
    ("schema is too complex", Unsuitable),
    ("compiled grammar is too large", Unsuitable),
)
"""A 400 says most things only in its text: not the client's fault, or only with this model."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes."""
    return faults.read(data, shape, "the Messages")


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


def _said(body: Any) -> tuple[str, str]:
    """Type and message of {"type": "error", "error": {"type", "message"}}; "" where absent.

    Vertex AI says its own errors: {"error": {"status", "message"}}, in a list where a stream was
    asked for.
    """
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return short(error.get("type")) or short(error.get("status")), short(error.get("message"))


def _class(status: int, kind: str, message: str) -> Kind:
    """The status decides where it is plain, else the type, else the hundreds of the status."""
    found = _BY_STATUS.get(status) or _BY_TYPE.get(kind)
    if status >= 500:
        return Overloaded if found is Overloaded else Faulty
    if found is None:
        found = _HUNDREDS.get(status // 100) or (Faulty if kind else Broken)
    return by_words(message, _BY_MESSAGE, found) if found is Rejected else found
