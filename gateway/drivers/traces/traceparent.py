"""W3C Trace Context: a client may send the trace that its request belongs to.

    00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

Source: https://www.w3.org/TR/trace-context/, version 00. An invalid header counts as absent, as the
standard says. CALL_TRACEPARENT is the header of the next call to a provider; "" without traces.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeVar, cast

HeaderReader = TypeVar("HeaderReader", bound=Callable[..., Any])
_HEADER: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
CALL_TRACEPARENT: Final[ContextVar[str]] = ContextVar("call", default="")


class Parent(NamedTuple):
    trace: int
    span: int
    sampled: bool


PARENT: Final[ContextVar[Parent | None]] = ContextVar("parent", default=None)


def read_parent(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Set PARENT from the traceparent header, for this task."""
    PARENT.set(
        next((parse_traceparent(value) for name, value in headers if name == b"traceparent"), None)
    )


def wrap_header_reader(reader: HeaderReader) -> HeaderReader:
    """Wraps a function whose first argument is the headers: sets PARENT first."""

    def wrapped(headers: Sequence[tuple[bytes, bytes]], *rest: Any) -> Any:
        read_parent(headers)
        return reader(headers, *rest)

    return cast("HeaderReader", wrapped)


def parse_traceparent(header: bytes) -> Parent | None:
    """None if invalid. A later version may have more fields at its end; version ff is invalid."""
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more):
        return None
    parent = Parent(int(trace, 16), int(span, 16), bool(int(flags, 16) & 1))
    return parent if parent.trace and parent.span else None


def format_traceparent(trace: int, span: int, *, sampled: bool) -> str:
    return f"00-{trace:032x}-{span:016x}-{int(sampled):02x}"
