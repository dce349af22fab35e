"""Pages that an answer cites, as OpenAI tells them: `annotations` of type url_citation.

Where a page's words stand is counted in characters of the answer's text: the first, and the one
behind the last.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

Annotation = dict[str, Any]


def cited(url: Any, title: Any, start: int, end: int) -> list[Annotation]:
    """A citation of a page; none of what is no page."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return []
    named = title if isinstance(title, str) and title else url
    where = {"start_index": start, "end_index": end, "title": named, "url": url}
    return [{"type": "url_citation", "url_citation": where}]


def annotations(found: Iterable[Annotation]) -> dict[str, Raw]:
    """The message's field, where there are any."""
    told = list(found)
    return {"annotations": Raw(msgspec.json.encode(told))} if told else {}
