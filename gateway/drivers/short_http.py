"""Short exchanges with what hands out credentials: token endpoints, and a machine's own metadata.

They block, so they are made in a thread. No proxy, no redirect, nothing from the environment.
"""

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_LONGEST: Final = 1 << 20
_NONE: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """Header names are lower case. Its body may hold a secret, so it is not shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status}, ...)"


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = _NONE,
    body: bytes | None = None,
    timeout_s: float,
) -> Answer:
    """`timeout_s` is for each wait. Raises OSError, whose text may hold the URL."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise OSError("no URL that can be asked")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            read = answer.read(_LONGEST + 1)
            if len(read) > _LONGEST:
                raise OSError("too long an answer")
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, read)
        finally:
            connection.close()
    except (HTTPException, ValueError) as error:
        raise OSError("no HTTP") from error
