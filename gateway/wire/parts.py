"""Helpers for an OpenAI message's content: a string, or a list of parts."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

Block = dict[str, Any]
Write = Callable[[Mapping[str, Any], str], list[Block]]
"""Translates one part into the dialect's blocks. The string is its path, for errors."""

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^;,]*)*?);base64,", re.IGNORECASE)


def blocks(
    content: Any,
    where: str,
    text: Callable[[str], list[Block]],
    write: Callable[[Any, str], list[Block]],
) -> list[Block]:
    """Translates a message's content: a string, a list of parts, or null."""
    if content is None:
        return []
    if isinstance(content, str):
        return text(content)
    if not isinstance(content, list):
        raise InvalidRequest(f"{where} must be a string or a list of parts", param=where)
    return [block for i, part in enumerate(content) for block in write(part, f"{where}[{i}]")]


def writer(part: Any, where: str, writers: Mapping[str, Write], who: str) -> Write:
    """The function for a part of this type. Raises InvalidRequest if there is none."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    write = writers.get(kind) if isinstance(kind, str) else None
    if write is None:
        raise InvalidRequest(
            f"{where}: {who} no part of type {str(kind)[:80]!r}, "
            f"but of {', '.join(sorted(writers))}",
            param=where,
        )
    return write


def require_url(part: Mapping[str, Any], field: str, where: str) -> str:
    """The URL in an image or video field: {"url": ...}, or the URL itself."""
    value = part.get(field)
    return require_string(
        value.get("url") if isinstance(value, Mapping) else value, f"{where}.{field}.url"
    )


def require_file(part: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    value = part.get("file")
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{where}.file must be an object", param=f"{where}.file")
    return value


def parse_data_url(value: str) -> tuple[str, str] | None:
    """Media type ("" if absent) and base64 data of a data: URL; None for any other URL."""
    match = _DATA_URL.match(value)
    return None if match is None else ((match[1] or "").lower(), value[match.end() :])


def is_data_url(value: str) -> bool:
    return value[:5].lower() == "data:"


def require_string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} must be a string", param=where)
    return value
