"""A real Redis-protocol server for tests: `pytest_plugins = ("tests.redis_server",)`."""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.drivers.embedded_redis import EmbeddedRedis

_NUMBERS = itertools.count()


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
    """A TCP port on the loopback that nobody listened on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
