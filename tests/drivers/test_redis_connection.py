import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hiredis import ReplyError

from gateway.drivers.redis import wire as redis_wire
from gateway.drivers.redis.connection import RedisConnection, RedisError, encode
from gateway.drivers.redis.embedded import EmbeddedRedis
from gateway.drivers.redis.url import Address
from tests.in_time import at_once, in_time
from tests.patience import PATIENT_S, limit

pytest_plugins = ("tests.redis_server",)

Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def connected(
    url: str, *, timeout_s: float = PATIENT_S, probe_s: float = 1, greeting: Sequence[bytes] = ()
) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(url, timeout_s=timeout_s, probe_s=probe_s, greeting=greeting)
    try:
        yield connection
    finally:
        await connection.aclose()


@asynccontextmanager
async def pretender(path: Path, answer: Answer) -> AsyncIterator[list[bytes]]:
    """A server that says to each read what it is told to; gives what it has read."""
    heard: list[bytes] = []
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with suppress(OSError):
            while (data := await reader.read(65_536)) and (said := answer(data)):
                heard.append(data)
                writer.write(said)
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_unix_server(serve, path):
        yield heard
        await asyncio.gather(*(task for task in serving if task))


async def kind(connection: RedisConnection, *parts: str) -> str:
    with pytest.raises(RedisError) as caught:
        await connection.call(encode(*parts))
    return caught.value.kind


async def test_calls_of_one_tick_travel_together_and_each_gets_its_own_answer(
    tmp_path: Path,
) -> None:
    def count(data: bytes) -> bytes:
        return b"".join(b":%d\r\n" % number for number in range(data.count(b"PING")))

    async with (
        pretender(tmp_path / "s", count) as heard,
        connected(f"unix://{tmp_path}/s") as connection,
    ):
        for _ in range(2):  # once while connecting, once connected
            calls = [connection.call(encode("PING")) for _ in range(100)]
            assert await asyncio.gather(*calls) == [*range(100)]
        assert len(heard) == 2


async def test_a_call_given_up_does_not_shift_the_answers(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        calls = [connection.call(encode("ECHO", f"{number}")) for number in range(5)]
        calls[1].cancel()
        await asyncio.wait(calls)
        calls += [connection.call(encode("ECHO", "last"))]
        await asyncio.wait(calls)
        assert [call.result() for call in calls if not call.cancelled()] == [
            b"0", b"2", b"3", b"4", b"last",
        ]  # fmt: skip


class Fails:
    """An answer that is not taken."""

    def set_result(self, _: object) -> None:
        raise ZeroDivisionError("result")

    def set_exception(self, _: object) -> None:
        raise ZeroDivisionError("exception")


async def test_who_fails_at_an_answer_is_told_and_the_others_get_theirs(
    shared_redis: EmbeddedRedis,
) -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, about: told.append(str(about["exception"])))
    async with connected(shared_redis.url) as connection:
        for _ in range(2):  # once while connecting, once connected
            connection.send(encode("ECHO", "lost"), Fails())
            connection.send(encode("NONSENSE"), Fails())
            assert await connection.call(encode("ECHO", "heard")) == b"heard"
        connection.drop()
        connection.send(encode("PING"), Fails())
    connection.send(encode("PING"), Fails())
    assert told == ["result", "exception"] * 2 + ["exception"] * 2


async def test_an_error_reply_is_of_its_own_call_only(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        results = await asyncio.gather(
            connection.call(encode("PING")),
            connection.call(encode("EVALSHA", "0" * 40, 0)),
            connection.call(encode("NONSENSE")),
            connection.call(encode("PING")),
            return_exceptions=True,
        )
        kinds = [getattr(result, "kind", result) for result in results]
        assert kinds == [b"PONG", "noscript", "other", b"PONG"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("WRONGTYPE Operation against a key", "wrongtype"),
        ("ERR Error running script (call to f_1): @user_script:3: WRONGTYPE Oper", "wrongtype"),
        ("OOM command not allowed when used memory > 'maxmemory'", "oom"),
        ("READONLY You can't write against a read only replica.", "readonly"),
        ("ERR Script attempted to access a non local key in a cluster node", "tryagain"),
        ("ERR unknown command", "other"),
    ],
)
def test_the_kind_of_an_error_reply(text: str, found: str) -> None:
    assert redis_wire.to_redis_error(ReplyError(text)).kind == found


