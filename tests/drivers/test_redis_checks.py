"""What is said of servers that would lose money, or cannot be asked."""

from pathlib import Path

import pytest

from gateway.drivers.redis.checks import Finding, inspect_redis, inspect_url, refusal
from gateway.drivers.redis.servers import open_redis
from tests.drivers.redis_fleet import Server, cluster, pretended, running, said
from tests.ports import free_port

Told = list[tuple[str, str, str]]
"""Name, what was found, and how bad it is."""

PASSED = (
    "redis_version:7.0.0\r\nrole:master\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"
    "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
)


def short(findings: tuple[Finding, ...]) -> Told:
    return [(each.name, each.found, each.severity) for each in findings]


async def told(url: str) -> Told:
    return short(await inspect_url(url, 5))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"appendonly": "yes"}, []),
        ({"appendonly": "yes", "appendfsync": "always"}, []),
        ({"appendonly": "yes", "appendfsync": "no"}, [("appendfsync", "no", "warning")]),
        ({}, [("appendonly", "no", "unsafe")]),
        (
            {"appendonly": "yes", "maxmemory_policy": "allkeys-lru"},
            [("maxmemory-policy", "allkeys-lru", "warning")],
        ),
        (
            {"appendonly": "yes", "maxmemory_policy": "volatile-ttl", "maxmemory": "100mb"},
            [("maxmemory-policy", "volatile-ttl", "unsafe")],
        ),
        (
            {"appendonly": "yes", "replicaof": "127.0.0.1 1"},
            [("role", "slave", "unsafe")],
        ),
    ],
)
async def test_a_server(tmp_path: Path, settings: dict[str, str], wanted: Told) -> None:
    server = Server(tmp_path, **settings)
    async with running(server):
        assert await told(server.url) == wanted


@pytest.mark.parametrize(
    ("info", "wanted"),
    [
        (PASSED, []),
        (PASSED.replace("7.0.0", "6.2.14"), []),
        (PASSED.replace("7.0.0", "6.0.16"), [("version", "6.0.16", "unsafe")]),
        (PASSED.replace("7.0.0", "next"), [("version", "next", "unsafe")]),
        (PASSED.replace("status:ok", "status:err"), [("aof_last_write_status", "err", "unsafe")]),
        ("", [("version", "not told", "unsafe"), ("appendonly", "no", "unsafe")]),
    ],
)
async def test_what_a_server_says_of_itself(info: str, wanted: Told) -> None:
    def answer(command: list[bytes]) -> bytes:
        if command[0] == b"INFO":
            return f"${len(info)}\r\n{info}\r\n".encode()
        return b"*2\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n"

    async with pretended(answer) as place:
        assert await told(f"redis://{place}") == wanted


async def test_a_server_that_is_too_old_says_what_is_needed() -> None:
    def answer(command: list[bytes]) -> bytes:
        old = PASSED.replace("7.0.0", "6.0.16")
        return f"${len(old)}\r\n{old}\r\n".encode() if command[0] == b"INFO" else b"*0\r\n"

    async with pretended(answer) as place:
        findings = await inspect_url(f"redis://{place}", 5)
    why = (
        f"version is 6.0.16 at {place}, wanted: Redis 6.2 or newer, or Valkey; on an older "
        "one the ledger's scripts fail (SET with PXAT): every request is a 503"
    )
    assert [*map(str, findings)] == [why]
    assert (refusal(findings, "refuse"), refusal(findings, "warn")) == (why, None)


async def test_what_may_not_be_asked_is_a_warning(tmp_path: Path) -> None:
    server = Server(tmp_path, appendonly="yes")
    async with running(server):
        rights = ("on", ">pw", "~tg:*", "+@all", "-config")
        await server.ask("ACL", "SETUSER", "ann", *rights)
        await server.ask("ACL", "SETUSER", "bob", *rights, "-info")
        ann = server.url.replace("redis://", "redis://ann:pw@")
        assert await told(ann) == [("appendfsync", "unknown", "warning")]
        bob = server.url.replace("redis://", "redis://bob:pw@")
        assert await told(bob) == [("INFO", "unknown", "warning")]


async def test_a_server_out_of_reach_is_a_warning() -> None:
    place = f"127.0.0.1:{free_port()}"
    findings = await inspect_url(f"redis://{place}", 5)
    assert short(findings) == [("Redis", "unknown", "warning")]
    (line,) = map(str, findings)
    begins = f"Redis could not be looked at (unreachable): cannot connect to {place}: "
    assert line.startswith(begins)
    assert findings[0].message == line


async def test_a_master_that_does_not_mind_its_replicas(tmp_path: Path) -> None:
    master = Server(tmp_path / "master", appendonly="yes", repl_diskless_sync_delay=0)
    replica = Server(tmp_path / "replica", replicaof=f"127.0.0.1 {master.port}")
    async with running(master, replica):
        await said(replica, ("INFO", "replication"), "master_link_status:up")
        assert await told(master.url) == [("min-replicas-to-write", "0", "warning")]
        await master.ask("CONFIG", "SET", "min-replicas-to-write", 1)
        assert await told(master.url) == []


async def test_a_cluster(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as nodes:
        both = await inspect_url(f"redis+cluster://127.0.0.1:{nodes[0].port}", 5)
        assert short(both) == [("appendonly", "no", "unsafe")] * 2
        places = {f"127.0.0.1:{node.port}" for node in nodes}
        assert {each.server for each in both} == places
        for node in nodes:
            await node.ask("CONFIG", "SET", "appendonly", "yes")
        assert await told(f"redis+cluster://127.0.0.1:{nodes[1].port}") == []
        assert await told(nodes[0].url) == [("cluster_enabled", "yes", "unsafe")]


async def test_a_cluster_that_lacks_slots(tmp_path: Path) -> None:
    async with cluster(tmp_path, 1) as (node,):
        await node.ask("CONFIG", "SET", "appendonly", "yes")
        await node.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        await node.ask("CLUSTER", "DELSLOTS", 16_383)
        await said(node, ("CLUSTER", "INFO"), "cluster_state:fail")
        url = f"redis+cluster://127.0.0.1:{node.port}"
        assert await told(url) == [("cluster_state", "fail", "unsafe")]


async def test_to_start_or_not(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with running(server):
        redis = open_redis(server.url, timeout_s=5)
        findings = await inspect_redis(redis)
        await redis.aclose()
    assert refusal(findings, "warn") is None
    assert refusal((), "refuse") is None
    assert refusal(findings, "refuse") == (
        f"appendonly is no at 127.0.0.1:{server.port}, wanted: yes; "
        "a restart forgets what was spent since the last snapshot, if there is one"
    )
