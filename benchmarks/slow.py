"""Clients that read slowly, and a provider that would tell them everything at once.

A gateway that takes from the provider what its client does not read yet holds it in memory. What
is told is how much of each stream the provider could send while all of them were open.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.servers import CannotRun

EVENTS, EVENT_BYTES = 256, 4096
WHOLE_KB = EVENTS * EVENT_BYTES // 1024
SIP_BYTES, SIP_S = 1024, 0.25
RECEIVED_BYTES = 4096
"""The client's buffer in the kernel, which would else hold much of what nobody reads."""
SETTLED_S, LOOK_S, PATIENCE_S = 4.0, 0.25, 300.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Source:
    """A provider of long streams. `sent` is how many bytes the kernel has taken from it."""

    sent: int = 0
    serving: "dict[asyncio.Task[None], asyncio.StreamWriter]" = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=lambda: [*map(_chunk, range(EVENTS)), b"0\r\n\r\n"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving[task] = writer
        writer.transport.set_write_buffer_limits(high=0)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                await reader.readexactly(int(length))
                writer.write(HEAD)
                for chunk in self.chunks:
                    writer.write(chunk)
                    await writer.drain()
                    self.sent += len(chunk)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def end(self) -> None:
        """Connections that nobody uses are kept by who asked: they are closed here."""
        for writer in self.serving.values():
            writer.close()
        await asyncio.gather(*self.serving)


def _chunk(number: int) -> bytes:
    """One event. The last but two says that it is done, the last but one what was used."""
    choice: dict[str, object] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    if number < EVENTS - 3:
        choice |= {
            "delta": {"content": f"{number} ".ljust(EVENT_BYTES, "x")},
            "finish_reason": None,
        }
    told: dict[str, object] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "bench",
        "choices": [choice] if number < EVENTS - 2 else [],
    }
    if number == EVENTS - 2:
        told["usage"] = {"prompt_tokens": 212, "completion_tokens": 2000, "total_tokens": 2212}
    event = b"data: [DONE]\n\n"
    if number < EVENTS - 1:
        event = b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


@dataclass(frozen=True)
class Held:
    """While all streams were open: the most memory, kB, and what of each was taken, kB."""

    most_kb: int
    taken_kb: float


async def slow_readers(
    port: int, request: bytes, readers: int, source: Source, resident: Callable[[], int]
) -> Held:
    """All of them sip, then drink up: each of their streams must be whole."""
    hurry, tasting = asyncio.Event(), asyncio.Semaphore(0)
    before = source.sent
    asking = [
        asyncio.create_task(_read(port, request, tasting.release, hurry)) for _ in range(readers)
    ]
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(readers):
            await tasting.acquire()
        most = 0
        for _ in range(round(SETTLED_S / LOOK_S)):
            await asyncio.sleep(LOOK_S)
            most = max(most, resident())
        taken = (source.sent - before) / 1024 / readers
        hurry.set()
        events = await asyncio.gather(*asking)
    if (wrong := sum(count != EVENTS for count in events)) > 0:
        raise CannotRun(f"{wrong} of {readers} slow readers did not get all of their stream")
    return Held(most, taken)


async def _read(port: int, request: bytes, taste: Callable[[], None], hurry: asyncio.Event) -> int:
    """How many events there were; `taste` is called at the first byte."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        sock.settimeout(0)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, request)
        events, tail, tasted = 0, b"", False
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            got = await loop.sock_recv(sock, 1 << 16 if hurry.is_set() else SIP_BYTES)
            if not got:
                return 0
            if not tasted:
                tasted = True
                taste()
            events += (tail[-1:] + got).count(b"\n\n")
            tail = (tail + got)[-8:]
            if not hurry.is_set():
                await _either(hurry, SIP_S)
        return events


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, or so much time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
