"""Ports for servers that are told where to listen."""

import socket
from typing import Final

_HELD: Final[list[socket.socket]] = []


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on. Whoever else asks for any gets another:
    it is bound for the whole session, in a way that leaves servers free to listen on it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    port: int = held.getsockname()[1]
    return port
