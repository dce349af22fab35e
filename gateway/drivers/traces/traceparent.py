"""W3C Trace Context: who asks may name the trace that a request belongs to.

    00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

Source: https://www.w3.org/TR/trace-context/, version 00. What is not exactly so counts as absent,
as the standard says. `CALL` is what a call to a provider would carry: "" while nobody traces.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeVar, cast

Read = TypeVar("Read", bound=Callable[..., Any])
_HEADER: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
CALL: Final[ContextVar[str]] = ContextVar("call", default="")


class Parent(NamedTuple):
    trace: int
    span: int
    sampled: bool


PARENT: Final[ContextVar[Parent | None]] = ContextVar("parent", default=None)


def read_parent(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Note whose trace the request belongs to, for whatever is done in this task."""
    PARENT.set(next((parsed(value) for name, value in headers if name == b"traceparent"), None))


def reading_parent(read: Read) -> Read:
    """The same, and before it the parent is read: `read` is given the headers first."""

    def reads(headers: Sequence[tuple[bytes, bytes]], *rest: Any) -> Any:
        read_parent(headers)
        return read(headers, *rest)

    return cast("Read", reads)


def parsed(header: bytes) -> Parent | None:
    """A later version may have more fields at its end; version ff is none."""
    found = _HEADER.fullmatch(header.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more):
        return None
    parent = Parent(int(trace, 16), int(span, 16), bool(int(flags, 16) & 1))
    return parent if parent.trace and parent.span else None


def written(trace: int, span: int, *, sampled: bool) -> str:
    return f"00-{trace:032x}-{span:016x}-{int(sampled):02x}"
