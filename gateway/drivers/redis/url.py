"""Parses the URLs of Redis servers, Sentinel services and clusters.

A single server's URL is as in redis-py; for sentinels and clusters there is no common form, so
theirs have a list of hosts:

    redis://, rediss:// (TLS)      [user:password@]host[:port][/db]
    unix://                        [user:password@]/path/of/a.sock
    redis+sentinel://, rediss+...  [user:password@]host[:port],host2[:port],.../service[/db]
    redis+cluster://, rediss+...   [user:password@]host[:port],host2[:port],...

User and password are those of the data servers; sentinels have their own, if any, in
?sentinel_username= and ?sentinel_password=. With rediss, sentinels and servers both use TLS.

Not by redis-py: importing it takes longer than all the rest of the gateway's start.
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
_TLS_VALUES: Final = {
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_SETTINGS: Final = {
    "single": _TLS | {"db"},
    "sentinel": _TLS | {"db", "sentinel_username", "sentinel_password"},
    "cluster": _TLS,
}


class Address(Struct, frozen=True):
    """A unix socket if `path` is set, else a host and port, with TLS or without."""

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
        """The same credentials and TLS, at another server."""
        return replace(self, host=host, port=port)


class RedisTarget(Struct, frozen=True):
    """A parsed URL: `seeds` are the one server, the sentinels, or some nodes of a cluster.

    `server_template` has the credentials and TLS of the data servers, whose host and port the
    sentinels, or the cluster, tell.
    """

    kind: Literal["single", "sentinel", "cluster"]
    seeds: tuple[Address, ...]
    server_template: Address
    service: str = ""


def parse_target(url: str) -> RedisTarget:
    """Any of the URLs above, with settings: ?db=1, and for TLS ssl_ca_certs, ssl_certfile,
    ssl_keyfile (paths), ssl_password (the key's), ssl_cert_reqs=none, ssl_check_hostname=false.

    Raises ValueError, whose message shows no password.
    """
    scheme, _, _ = url.partition("://")
    base, _, kind = scheme.partition("+")
    if base in {"redis", "rediss"} and kind == "sentinel":
        return _sentinel_target(url, base)
    if base in {"redis", "rediss"} and kind == "cluster":
        return _cluster_target(url, base)
    server = parse_redis_url(url)
    return RedisTarget("single", (server,), server)


def parse_redis_url(url: str) -> Address:
    """The URL of one server. Raises ValueError."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(
            "a Redis URL begins with redis://, rediss:// or unix://, or redis+sentinel:// or "
            f"redis+cluster:// and their rediss+ forms{f', not {scheme}://' if separator else ''}"
        )
    parts = urlsplit(url)
    settings = _parse_settings(parts.query, "single")
    path = unquote(parts.path)
    on_socket = scheme == "unix"
    if on_socket and not path:
        raise ValueError("a unix:// URL needs the path of a socket")
    user, password, hosts = _split_userinfo(parts.netloc)
    if "," in hosts:
        raise ValueError(f"{scheme}:// names one host; several are for +sentinel and +cluster")
    host, port = ("localhost", _PORT) if on_socket else _parse_host(hosts, _PORT)
    return Address(
        path=path if on_socket else None,
        host=host,
        port=port,
        user=user,
        password=password,
        database=_parse_database(settings.get("db") or ("" if on_socket else path.strip("/"))),
        tls=_tls_context(settings) if scheme == "rediss" else None,
    )


def _sentinel_target(url: str, base: str) -> RedisTarget:
    netloc, path, query = _split(url)
    settings = _parse_settings(query, "sentinel")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError("a sentinel's URL ends in /service, the name that sentinels know it by")
    user, password, hosts = _split_userinfo(netloc)
    tls = _tls_context(settings) if base == "rediss" else None
    number = _parse_database(settings.get("db") or database)
    server_template = Address(None, "", 0, user, password, number, tls)
    sentinel = Address(
        path=None,
        host="",
        port=0,
        user=settings.get("sentinel_username"),
        password=settings.get("sentinel_password"),
        database=0,
        tls=tls,
    )
    seeds = tuple(sentinel.at(*_parse_host(each, _SENTINEL_PORT)) for each in hosts.split(","))
    return RedisTarget("sentinel", seeds, server_template, unquote(service))


def _cluster_target(url: str, base: str) -> RedisTarget:
    netloc, path, query = _split(url)
    settings = _parse_settings(query, "cluster")
    if path.strip("/") not in {"", "0"}:
        raise ValueError("a Redis cluster has no database but 0")
    user, password, hosts = _split_userinfo(netloc)
    node = Address(
        None, "", 0, user, password, 0, _tls_context(settings) if base == "rediss" else None
    )
    seeds = tuple(node.at(*_parse_host(each, _PORT)) for each in hosts.split(","))
    return RedisTarget("cluster", seeds, node)


def _split(url: str) -> tuple[str, str, str]:
    """Network location, path and query. urlsplit would reject several hosts with ports."""
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("#")[0].partition("?")
    netloc, slash, path = rest.partition("/")
    return netloc, slash + path, query


def _split_userinfo(netloc: str) -> tuple[str | None, str | None, str]:
    userinfo, _, hosts = netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    return unquote(user) or None, unquote(password) or None, hosts


def _parse_host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = unquote(parts.hostname or "localhost"), parts.port or default_port
    except ValueError:
        # Its own message quotes the text, which may be half of a password.
        raise ValueError(
            "a port is a number below 65536, and @ or / in a password is %40 or %2F"
        ) from None
    try:
        host.encode("idna")  # as it is looked up
    except UnicodeError:
        raise ValueError("a host's name has 1 to 63 characters between two dots") from None
    return host, port


def _parse_settings(query: str, kind: str) -> dict[str, str]:
    settings = dict(parse_qsl(query))
    if unknown := settings.keys() - _SETTINGS[kind]:
        raise ValueError(f"unknown in a Redis URL: {', '.join(sorted(unknown))}")
    return settings


def _parse_database(text: str) -> int:
    if not (text or "0").isdecimal():
        raise ValueError(f"a Redis database is a number, not {text!r}")
    return int(text or "0")


def _tls_context(settings: dict[str, str]) -> ssl.SSLContext:
    for name, allowed in _TLS_VALUES.items():
        if name in settings and settings[name].lower() not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    cafile = settings.get("ssl_ca_certs")
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise ValueError(f"ssl_ca_certs: cannot use {cafile}: {error}") from error
    if settings.get("ssl_cert_reqs", "").lower() == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.get("ssl_check_hostname", "").lower() == "false":
        context.check_hostname = False
    if certificate := settings.get("ssl_certfile"):
        # Without one, OpenSSL would prompt for the key's password at the terminal.
        password = settings.get("ssl_password", "")
        try:
            context.load_cert_chain(certificate, settings.get("ssl_keyfile"), password)
        except OSError as error:
            raise ValueError(f"ssl_certfile: cannot use {certificate}: {error}") from error
    return context
