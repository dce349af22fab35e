"""Where Redis is and who we are there.

One server is named as redis-py names it; sentinels and clusters, for which there is no custom that
all share, by a list of hosts:

    redis://, rediss:// (TLS)      [user:password@]host[:port][/db]
    unix://                        [user:password@]/path/of/a.sock
    redis+sentinel://, rediss+...  [user:password@]host[:port],host2[:port],.../service[/db]
    redis+cluster://, rediss+...   [user:password@]host[:port],host2[:port],...

User and password are those of the servers that hold the data; sentinels have their own, if any, in
?sentinel_username= and ?sentinel_password=. With TLS all that is spoken to speaks it.

Parsed here because importing redis-py takes longer than all the rest of the gateway's start.
"""

import ssl
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TLS: Final = frozenset(
    {
        "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile",
        "ssl_password",
    }
)  # fmt: skip
_SETTINGS: Final = {
    "single": _TLS | {"db"},
    "sentinel": _TLS | {"db", "sentinel_username", "sentinel_password"},
    "cluster": _TLS,
}


class Address(Struct, frozen=True):
    """A unix socket where there is a `path`, else a host and port, with TLS or without."""

    path: str | None
    host: str
    port: int
    user: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """Where it is, without a secret."""
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> "Address":
        """As the same user, at another server."""
        return replace(self, host=host, port=port)


class Place(Struct, frozen=True):
    """What a URL names: `first` are the one server, the sentinels, or some nodes of a cluster.

    A sentinel's `service` is found at a host and port that the sentinels know; all else that is
    needed to speak to it is in `served_as`.
    """

    kind: Literal["single", "sentinel", "cluster"]
    first: tuple[Address, ...]
    served_as: Address
    service: str = ""


def parse_place(url: str) -> Place:
    """Any of the URLs above, with settings: ?db=1, and for TLS ssl_ca_certs, ssl_certfile,
    ssl_keyfile (paths), ssl_password (the key's), ssl_cert_reqs=none, ssl_check_hostname=false.

    Raises ValueError, whose message shows no password.
    """
    scheme, _, _ = url.partition("://")
    base, _, kind = scheme.partition("+")
    if base in {"redis", "rediss"} and kind == "sentinel":
        return _sentinels(url, base)
    if base in {"redis", "rediss"} and kind == "cluster":
        return _cluster(url, base)
    server = parse_redis_url(url)
    return Place("single", (server,), server)


def parse_redis_url(url: str) -> Address:
    """The URL of one server. Raises ValueError."""
    scheme, found, _ = url.partition("://")
    if not found or scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(
            "a Redis URL begins with redis://, rediss:// or unix://, or redis+sentinel:// or "
            f"redis+cluster:// and their rediss+ forms{f', not {scheme}://' if found else ''}"
        )
    parts = urlsplit(url)
    settings = _settings(parts.query, "single")
    path = unquote(parts.path)
    on_socket = scheme == "unix"
    if on_socket and not path:
        raise ValueError("a unix:// URL needs the path of a socket")
    user, password, places = _who_and_where(parts.netloc)
    if "," in places:
        raise ValueError(f"{scheme}:// names one host; several are for +sentinel and +cluster")
    host, port = ("localhost", _PORT) if on_socket else _host(places, _PORT)
    return Address(
        path=path if on_socket else None,
        host=host,
        port=port,
        user=user,
        password=password,
        database=_database(settings.get("db") or ("" if on_socket else path.strip("/"))),
        tls=_tls(settings) if scheme == "rediss" else None,
    )


def _sentinels(url: str, base: str) -> Place:
    netloc, path, query = _split(url)
    settings = _settings(query, "sentinel")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError("a sentinel's URL ends in /service, the name that sentinels know it by")
    user, password, places = _who_and_where(netloc)
    tls = _tls(settings) if base == "rediss" else None
    number = _database(settings.get("db") or database)
    server = Address(None, "", 0, user, password, number, tls)
    asked = Address(
        path=None,
        host="",
        port=0,
        user=settings.get("sentinel_username"),
        password=settings.get("sentinel_password"),
        database=0,
        tls=tls,
    )
    first = tuple(asked.at(*_host(each, _SENTINEL_PORT)) for each in places.split(","))
    return Place("sentinel", first, server, unquote(service))


def _cluster(url: str, base: str) -> Place:
    netloc, path, query = _split(url)
    settings = _settings(query, "cluster")
    if path.strip("/") not in {"", "0"}:
        raise ValueError("a Redis cluster has no database but 0")
    user, password, places = _who_and_where(netloc)
    node = Address(None, "", 0, user, password, 0, _tls(settings) if base == "rediss" else None)
    first = tuple(node.at(*_host(each, _PORT)) for each in places.split(","))
    return Place("cluster", first, node)


def _split(url: str) -> tuple[str, str, str]:
    """Several hosts with ports, path and query. The standard library knows only one host."""
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("#")[0].partition("?")
    netloc, slash, path = rest.partition("/")
    return netloc, slash + path, query


def _who_and_where(netloc: str) -> tuple[str | None, str | None, str]:
    who, _, places = netloc.rpartition("@")
    user, _, password = who.partition(":")
    return unquote(user) or None, unquote(password) or None, places


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        return unquote(parts.hostname or "localhost"), parts.port or port
    except ValueError:
        # Its own words would show what stands there, which may be a half of a password.
        raise ValueError(
            "a port is a number below 65536, and @ or / in a password is %40 or %2F"
        ) from None


def _settings(query: str, kind: str) -> dict[str, str]:
    settings = dict(parse_qsl(query))
    if unknown := settings.keys() - _SETTINGS[kind]:
        raise ValueError(f"unknown in a Redis URL: {', '.join(sorted(unknown))}")
    return settings


def _database(text: str) -> int:
    if not (text or "0").isdecimal():
        raise ValueError(f"a Redis database is a number, not {text!r}")
    return int(text or "0")


def _tls(settings: dict[str, str]) -> ssl.SSLContext:
    authorities = settings.get("ssl_ca_certs")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise ValueError(f"ssl_ca_certs: cannot use {authorities}: {error}") from error
    if settings.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.get("ssl_check_hostname", "").lower() == "false":
        context.check_hostname = False
    if certificate := settings.get("ssl_certfile"):
        # Without a password the key's would be asked for at the terminal.
        password = settings.get("ssl_password", "")
        try:
            context.load_cert_chain(certificate, settings.get("ssl_keyfile"), password)
        except OSError as error:
            raise ValueError(f"ssl_certfile: cannot use {certificate}: {error}") from error
    return context
