"""References to files in Google Cloud Storage (gs://) are refused. Google reads them with the
gateway's own credentials, so a tenant could read whatever our account can.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import InvalidRequest

ALLOWED: Final = "gs_uris"
"""The quirk that allows them, for a provider whose account every tenant may read with."""
_SCHEME: Final = "gs://"
_NAMES: Final = frozenset({
    "file_data", "file_id", "fileUri", "file_uri", "image_url", "url", "video_url",
})  # fmt: skip
"""Fields of OpenAI's parts and of Google's own that may hold a file's URI."""


def refuse_buckets(messages: Any) -> None:
    """Raises InvalidRequest for the first gs:// URI at any depth of the messages."""
    pending: list[tuple[Any, str]] = [(messages, "messages")]
    while pending:
        node, where = pending.pop()
        if isinstance(node, Mapping):
            for name, value in node.items():
                if name in _NAMES and isinstance(value, str) and _in_bucket(value):
                    place = f"{where}.{name}"
                    problem = f"{place}: this gateway reads no file in Google Cloud Storage for you"
                    raise InvalidRequest(f"{problem}; send the file itself", param=place)
            children = [(value, f"{where}.{name}") for name, value in node.items()]
        elif isinstance(node, list):
            children = [(value, f"{where}[{at}]") for at, value in enumerate(node)]
        else:
            continue
        pending += reversed(children)


def _in_bucket(value: str) -> bool:
    return value[:64].lstrip()[: len(_SCHEME)].lower() == _SCHEME
