"""Maps failed calls to errors, by their status or the type of their error.

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
from gateway.wire.claude import REFUSALS
from gateway.wire.faults import Kind, kind_by_message, retry_after, shorten

_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.BY_STATUS, 408: TimedOut}
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
"""FAILED_PRECONDITION is Google's: Vertex AI does not have the model in this region."""
_HUNDREDS: Final[Mapping[int, Kind]] = {3: Misconfigured, 4: Rejected}
"""By hundreds of the status. A redirect means a wrong base URL."""
_BY_MESSAGE: Final[tuple[tuple[str, Kind], ...]] = (
    ("credit balance is too low", Misconfigured),
    ("organization has been disabled", Misconfigured),
    ("api usage limits", Misconfigured),
    ("prompt is too long", Unsuitable),
    ("exceeded model token limit", Unsuitable),
    ("exceeds max length", Unsuitable),
    ("request exceeds the maximum", Unsuitable),
    ("unable to download the file", Unsuitable),  # by its URL, as others may
    ("robots.txt", Unsuitable),
    ("for the `anthropic-beta` header", Unsuitable),
    ("maximum allowed number of output tokens", Unsuitable),
    ("first message must use", Unsuitable),
    *((words, Unsuitable) for words in REFUSALS),
)
"""400s whose message says that it is our configuration, or a limit of this model only."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """Decodes JSON into `shape`. Raises only Broken, whatever the bytes."""
    return faults.read(data, shape, "the Messages")


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer whose status is not 200."""
    try:
        decoded: Any = read(body, object)
    except Broken:
        decoded = None
    kind, message = _type_and_message(decoded)
    error = _error_class(status, kind, message)
    return error(
        message or f"the provider answered with HTTP status {status}",
        status=status if error in (Rejected, Unsuitable) else None,
        retry_after=retry_after(headers),
        upstream_code=kind or None,
    )


def stream_fault(decoded: Any) -> UpstreamError:
    """The error for an `error` event, or for an error inside a 200."""
    kind, message = _type_and_message(decoded)
    error = _error_class(0, kind, message)
    return error(message or "the provider broke off its answer", upstream_code=kind or None)


def _type_and_message(body: Any) -> tuple[str, str]:
    """Type and message of {"type": "error", "error": {"type", "message"}}; "" where absent.

    Vertex AI's own errors are {"error": {"status", "message"}}, in a list if a stream was
    requested.
    """
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return shorten(error.get("type")) or shorten(error.get("status")), shorten(error.get("message"))


def _error_class(status: int, kind: str, message: str) -> Kind:
    """By the status if it is unambiguous, else by type, else by hundreds of the status."""
    found = _BY_STATUS.get(status) or _BY_TYPE.get(kind)
    if status >= 500:
        return Overloaded if found is Overloaded else Faulty
    if found is None:
        found = _HUNDREDS.get(status // 100) or (Faulty if kind else Broken)
    return kind_by_message(message, _BY_MESSAGE, found) if found is Rejected else found