async def test_a_lost_connection_fails_its_calls_and_the_next_call_makes_another(
    tmp_path: Path,
) -> None:
    answers = iter([b"+PONG\r\n", b"", b"+PONG\r\n"])
    async with (
        pretender(tmp_path / "s", lambda _: next(answers)),
        connected(f"unix://{tmp_path}/s") as connection,
    ):
        assert await connection.call(encode("PING")) == b"PONG"
        assert await kind(connection, "PING") == "lost"
        assert await connection.call(encode("PING")) == b"PONG"


async def test_what_is_no_redis_server_is_hung_up_on(tmp_path: Path) -> None:
    async with (
        pretender(tmp_path / "s", lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        connected(f"unix://{tmp_path}/s") as connection,
    ):
        assert await kind(connection, "PING") == "protocol"


async def test_a_greeting_that_nobody_understands_fails_the_calls_that_wait(tmp_path: Path) -> None:
    """And those that come then connect anew: none waits for an answer that never comes."""
    understood: list[int] = []
    async with pretender(tmp_path / "s", lambda _: b":1\r\n"):
        connection = RedisConnection(
            f"unix://{tmp_path}/s", timeout_s=PATIENT_S, greeting=[encode("TIME")],
            greeted=lambda answers: understood.append(int(answers[0][0])),
        )  # fmt: skip
        async with asyncio.timeout(PATIENT_S / 2):
            assert [await kind(connection, "PING") for _ in range(3)] == ["protocol"] * 3
        assert understood == []
        await connection.aclose()


async def test_an_answer_nobody_asked_for_ends_the_connection(tmp_path: Path) -> None:
    answers = iter([b"+one\r\n+stray\r\n", b"+two\r\n"])
    async with (
        pretender(tmp_path / "s", lambda _: next(answers)),
        connected(f"unix://{tmp_path}/s") as connection,
    ):
        assert await connection.call(encode("PING")) == b"one"
        assert await connection.call(encode("PING")) == b"two"


async def test_whether_a_failed_command_may_have_been_executed(tmp_path: Path) -> None:
    async with connected(f"unix://{tmp_path}/none") as connection:
        with pytest.raises(RedisError) as caught:
            await connection.call(encode("PING"))
        assert (caught.value.kind, caught.value.sent) == ("unreachable", False)
    async with (
        pretender(tmp_path / "s", lambda _: b""),
        connected(f"unix://{tmp_path}/s") as connection,
    ):
        with pytest.raises(RedisError) as caught:
            await connection.call(encode("PING"))
        assert (caught.value.kind, caught.value.sent) == ("lost", True)


@pytest.mark.parametrize("host", ["a..b", "h" * 70, "a\0b"])
async def test_a_host_that_no_resolver_takes_is_unreachable(host: str) -> None:
    """Sentinels and nodes of a cluster may name any."""
    server = Address(None, host, 1, None, None, 0, None)
    connection = RedisConnection(server, timeout_s=PATIENT_S, probe_s=0.001)
    async with asyncio.timeout(PATIENT_S):
        assert [await kind(connection, "PING") for _ in range(3)] == ["unreachable"] * 3
        await connection.aclose()


async def test_after_three_failures_calls_fail_at_once_until_a_probe_gets_through(
    tmp_path: Path,
) -> None:
    async with connected(f"unix://{tmp_path}/s", probe_s=0.02) as connection:
        kinds = [await kind(connection, "PING") for _ in range(4)]
        assert kinds == ["unreachable"] * 3 + ["open"]
        async with pretender(tmp_path / "s", lambda _: b"+PONG\r\n"):
            async with asyncio.timeout(PATIENT_S):
                while not connection.is_open:
                    await asyncio.sleep(0.01)
            assert await connection.call(encode("PING")) == b"PONG"
            await connection.aclose()


@pytest.mark.parametrize("connected_before", [True, False])
async def test_a_server_that_hangs_is_waited_for_once_then_not_at_all(
    own_redis: EmbeddedRedis, connected_before: bool
) -> None:
    async with connected(own_redis.url) as connection:
        if connected_before:
            assert await connection.call(encode("PING")) == b"PONG"
        assert own_redis.pid
        os.kill(own_redis.pid, signal.SIGSTOP)
        limit(connection, 0.25)
        assert await in_time(0.3, kind(connection, "PING")) == "timeout"
        assert [at_once(kind(connection, "PING")) for _ in range(100)] == ["open"] * 100
        os.kill(own_redis.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENT_S):
            while not connection.is_open:
                await asyncio.sleep(0.01)
        limit(connection, PATIENT_S)
        assert await connection.call(encode("PING")) == b"PONG"


async def test_a_server_that_stumbled_is_used_again_at_once(own_redis: EmbeddedRedis) -> None:
    async with connected(own_redis.url, timeout_s=0.25, probe_s=1_000) as connection:
        assert own_redis.pid
        os.kill(own_redis.pid, signal.SIGSTOP)
        assert await kind(connection, "PING") == "timeout"
        limit(connection, PATIENT_S)  # for the one probe that comes at once
        os.kill(own_redis.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENT_S):
            while not connection.is_open:
                await asyncio.sleep(0.001)
        assert await connection.call(encode("PING")) == b"PONG"


async def test_a_master_become_a_replica_is_left_when_all_its_answers_are_heard(
    own_redis: EmbeddedRedis,
) -> None:
    async with connected(own_redis.url) as connection, connected(own_redis.url) as admin:
        first = await connection.call(encode("CLIENT", "ID"))
        await admin.call(encode("REPLICAOF", "127.0.0.1", "1"))
        calls = [connection.call(encode(*each)) for each in (["INCR", "n"], ["ECHO", "a"])]
        refusal, echo = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(refusal, RedisError)
        assert (refusal.kind, refusal.sent, echo) == ("readonly", False, b"a")
        await admin.call(encode("REPLICAOF", "NO", "ONE"))
        assert await connection.call(encode("CLIENT", "ID")) > first, "another connection"
        assert await connection.call(encode("INCR", "n")) == 1


async def test_a_closed_connection_stays_closed(shared_redis: EmbeddedRedis) -> None:
    async with connected(shared_redis.url) as connection:
        assert await connection.call(encode("PING")) == b"PONG"
    assert await kind(connection, "PING") == "closed"


async def test_user_password_and_database_come_from_the_url(own_redis: EmbeddedRedis) -> None:
    async with connected(own_redis.url) as admin:
        rights = ("on", ">p w/d", "~*", "&*", "+@all")
        await admin.call(encode("ACL", "SETUSER", "ann", *rights))
        await admin.call(encode("CONFIG", "SET", "requirepass", "all"))
    for wrong in ("", "ann:nope@"):
        async with connected(own_redis.url.replace("unix://", f"unix://{wrong}")) as connection:
            assert await kind(connection, "GET", "x") in {"noauth", "wrongpass"}
    user = own_redis.url.replace("unix://", "unix://ann:p%20w%2Fd@")
    async with connected(user) as connection:
        assert await connection.call(encode("ACL", "WHOAMI")) == b"ann"
    async with connected(own_redis.url.replace("unix://", "unix://:all@")) as connection:
        assert await connection.call(encode("ACL", "WHOAMI")) == b"default"
    async with connected(f"{user}?db=1") as connection:  # the embedded server has only one
        assert await kind(connection, "PING") == "other"


async def test_a_server_on_tcp(own_redis: EmbeddedRedis, unused_port: int) -> None:
    async with connected(own_redis.url) as admin:
        await admin.call(encode("CONFIG", "SET", "bind", "127.0.0.1"))
        await admin.call(encode("CONFIG", "SET", "port", unused_port))
    async with connected(f"redis://127.0.0.1:{unused_port}/0") as connection:
        assert await connection.call(encode("PING")) == b"PONG"


async def test_rediss_speaks_tls_first(unused_port: int) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read(3))
        writer.close()

    async with (
        await asyncio.start_server(listen, "127.0.0.1", unused_port),
        connected(f"rediss://user:secret@127.0.0.1:{unused_port}") as connection,
    ):
        assert await kind(connection, "PING") in {"unreachable", "lost"}
        assert (await heard.get())[:2] == b"\x16\x03"  # a TLS handshake, before any secret
