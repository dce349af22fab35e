"""A client that has closed its side: it may still listen for its answer, or be gone for good.

TCP does not tell the two apart until something is written: who is gone resets the connection. So,
where no byte of the answer is out, an interim response is written, which every client of HTTP/1.1
has to pass over (RFC 9110, 15.2).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

_INTERIM: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIRST_S: Final = 0.02
_LONGEST_S: Final = 1.0


def listen_on(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    silent: Callable[[], bool],
    wait_s: float = _FIRST_S,
) -> None:
    """Look again and again, once in a second at last, until the connection is closed, and abort it
    when nobody listens any more. `silent`: whether nothing of the answer is out yet.
    """
    known = transport.get_extra_info("socket")
    if transport.is_closing():
        return
    if known is None or known.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        transport.abort()
        return
    if silent():
        transport.write(_INTERIM)
    loop.call_later(wait_s, listen_on, loop, transport, silent, min(2 * wait_s, _LONGEST_S))
