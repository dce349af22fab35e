"""What a failed call means. Ollama says {"error": "..."}, with a status or inside a stream."""

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
    Unsuitable,
    UpstreamError,
)

MAX_MESSAGE: Final = 500

_BY_STATUS: Final[Mapping[int, type[UpstreamError]]] = {
    **dict.fromkeys((401, 402, 403, 404), Misconfigured),
    408: Faulty,
    429: Throttled,
    503: Overloaded,
    529: Overloaded,
}
_BY_WORDS: Final[tuple[tuple[str, type[UpstreamError]], ...]] = (
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
    try:
        # Raw parts are not checked for UTF-8 when they are skipped, so the whole is, here.
        return msgspec.json.decode(data.decode(), type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Broken("the provider's answer is not in Ollama's format") from None


def fault(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error that an answer with another status than 200 stands for."""
    try:
        said: Any = read(body, object)
    except Broken:
        said = None  # a page of some proxy, or nothing
    words = _words(said.get("error") if isinstance(said, dict) else None)
    kind = _class(status, words)
    return kind(
        words or f"the provider answered with status {status}",
        status=status if kind in (Rejected, Unsuitable) else None,
        retry_after=_retry_after(headers),
    )


def fault_inside(error: Any) -> UpstreamError:
    """The error that an `error` inside a 200 stands for."""
    words = _words(error)
    return _by_words(words, Faulty)(words or "the provider broke off its answer")


def _class(status: int, words: str) -> type[UpstreamError]:
    if not 400 <= status < 600:
        # A redirect is a wrong base URL; any other success is no answer to a chat.
        return Misconfigured if 300 <= status < 400 else Broken
    if status in (400, 413, 422):
        found = _by_words(words, Rejected)
        return found if found is Unsuitable else Rejected
    return _BY_STATUS.get(status, Rejected if status < 500 else Faulty)


def _by_words(words: str, otherwise: type[UpstreamError]) -> type[UpstreamError]:
    said = words.lower()
    return next((kind for mark, kind in _BY_WORDS if mark in said), otherwise)


def _words(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message")
    return error[:MAX_MESSAGE] if isinstance(error, str) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after`; None when it is absent, a date, or not a sane number."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
