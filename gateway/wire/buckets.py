"""References to files in cloud storage, and to data stores, are refused. Google and AWS read them
with the gateway's own credentials, so a tenant could read whatever our account can.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

ALLOWED: Final = "gs_uris"
"""The quirk that allows Google's, for a provider whose account every tenant may read with."""
S3_ALLOWED: Final = "s3_uris"
"""The same for AWS's."""
_SCHEME: Final = "gs://"
_NAMES: Final = frozenset({
    "file_data", "file_id", "fileUri", "file_uri", "image_url", "url", "video_url",
})  # fmt: skip
"""Fields of OpenAI's parts and of Google's own that may hold a file's URI."""
_STORES: Final = ("fileSearch", "retrieval")
"""Google's tools that search the account's own data."""
_S3: Final = "s3Location"
"""The field of Converse's blocks that holds one."""


def refuse_buckets(messages: Any) -> None:
    """Raises InvalidRequest for the first gs:// URI at any depth of the messages."""
    for name, value, place in _fields(messages, "messages"):
        if name in _NAMES and isinstance(value, str) and _in_bucket(value):
            raise _refusal(place, "Google Cloud Storage")


def refuse_stores(tools: Any) -> None:
    """Raises InvalidRequest for the first of Google's tools that searches a data store."""
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        for name in _STORES:
            if isinstance(tool, Mapping) and tool.get(name) is not None:
                place = f"tools[{at}].{name}"
                message = f"{place}: this gateway searches no data at Google for you"
                raise InvalidRequest(message, param=place)


def refuse_s3(value: Any, where: str) -> None:
    """The same for S3 locations in any field; `where` is its name."""
    for name, inner, place in _fields(value, where):
        if name == _S3 and inner is not None:
            raise _refusal(place, "S3")


def _refusal(place: str, storage: str) -> InvalidRequest:
    message = f"{place}: this gateway reads no file in {storage} for you; send the file itself"
    return InvalidRequest(message, param=place)


def _fields(root: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """Name, value and place of each field at any depth; an object's own before those within."""
    pending: list[tuple[Any, str]] = [(root, where)]
    while pending:
        node, where = pending.pop()
        if isinstance(node, Mapping):
            children = [(value, f"{where}.{name}") for name, value in node.items()]
            yield from ((name, *child) for name, child in zip(node, children, strict=True))
        elif isinstance(node, list):
            children = [(value, f"{where}[{at}]") for at, value in enumerate(node)]
        else:
            continue
        pending += reversed(children)


def _in_bucket(value: str) -> bool:
    return value[:64].lstrip()[: len(_SCHEME)].lower() == _SCHEME
