"""Where a Redis server is and who we are there, as redis-py's URLs say it.

Parsed here because importing redis-py takes longer than all the rest of the gateway's start.
"""

import ssl
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

_PORT: Final = 6379
_SETTINGS: Final = frozenset(
    {"db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)


class Address(Struct, frozen=True):
    """A unix socket where there is a `path`, else a host and port, with TLS or without."""

    path: str | None
    host: str
    port: int
    user: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None


def parse_redis_url(url: str) -> Address:
    """redis://, rediss:// or unix://[user:password@]host[:port][/db] or /path, with settings:
    ?db=1, and for TLS ssl_ca_certs, ssl_certfile and ssl_keyfile (paths), ssl_cert_reqs=none,
    ssl_check_hostname=false. Raises ValueError, whose message shows no password.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"a Redis URL begins with redis://, rediss:// or unix://, not {url[:8]!r}")
    settings = dict(parse_qsl(parts.query))
    if unknown := settings.keys() - _SETTINGS:
        raise ValueError(f"unknown in a Redis URL: {', '.join(sorted(unknown))}")
    path = unquote(parts.path)
    on_socket = parts.scheme == "unix"
    if on_socket and not path:
        raise ValueError("a unix:// URL needs the path of a socket")
    database = settings.get("db") or ("" if on_socket else path.strip("/")) or "0"
    if not database.isdecimal():
        raise ValueError(f"a Redis database is a number, not {database!r}")
    return Address(
        path=path if on_socket else None,
        host=unquote(parts.hostname or "localhost"),
        port=parts.port or _PORT,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=int(database),
        tls=_tls(settings) if parts.scheme == "rediss" else None,
    )


def _tls(settings: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.get("ssl_ca_certs"))
    if settings.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.get("ssl_check_hostname", "").lower() == "false":
        context.check_hostname = False
    if certificate := settings.get("ssl_certfile"):
        context.load_cert_chain(certificate, settings.get("ssl_keyfile"))
    return context
