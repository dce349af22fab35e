"""Pages that an answer cites, as OpenAI tells them: `annotations` of type url_citation.

Where a page's words stand is counted in characters of the answer's text: the first, and the one
behind the last.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

Annotation = dict[str, Any]


def url_citation(url: Any, title: Any, start: int, end: int) -> list[Annotation]:
    """A citation of a page; none of what is no page."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return []
    shown_title = title if isinstance(title, str) and title else url
    citation = {"start_index": start, "end_index": end, "title": shown_title, "url": url}
    return [{"type": "url_citation", "url_citation": citation}]


def annotations(citations: Iterable[Annotation]) -> dict[str, Raw]:
    """The message's field, where there are any."""
    entries = list(citations)
    return {"annotations": Raw(msgspec.json.encode(entries))} if entries else {}
