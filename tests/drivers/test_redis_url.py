import ssl

import pytest
from redis.asyncio.connection import parse_url

from gateway.drivers.redis.url import parse_redis_url, parse_target


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
        ("?ssl_cert_reqs=required", ssl.CERT_REQUIRED, True),
        ("?ssl_check_hostname=false", ssl.CERT_REQUIRED, False),
        ("?ssl_check_hostname=True", ssl.CERT_REQUIRED, True),
    ],
)
def test_certificates_are_checked_unless_the_url_says_not_to(
    settings: str, verify: ssl.VerifyMode, hostname: bool
) -> None:
    context = parse_redis_url(f"rediss://cache{settings}").tls
    assert context
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


@pytest.mark.parametrize(
    ("url", "kind", "first", "service"),
    [
        ("redis://one:1", "single", ["one:1"], ""),
        ("unix:///run/s.sock", "single", ["/run/s.sock"], ""),
        ("redis+sentinel://one/money", "sentinel", ["one:26379"], "money"),
        ("redis+sentinel://a:1,b,[::1]:3/a%20b", "sentinel", ["a:1", "b:26379", "::1:3"], "a b"),
        ("redis+cluster://one,two:2/", "cluster", ["one:6379", "two:2"], ""),
        ("redis+cluster://[::1]:3/0", "cluster", ["::1:3"], ""),
    ],
)  # fmt: skip
def test_what_is_asked_first(url: str, kind: str, first: list[str], service: str) -> None:
    place = parse_target(url)
    assert (place.kind, [str(each) for each in place.seeds], place.service) == (
        kind, first, service,
    )  # fmt: skip


def test_who_we_are_at_sentinels_and_at_the_master() -> None:
    url = "redis+sentinel://ann:p%2Fw@a,b/money/2?sentinel_username=eye&sentinel_password=g%40s"
    place = parse_target(url)
    server = place.server_template.at("10.0.0.1", 7)
    assert (server.user, server.password, server.database) == ("ann", "p/w", 2)
    assert str(server) == "10.0.0.1:7"
    for asked in place.seeds:
        assert (asked.user, asked.password, asked.database) == ("eye", "g@s", 0)
    without = parse_target("redis+sentinel://ann:pw@a/money")
    assert (without.seeds[0].user, without.seeds[0].password) == (None, None)


def test_who_we_are_at_each_node_of_a_cluster() -> None:
    place = parse_target("redis+cluster://ann:pw@a,b")
    assert {(each.user, each.password) for each in (place.server_template, *place.seeds)} == {
        ("ann", "pw")
    }


def test_with_tls_all_speak_it() -> None:
    for url in ("rediss+sentinel://a,b/money", "rediss+cluster://a,b", "rediss://a"):
        place = parse_target(url)
        assert all(each.tls for each in (place.server_template, *place.seeds)), url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://cache", "begins with"),
        ("cache:6379", "begins with"),
        ("redis+other://cache", "begins with"),
        ("unix+cluster://cache", "begins with"),
        ("redis://one,two", "one host"),
        ("redis+sentinel://cache", "/service"),
        ("redis+sentinel://cache/money/first", "'first'"),
        ("redis+sentinel://cache/money?tiemout=1", "tiemout"),
        ("redis+sentinel://cache:99999/money", "a port is"),
        ("redis+cluster://cache/1", "no database but 0"),
        ("redis+cluster://cache?db=1", "db"),
        ("redis://cache/first", "'first'"),
        ("redis://cache?tiemout=1", "tiemout"),
        ("redis://cache:port", "a port is"),
        ("unix://", "path"),
        ("redis://a..b", "1 to 63 characters"),
        ("redis+sentinel://a,%C3%A9..b/money", "1 to 63 characters"),
        (f"redis+cluster://{'h' * 70}.example", "1 to 63 characters"),
        ("rediss://a?ssl_cert_reqs=banana", "ssl_cert_reqs must be one of none, optional, req"),
        ("rediss://a?ssl_check_hostname=no", "ssl_check_hostname must be one of true, false"),
    ],
)
def test_a_url_that_is_wrong_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:secret/word@cache",
        "redis+sentinel://ann:secret/word@cache/money",
        "redis+cluster://:secret/word@cache",
        "redis://:secret@cache?db=word",
        "rediss://:secret@cache?ssl_ca_certs=/none",
        ":secret@cache",
    ],
)
def test_a_fault_shows_no_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_target(url)
    assert "secret" not in str(caught.value)
