import ssl

import pytest
from redis.asyncio.connection import parse_url

from gateway.drivers.redis_url import parse_redis_url


@pytest.mark.parametrize(
    ("url", "where", "who", "database"),
    [
        ("redis://", ("localhost", 6379), (None, None), 0),
        ("redis://cache:6380/2", ("cache", 6380), (None, None), 2),
        ("redis://[::1]:6380?db=3", ("::1", 6380), (None, None), 3),
        ("redis://:p%40ss@cache", ("cache", 6379), (None, "p@ss"), 0),
        ("redis://ann:p%2Fw@cache/", ("cache", 6379), ("ann", "p/w"), 0),
        ("unix:///run/a%20b.sock", "/run/a b.sock", (None, None), 0),
        ("unix://ann:pw@/run/s.sock?db=1", "/run/s.sock", ("ann", "pw"), 1),
    ],
)
def test_a_url_means_what_it_means_to_redis_py(
    url: str, where: tuple[str, int] | str, who: tuple[str | None, str | None], database: int
) -> None:
    found = parse_redis_url(url)
    assert (found.path or (found.host, found.port)) == where
    assert (found.user, found.password, found.database) == (*who, database)
    assert found.tls is None
    theirs = parse_url(url)
    assert theirs.get("path") == found.path
    assert theirs.get("host", "localhost") == found.host
    assert theirs.get("port", 6379) == found.port
    assert (theirs.get("username"), theirs.get("password")) == who
    assert theirs.get("db", 0) == database


@pytest.mark.parametrize(
    ("settings", "verify", "hostname"),
    [
        ("", ssl.CERT_REQUIRED, True),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE, False),
        ("?ssl_check_hostname=false", ssl.CERT_REQUIRED, False),
    ],
)
def test_certificates_are_checked_unless_the_url_says_not_to(
    settings: str, verify: ssl.VerifyMode, hostname: bool
) -> None:
    context = parse_redis_url(f"rediss://cache{settings}").tls
    assert context
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://cache", "begins with"),
        ("cache:6379", "begins with"),
        ("redis+cluster://cache", "begins with"),
        ("redis://cache/first", "'first'"),
        ("redis://cache?tiemout=1", "tiemout"),
        ("redis://cache:port", "[Pp]ort"),
        ("unix://", "path"),
    ],
)
def test_a_url_that_is_wrong_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_redis_url(url)
