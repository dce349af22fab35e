import time
from collections.abc import Callable
from pathlib import Path

from gateway.drivers.redis.log_sync import LogSync


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def put(path: Path, data: bytes) -> None:
    """At once: an empty file is something new, too."""
    made = path.with_name("made")
    made.write_bytes(data)
    made.rename(path)


def test_what_is_new_in_the_log_is_put_on_the_disk_once(tmp_path: Path) -> None:
    log = tmp_path / "appendonly.aof.1.incr.aof"
    sync = LogSync(tmp_path, every_s=0.005)
    try:
        put(log, b"one")
        until(lambda: sync.synced == 1)
        time.sleep(0.05)  # nothing new
        assert sync.synced == 1
        put(log, b"one and two")
        until(lambda: sync.synced == 2)
        log.unlink()  # rewritten
        put(tmp_path / "appendonly.aof.2.incr.aof", b"three")
        until(lambda: sync.synced == 3)
    finally:
        sync.stop()
