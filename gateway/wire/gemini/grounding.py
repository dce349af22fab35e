"""Converts Google's grounding metadata to OpenAI's annotations.

Segments have UTF-8 byte offsets and repeat the text that they refer to. Source: Google's page on
grounding with Google Search, and the recorded answers.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.wire.citations import Annotation, url_citation

_QUERIES: Final = b'"webSearchQueries"'


class _Segment(Struct):
    startIndex: int = 0  # noqa: N815
    endIndex: int = 0  # noqa: N815
    text: str | None = None


class _Support(Struct):
    segment: _Segment | None = None
    groundingChunkIndices: list[int] = []  # noqa: N815


class _Queries(Struct):
    webSearchQueries: list[str] | None = None  # noqa: N815


class _Grounding(Struct):
    groundingChunks: list[Mapping[str, Any]] = []  # noqa: N815
    groundingSupports: list[_Support] = []  # noqa: N815


def annotations(metadata: Raw, text: str) -> list[Annotation]:
    """A citation for each supported segment of the text; [] for unreadable metadata."""
    try:
        grounding = msgspec.json.decode(bytes(metadata), type=_Grounding)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
    pages = [_page(chunk) for chunk in grounding.groundingChunks]
    citations: list[Annotation] = []
    encoded = text.encode()
    for support in grounding.groundingSupports:
        place = _place(support.segment, text, encoded) if support.segment else None
        for index in support.groundingChunkIndices if place else ():
            if place and 0 <= index < len(pages):
                citations += url_citation(*pages[index], *place)
    return citations


def queries(metadata: Raw) -> set[str]:
    """What the web was searched for, {} for unreadable metadata or none. Google bills each query
    once, and none that is empty.
    """
    if _QUERIES not in bytes(metadata):  # of a stream, most pieces
        return set()
    try:
        found = msgspec.json.decode(bytes(metadata), type=_Queries).webSearchQueries
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return set()
    return {query for query in found or () if query}


def _page(chunk: Mapping[str, Any]) -> tuple[Any, Any]:
    """URI and title of {"web": {...}}, or of the only member of another type."""
    page = next((each for each in chunk.values() if isinstance(each, Mapping)), {})
    return page.get("uri"), page.get("title")


def _place(segment: _Segment, text: str, encoded: bytes) -> tuple[int, int] | None:
    """Start and (exclusive) end of a segment in characters; None if it is not in the text."""
    try:
        start = len(encoded[: max(0, segment.startIndex)].decode())
        words = encoded[max(0, segment.startIndex) : max(0, segment.endIndex)].decode()
    except UnicodeError:
        start, words = 0, ""
    quoted = words if segment.text is None else segment.text
    if quoted != words:
        # The offsets refer to another part of the answer: search for the segment's text.
        start = text.find(quoted)
    return (start, start + len(quoted)) if quoted and start >= 0 else None
