"""A real Redis-protocol server for tests: `pytest_plugins = ("tests.redis_server",)`."""

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry

from gateway.drivers.redis.embedded import EmbeddedRedis, server_binary
from tests.ports import free_port

_NUMBERS = itertools.count()
_PATIENT = Retry(ConstantBackoff(0.01), 1_000, (NotConnected, FileNotFoundError))


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server for the whole session: a test names tenants of its own (see `tenant`)."""
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own, which it may stop, kill or confuse."""
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{os.getpid()}-{next(_NUMBERS)}"


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
def cluster_redis(tmp_path: Path, unused_port: int) -> Iterator[str]:
    """The URL of a server that is a whole cluster by itself."""
    socket_path = tmp_path / "cluster.sock"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bus = listener.getsockname()[1]
    settings = {"port": unused_port, "cluster-port": bus, "unixsocket": socket_path}
    command = [str(server_binary()), "--cluster-enabled", "yes", "--dir", str(tmp_path)]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with Redis(unix_socket_path=str(socket_path), retry=_PATIENT) as asked:
                asked.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                while "cluster_state:ok" not in str(asked.execute_command("CLUSTER", "INFO")):
                    time.sleep(0.01)
            yield f"unix://{socket_path}"
        finally:
            server.kill()
