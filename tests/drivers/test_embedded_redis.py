import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from gateway.drivers.redis.embedded import EmbeddedRedis, EmbeddedRedisError
from tests.service.processes import lives

USER = """
import sys
from pathlib import Path
from gateway.drivers.redis.embedded import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def client(server: EmbeddedRedis) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(server.url, decode_responses=True) as connection:
        yield connection


def ended(pid: int | None) -> bool:
    """Whether it ends in a moment: who waits for another's child can only look again."""
    deadline = time.monotonic() + 5
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not lives(pid)


def another_process(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told_pid(user: subprocess.Popen[str]) -> int:
    assert user.stdout
    return int(user.stdout.readline())


def test_it_is_private_and_writes_everything_down(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, client(server) as asked:
        assert asked.config_get("port") == {"port": "0"}
        assert asked.config_get("appendonly") == {"appendonly": "yes"}
        assert asked.config_get("appendfsync") == {"appendfsync": "no"}
        assert asked.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert asked.config_get("save") == {"save": ""}
        assert (tmp_path / "server.sock").stat().st_mode & 0o777 == 0o700
        pid = server.pid
        assert lives(pid)
    assert ended(pid)
    assert server.pid is None


@pytest.mark.parametrize("name", ["plain", "with space", "ключ", "deep" * 40])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    with EmbeddedRedis(tmp_path / name) as server, client(server) as asked:
        assert asked.ping()
        socket_folder = Path(str(asked.config_get("unixsocket")["unixsocket"])).parent
    if socket_folder != tmp_path / name:
        shutil.rmtree(socket_folder)


def test_data_outlives_stopping_and_killing(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    for number in range(3):
        server.start()
        with client(server) as asked:
            assert asked.get("count") == (str(number) if number else None)
            asked.incr("count")
        if number == 0:
            server.stop()
        else:
            assert server.pid
            os.kill(server.pid, signal.SIGKILL)  # the next start brings it back
    server.start()
    with client(server) as asked:
        assert asked.get("count") == "3"
    server.stop()


def test_one_that_dies_is_revived_with_its_data_and_one_that_was_left_is_not(
    tmp_path: Path,
) -> None:
    server, other = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    server.start()
    other.start()
    with client(server) as asked:
        asked.set("money", "7")
    old, url = server.pid, server.url
    assert old
    assert not server.revive(), "it lives"
    os.kill(old, signal.SIGKILL)
    assert ended(old)
    assert [server.revive(), other.revive()] == [True, False], "it is brought back once"
    assert (server.pid != old, server.url) == (True, url)
    with client(server) as asked:
        assert asked.get("money") == "7"
    other.stop()
    server.stop()
    assert not server.revive()
    assert server.pid is None


def test_users_share_a_server_and_the_last_to_leave_stops_it(tmp_path: Path) -> None:
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    first.start()
    second.start()
    pid = first.pid
    assert second.pid == pid
    first.stop()
    assert lives(pid)
    first.stop()  # leaving twice is leaving once
    assert lives(pid)
    second.stop()
    assert ended(pid)


def test_processes_that_start_at_once_share_a_server_that_a_kill_does_not_take(
    tmp_path: Path,
) -> None:
    users = [another_process(tmp_path) for _ in range(3)]
    (pid,) = {told_pid(user) for user in users}
    with client(EmbeddedRedis(tmp_path)) as asked:
        asked.set("money", "7")
    for user in users:
        user.kill()
        user.communicate()
    assert lives(pid), "nobody has stopped it"
    with EmbeddedRedis(tmp_path) as server, client(server) as asked:
        assert server.pid == pid
        assert asked.get("money") == "7"
    assert ended(pid)


def test_a_hung_server_is_replaced_with_its_data_kept(tmp_path: Path) -> None:
    hung = EmbeddedRedis(tmp_path)
    hung.start()
    with client(hung) as asked:
        asked.set("money", "7")
    old = hung.pid
    assert old
    os.kill(old, signal.SIGSTOP)
    with EmbeddedRedis(tmp_path, patience_s=0.2) as server, client(server) as asked:
        assert server.pid != old
        assert asked.get("money") == "7"
        hung.stop()


def test_what_keeps_it_from_starting_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedRedisError, match="file"):
        EmbeddedRedis(tmp_path / "file").start()

    with EmbeddedRedis(tmp_path / "bad") as server, client(server) as asked:
        asked.set("money", "7")
    (tmp_path / "bad/appendonlydir/appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(EmbeddedRedisError, match="manifest"):
        EmbeddedRedis(tmp_path / "bad").start()
