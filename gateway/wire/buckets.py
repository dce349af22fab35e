"""Files in Google Cloud Storage: Google reads what a request names there with the rights of who
asks, which is us. So a tenant could read whatever our own account can.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

ALLOWED: Final = "gs_uris"
"""The quirk of a provider whose account may read them for every tenant."""
_SCHEME: Final = "gs://"
_NAMES: Final = frozenset({
    "file_data", "file_id", "fileUri", "file_uri", "image_url", "url", "video_url",
})  # fmt: skip
"""Where OpenAI's parts, and Google's own, name a file."""


def refuse_buckets(messages: Any) -> None:
    """Raises InvalidRequest for the first that is named, anywhere in them."""
    waiting: list[tuple[Any, str]] = [(messages, "messages")]
    while waiting:
        given, where = waiting.pop()
        if isinstance(given, Mapping):
            for name, value in given.items():
                if name in _NAMES and isinstance(value, str) and _in_bucket(value):
                    place = f"{where}.{name}"
                    told = f"{place}: this gateway reads no file in Google Cloud Storage for you"
                    raise InvalidRequest(f"{told}; send the file itself", param=place)
            inner = [(value, f"{where}.{name}") for name, value in given.items()]
        elif isinstance(given, list):
            inner = [(value, f"{where}[{at}]") for at, value in enumerate(given)]
        else:
            continue
        waiting += reversed(inner)


def _in_bucket(value: str) -> bool:
    return value[:64].lstrip()[: len(_SCHEME)].lower() == _SCHEME
