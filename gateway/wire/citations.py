"""Web citations as OpenAI writes them: `annotations` of type url_citation.

`start_index` and `end_index` count characters of the answer's text; the end is exclusive.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

Annotation = dict[str, Any]


def url_citation(url: Any, title: Any, start: int, end: int) -> list[Annotation]:
    """A url_citation in a list; [] if `url` is not an HTTP URL."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return []
    shown_title = title if isinstance(title, str) and title else url
    citation = {"start_index": start, "end_index": end, "title": shown_title, "url": url}
    return [{"type": "url_citation", "url_citation": citation}]


def annotations(citations: Iterable[Annotation]) -> dict[str, Raw]:
    """The message field `annotations`; {} if there are none."""
    entries = list(citations)
    return {"annotations": Raw(msgspec.json.encode(entries))} if entries else {}
