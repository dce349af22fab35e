"""How often a request lets its provider search the web, which costs a fee for each search."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, json

DEFAULT_SEARCHES: Final = 10
"""How many searches are held for where the request sets no limit. A provider may make more."""
_SEARCH_FIELDS: Final = ("web_search_options", "plugins", "search_parameters")
"""Fields by which a search is asked for without a tool."""
_NO_TOOLS: Final = Raw(b"[]")
_MOST: Final = 1_000_000
_WEB_SEARCH: Final = "web_search"
_GOOGLE: Final = frozenset((
    "enterpriseWebSearch", "exaAiSearch", "googleSearch", "googleSearchRetrieval",
    "parallelAiSearch",
))  # fmt: skip
"""Google's search tools, also on other indexes: it reports and charges their queries alike."""


def searches_allowed(fields: Mapping[str, Raw]) -> int:
    """The most searches to hold for; 0 where none can be made."""
    if any(name in fields for name in _SEARCH_FIELDS):
        return DEFAULT_SEARCHES
    try:
        decoded: Any = json.decode(fields.get("tools", _NO_TOOLS))
    except (ValueError, RecursionError):  # whoever translates them says what is wrong
        return DEFAULT_SEARCHES
    return sum(map(_searches_of, decoded)) if isinstance(decoded, Sequence) else 0


def _searches_of(tool: Any) -> int:
    """Anthropic's and OpenRouter's have a type, Google's a name."""
    if not isinstance(tool, Mapping):
        return 0
    if not _GOOGLE.isdisjoint(tool):
        return DEFAULT_SEARCHES
    kind = tool.get("type")
    if not (isinstance(kind, str) and _WEB_SEARCH in kind):
        return 0
    most = tool.get("max_uses")
    return min(most, _MOST) if isinstance(most, int) and most >= 0 else DEFAULT_SEARCHES
