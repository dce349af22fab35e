"""Clients that do not read what is sent to them.

What a client has not read waits in the kernel's buffer, and above that in ours, on which it is
looked at here: nobody is told when the kernel's fills.
"""

import array
import asyncio
import fcntl
import termios

from gateway.web.idle import BUSY, Idle


class Backlog:
    """What waits for one client. It is cut off when it reads none of that for too long."""

    _transport: asyncio.WriteTransport

    def __init__(self, unread: Idle) -> None:
        self.since = BUSY
        self._unread = unread
        self._size = 0

    def watch(self, transport: asyncio.WriteTransport) -> None:
        """From now on, if anything waits. To be told when writing pauses and when it closes."""
        self._transport = transport
        self._size = unread(transport)
        if self._size:
            self._unread.enter(self)

    def resume(self) -> None:
        """Little is left. That matters only where nothing comes behind it."""
        watched = self._size
        self.forget()
        if watched and self._transport.is_closing():
            self.watch(self._transport)

    def forget(self) -> None:
        """The connection is lost, or somebody else's."""
        self._size = 0
        self._unread.leave(self)

    def review(self) -> None:
        """After so long: it has as long once more if it has read anything. Where more waits than
        before, somebody has just added to it, which says nothing of that.
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
    except OSError:  # not every system tells
        return ours
    return ours + kernels[0]
