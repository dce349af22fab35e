"""Checks whether a Redis server is configured safely enough to keep budgets.

Each finding says what was found, what is expected, and why. With an `unsafe` one, spending can be
lost or refused; a `warning` could not be checked, or does no harm yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.drivers.redis.servers import Redis, open_redis
from gateway.drivers.redis.wire import RedisError, encode

_MIN_VERSION: Final = (6, 2)
_INFO: Final = encode("INFO", "all")
_FSYNC: Final = encode("CONFIG", "GET", "appendfsync")
_REPLICAS: Final = encode("CONFIG", "GET", "min-replicas-to-write")
_CLUSTER: Final = encode("CLUSTER", "INFO")


class Finding(Struct, frozen=True):
    """`server` is an address. `severity`: see above. `wanted` is "" where nothing was found."""

    server: str
    name: str
    found: str
    wanted: str
    why: str
    severity: Literal["unsafe", "warning"]

    def __str__(self) -> str:
        if not self.wanted:
            return self.message
        return f"{self.name} is {self.found} at {self.server}, wanted: {self.wanted}; {self.why}"

    @property
    def message(self) -> str:
        """What was found, and why it matters."""
        if not self.wanted:
            return f"{self.name}{self.server and f' of {self.server}'} {self.why}"
        return f"{self.name} is {self.found} at {self.server}: {self.why}"


async def inspect_redis(redis: Redis) -> tuple[Finding, ...]:
    """The findings for each server that accepts writes. Raises RedisError when one cannot be
    reached.
    """
    findings: list[Finding] = []
    try:
        replies = await redis.everywhere(_INFO)
    except RedisError as error:
        if error.kind not in {"noperm", "other"}:
            raise
        return (_unverified("", "INFO", error),)
    policies = await _answer_or_error(redis, _FSYNC)
    for server, text in replies:
        info = _parse_info(text)
        findings += _check_info(server, info)
        policy = policies.get(server) if isinstance(policies, dict) else None
        if isinstance(policies, RedisError):
            findings.append(_unverified(server, "appendfsync", policies))
        elif info.get("aof_enabled") == "1" and policy and policy[1] == b"no":
            why = "a power failure loses what the system has not written, about half a minute"
            findings.append(_finding(server, "appendfsync", "no", "everysec", why, "warning"))
        if int(info.get("connected_slaves", "0")) and await _writes_unreplicated(redis, server):
            # Measured with an ordered failover under 4,000 writes a second: 3,100 lost, or none.
            why = "at a failover it answers, for about a second, writes that are then forgotten"
            name = "min-replicas-to-write"
            findings.append(_finding(server, name, "0", "1, of two replicas", why, "warning"))
        if info.get("cluster_enabled") == "1":
            findings += await _check_cluster(redis, server, len(replies))
    return tuple(findings)


async def inspect_url(url: str, timeout_s: float) -> tuple[Finding, ...]:
    """The same for a URL. A server that cannot be reached is a warning. Raises LedgerDown for an
    invalid URL.
    """
    redis = open_redis(url, timeout_s=timeout_s)
    try:
        return await inspect_redis(redis)
    except RedisError as error:
        return (_unverified("", "Redis", error),)
    finally:
        await redis.aclose()


def refusal(findings: tuple[Finding, ...], on_unsafe: str) -> str | None:
    """Why not to start, if that is wanted (see core.snapshot.ON_UNSAFE)."""
    unsafe = [str(each) for each in findings if each.severity == "unsafe"]
    return "; ".join(unsafe) if unsafe and on_unsafe == "refuse" else None


async def _writes_unreplicated(redis: Redis, server: str) -> bool:
    reply = await _answer_or_error(redis, _REPLICAS)
    return isinstance(reply, dict) and reply[server] == [b"min-replicas-to-write", b"0"]


async def _answer_or_error(redis: Redis, command: bytes) -> dict[str, Any] | RedisError:
    try:
        return dict(await redis.everywhere(command))
    except RedisError as error:
        return error


def _parse_info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _check_info(server: str, info: Mapping[str, str]) -> Iterator[Finding]:
    version = info.get("redis_version", "")
    if _version_tuple(version) < _MIN_VERSION:
        why = "on an older one the ledger's scripts fail (SET with PXAT): every request is a 503"
        wanted = "Redis 6.2 or newer, or Valkey"
        yield _finding(server, "version", version or "not told", wanted, why)
    if info.get("role", "master") != "master":
        why = "it takes no writes: name the master, or redis+sentinel://"
        yield _finding(server, "role", info["role"], "master", why)
    if info.get("aof_enabled") != "1":
        why = "a restart forgets what was spent since the last snapshot, if there is one"
        yield _finding(server, "appendonly", "no", "yes", why)
    elif info.get("aof_last_write_status", "ok") != "ok":
        why = "it refuses writes until its disk takes them again"
        yield _finding(server, "aof_last_write_status", info["aof_last_write_status"], "ok", why)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        bounded = info.get("maxmemory", "0") != "0"
        why = (
            "when memory is full it forgets budgets"
            if bounded
            else "with a maxmemory it would forget budgets"
        )
        severity: Literal["unsafe", "warning"] = "unsafe" if bounded else "warning"
        yield _finding(server, "maxmemory-policy", policy, "noeviction", why, severity)


async def _check_cluster(redis: Redis, server: str, masters: int) -> list[Finding]:
    """Whether all slots are served, and whether we are connected to all masters."""
    reply = await _answer_or_error(redis, _CLUSTER)
    if isinstance(reply, RedisError):
        return [_unverified(server, "CLUSTER INFO", reply)]
    info = _parse_info(reply[server])
    findings: list[Finding] = []
    if info.get("cluster_state") != "ok":
        why = "homes in slots that no node serves cannot spend"
        findings.append(
            _finding(server, "cluster_state", info.get("cluster_state", "?"), "ok", why)
        )
    if int(info.get("cluster_size", "1")) > masters:
        why = "it has only a part of the slots: name the nodes by redis+cluster://"
        findings.append(_finding(server, "cluster_enabled", "yes", "no, or +cluster", why))
    return findings


def _unverified(server: str, name: str, error: RedisError) -> Finding:
    why = f"could not be looked at ({error.kind}): {error}"
    return _finding(server, name, "unknown", "", why, "warning")


def _finding(
    server: str,
    name: str,
    found: str,
    wanted: str,
    why: str,
    severity: Literal["unsafe", "warning"] = "unsafe",
) -> Finding:
    return Finding(server, name, found, wanted, why, severity)


def _version_tuple(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
