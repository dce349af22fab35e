"""Files in cloud storage: Google and AWS read what a request names there with the rights of who
asks, which is us. So a tenant could read whatever our own account can.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

ALLOWED: Final = "gs_uris"
"""The quirk of a provider whose account may read Google's for every tenant."""
S3_ALLOWED: Final = "s3_uris"
"""The same of AWS's."""
_SCHEME: Final = "gs://"
_NAMES: Final = frozenset({
    "file_data", "file_id", "fileUri", "file_uri", "image_url", "url", "video_url",
})  # fmt: skip
"""Where OpenAI's parts, and Google's own, name a file."""
_S3: Final = "s3Location"
"""Where Converse's blocks name one."""


def refuse_buckets(messages: Any) -> None:
    """Raises InvalidRequest for the first of Google's that is named, anywhere in them."""
    for name, value, place in _fields(messages, "messages"):
        if name in _NAMES and isinstance(value, str) and _in_bucket(value):
            raise _refused(place, "Google Cloud Storage")


def refuse_s3(given: Any, where: str) -> None:
    """The same of S3, of any field: `where` is its name."""
    for name, value, place in _fields(given, where):
        if name == _S3 and value is not None:
            raise _refused(place, "S3")


def _refused(place: str, storage: str) -> InvalidRequest:
    told = f"{place}: this gateway reads no file in {storage} for you; send the file itself"
    return InvalidRequest(told, param=place)


def _fields(given: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """Each field of each object in it, with its place: those of an object before any within."""
    waiting: list[tuple[Any, str]] = [(given, where)]
    while waiting:
        given, where = waiting.pop()
        if isinstance(given, Mapping):
            inner = [(value, f"{where}.{name}") for name, value in given.items()]
            yield from ((name, *each) for name, each in zip(given, inner, strict=True))
        elif isinstance(given, list):
            inner = [(value, f"{where}[{at}]") for at, value in enumerate(given)]
        else:
            continue
        waiting += reversed(inner)


def _in_bucket(value: str) -> bool:
    return value[:64].lstrip()[: len(_SCHEME)].lower() == _SCHEME
