"""The texts of a request's messages, for checks and judges that read them."""

from collections.abc import Mapping
from typing import Any

import msgspec


def texts_by_role(messages: bytes) -> list[tuple[Any, str]]:
    """Role and text of each message, from their JSON. A client may have sent anything: what is no
    object is left out, and what is no list has none.
    """
    try:
        decoded = msgspec.json.decode(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if not isinstance(decoded, list):
        return []
    return [(each.get("role"), _text_of(each)) for each in decoded if isinstance(each, Mapping)]


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))
