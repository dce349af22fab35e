"""Cuts off clients that do not read what is sent to them.

Unread bytes wait in the kernel's buffer, and then in ours. Watching begins when there are some in
ours: the kernel does not report how full its buffer is becoming.
"""

import array
import asyncio
import fcntl
import termios

from gateway.web.idle import BUSY, Idle


class Backlog:
    """The unread bytes of one client, which is cut off when it reads none of them for too long."""

    _transport: asyncio.WriteTransport

    def __init__(self, unread: Idle) -> None:
        self.since = BUSY
        self._unread = unread
        self._size = 0

    def watch(self, transport: asyncio.WriteTransport) -> None:
        """Watch, if anything waits. Call it when writing pauses, and when the transport closes."""
        self._transport = transport
        self._size = unread(transport)
        if self._size:
            self._unread.enter(self)

    def resume(self) -> None:
        """Call it when writing resumes: the little that is left matters only for a closing one."""
        watched = self._size
        self.forget()
        if watched and self._transport.is_closing():
            self.watch(self._transport)

    def forget(self) -> None:
        """Stop watching: the connection is lost, or handed over."""
        self._size = 0
        self._unread.leave(self)

    def review(self) -> None:
        """The time is over: cut it off, unless it has read something, or something was added (then
        nobody can tell). In both cases it gets as long again.
        """
        if unread(self._transport) != self._size:
            self.watch(self._transport)
        else:
            self._transport.abort()


def unread(transport: asyncio.WriteTransport) -> int:
    """Bytes that wait in our buffer and in the kernel's; 0 where none wait in ours."""
    ours = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if not ours or connection is None:
        return ours
    kernels = array.array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, kernels)
    except OSError:  # not supported on every system
        return ours
    return ours + kernels[0]
