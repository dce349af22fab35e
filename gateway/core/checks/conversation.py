"""The texts of a request's messages, for checks and judges that read them."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Remembered(Generic[T]):
    """A cache of what `read` makes of messages (their JSON), for the `most` latest. Its keys are
    digests: messages with images are megabytes each.
    """

    def __init__(self, read: Callable[[bytes], T], most: int) -> None:
        self._read = read
        self._most = most
        self._known: dict[bytes, T] = {}

    def __call__(self, messages: bytes) -> T:
        key = blake2b(messages, digest_size=16).digest()
        if key not in self._known:
            found = self._read(messages)
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return self._known[key]


def texts_by_role(messages: bytes) -> list[tuple[Any, str]]:
    """Role and text of each message, from their JSON. A client may have sent anything: what is not
    an object is left out, and what is not a list has no messages.
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
