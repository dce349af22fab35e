"""What a failed call means. Ollama says {"error": "..."}, with a status or inside a stream."""

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
    ("context length", Unsuitable),
    ("context window", Unsuitable),
    ("prompt too long", Unsuitable),
    ("try pulling it", Misconfigured),
    ("unauthorized", Misconfigured),
)
"""An error inside a stream has no status, and a 400 may only be this model's."""

T = TypeVar("T")


def read(data: bytes, shape: type[T]) -> T:
    """JSON as a value of `shape`. Raises Broken, and nothing else, on any bytes."""
    return faults.read(data, shape, "Ollama's")


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error that an answer with another status than 200 stands for."""
    try:
        decoded: Any = read(body, object)
    except Broken:
        decoded = None  # a page of some proxy, or nothing
    words = _words(decoded.get("error") if isinstance(decoded, dict) else None)
    kind = _error_class(status, words)
    return kind(
        words or f"the provider answered with status {status}",
        status=status if kind in (Rejected, Unsuitable) else None,
        retry_after=retry_after(headers),
    )


def fault_in_body(error: Any) -> UpstreamError:
    """The error that an `error` inside a 200 stands for."""
    words = _words(error)
    return kind_by_message(words, _BY_WORDS, Faulty)(words or "the provider broke off its answer")


def _error_class(status: int, words: str) -> Kind:
    if not 400 <= status < 600:
        # A redirect is a wrong base URL; any other success is no answer to a chat.
        return Misconfigured if 300 <= status < 400 else Broken
    if status in (400, 413, 422):
        kind = kind_by_message(words, _BY_WORDS, Rejected)
        return kind if kind is Unsuitable else Rejected
    return _BY_STATUS.get(status, Rejected if status < 500 else Faulty)


def _words(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message")
    return shorten(error)
