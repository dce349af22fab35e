"""Blocking HTTP for short exchanges: token endpoints, a machine's own metadata, webhooks.

Call it in a thread. No redirects, no proxy but one that is passed in, nothing from the environment.
"""

import errno
from collections.abc import Mapping
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.core.errors import Unreachable
from gateway.core.snapshot import Provider
from gateway.drivers.upstream.http_pool import tls_context
from gateway.drivers.upstream.http_request import Origin
from gateway.drivers.upstream.http_tunnel import Proxy, dial_blocking
from gateway.drivers.upstream.tls_within import wrap_tls

_MAX_BODY: Final = 1 << 20
_NONE: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """Header names are lower case. Its body may hold a secret, so it is not shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status}, ...)"


def open_connection(
    host: str, port: int, timeout_s: float, *, secure: bool, proxy: Proxy | None = None
) -> HTTPConnection:
    """`timeout_s` is for each read or write. Raises OSError, and for the proxy Unreachable, whose
    text may be shown.
    """
    tls = tls_context() if secure else None
    if tls is None:
        connection = HTTPConnection(host, port, timeout=timeout_s)
    else:
        connection = HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    try:
        if proxy is None:
            connection.connect()
        else:
            sock = dial_blocking(host, port, proxy, timeout_s)
            connection.sock = sock if tls is None else wrap_tls(sock, tls, host)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "the host cannot be a name") from error
    return connection


def connect_to_provider(provider: Provider, timeout_s: float) -> HTTPConnection:
    """Connects as calls to this provider do. Raises what `open_connection` does."""
    origin = Origin(provider.base_url)
    proxy = Proxy(provider.proxy) if provider.proxy else None
    return open_connection(origin.host, origin.port, timeout_s, secure=origin.tls, proxy=proxy)


def send_request(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = _NONE,
    body: bytes | None = None,
    timeout_s: float,
    proxy: Proxy | None = None,
    max_body: int = _MAX_BODY,
) -> Answer:
    """`timeout_s` is for each read or write. With a `max_body` of 0 the answer's body is not read.
    Raises OSError, whose text may contain the URL.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise OSError("no URL that can be asked")
        secure = parts.scheme == "https"
        port = parts.port or (HTTPS_PORT if secure else HTTP_PORT)
        connection = open_connection(parts.hostname, port, timeout_s, secure=secure, proxy=proxy)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read(max_body + 1) if max_body else b""
            if len(content) > max_body:
                raise OSError("too long an answer")
            answer_headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer_headers, content)
        finally:
            connection.close()
    except OSError:  # a certificate that is not trusted is a ValueError, too
        raise
    except (HTTPException, ValueError) as error:
        raise OSError("no HTTP") from error
    except Unreachable as error:
        raise OSError(str(error)) from error
