"""Maps failed calls to errors. Ollama sends {"error": "..."}, with a status or in a stream."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from gateway.core.errors import (
    Broken,
    Faulty,
    Misconfigured,
    Overloaded,
    Rejected,
    Throttled,
    Unsuitable,
    UpstreamError,
)
from gateway.wire import faults
from gateway.wire.faults import Kind, kind_by_message, retry_after, shorten

_BY_STATUS: Final[Mapping[int, Kind]] = {**faults.BY_STATUS, 408: Faulty}
_BY_WORDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("server busy", Overloaded),
    ("maximum pending requests", Overloaded),
    ("overloaded", Overloaded),
    ("too many requests", Throttled),
    ("rate limit", Throttled),
    ("usage limit", Throttled),
    ("does not support", Unsuitable),
    ("is not supported for this model", Unsuitable),
    ("context length", Unsuitable),
    ("context window", Unsuitable),
    ("prompt too long", Unsuitable),
    ("try pulling it", Misconfigured),
    ("unauthorized", Misconfigured),
)
"""For errors inside a stream, which have no status, and for 400s of this model only."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """Decodes JSON into `shape`. Raises only Broken, whatever the bytes."""
    return faults.read(data, shape, "Ollama's")


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error for an answer whose status is not 200."""
    try:
        decoded: Any = read(body, object)
    except Broken:
        decoded = None  # a proxy's page, or empty
    words = _words(decoded.get("error") if isinstance(decoded, dict) else None)
    kind = _error_class(status, words)
    return kind(
        words or f"the provider answered with status {status}",
        status=status if kind in (Rejected, Unsuitable) else None,
        retry_after=retry_after(headers),
    )


def fault_in_body(error: Any) -> UpstreamError:
    """The error for an `error` inside a 200."""
    words = _words(error)
    return kind_by_message(words, _BY_WORDS, Faulty)(words or "the provider broke off its answer")


def _error_class(status: int, words: str) -> Kind:
    if not 400 <= status < 600:
        # A redirect means a wrong base URL; other 2xx are not answers to a chat.
        return Misconfigured if 300 <= status < 400 else Broken
    if status in (400, 413, 422):
        kind = kind_by_message(words, _BY_WORDS, Rejected)
        return kind if kind is Unsuitable else Rejected
    return _BY_STATUS.get(status, Rejected if status < 500 else Faulty)


def _words(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message")
    return shorten(error)
