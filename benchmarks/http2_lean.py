"""The least that HTTP/2 can cost in Python: all requests over one connection, and nothing else.

These are no drivers: no deadlines, no back-pressure, no way back from an error. What they cost is a
floor for one that has all of it, beside our pool, which has.
"""

import asyncio
import importlib
import struct
from collections.abc import Mapping
from typing import Any, Final, cast

WINDOW: Final = (1 << 31) - 1
DATA, HEADERS, RESET, SETTINGS, GOAWAY, WINDOW_UPDATE, PING = 0, 1, 3, 4, 7, 8, 6
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
_HEAD: Final = struct.Struct(">HBBBI")
READ_BYTES: Final = 1 << 18
MOST_BYTES: Final = 16384
"""Of a frame, so long as nobody allows more."""


class Answer:
    def __init__(self, waiter: "asyncio.Future[None]", *, flows: bool) -> None:
        self.waiter = waiter
        self.flows = flows
        self.status = 0
        self.parts: list[bytes] = []
        self.ended = False

    def wake(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)


class OneConnection(asyncio.BufferedProtocol):
    """What both have: requests of one turn of the event loop leave in one write. Answers are read
    into one buffer: else uvloop takes 256 kB anew for each piece, and one read has many here.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, Answer] = {}
        self._transport: asyncio.Transport
        self._flushing = False
        self._buffer = memoryview(bytearray(READ_BYTES))

    async def whole(self, body: bytes) -> tuple[int, bytes]:
        answer = Answer(self._loop.create_future(), flows=False)
        self._answers[self.send(body)] = answer
        self._flush_soon()
        await answer.waiter
        return answer.status, b"".join(answer.parts)

    async def flow(self, body: bytes) -> tuple[int, bytes]:
        """A stream, each piece taken as it comes."""
        answer = Answer(self._loop.create_future(), flows=True)
        self._answers[self.send(body)] = answer
        self._flush_soon()
        taken: list[bytes] = []
        while True:
            await answer.waiter
            taken += answer.parts
            answer.parts = []
            if answer.ended:
                return answer.status, b"".join(taken)
            answer.waiter = self._loop.create_future()

    async def aclose(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.begin()
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.read(self._buffer[:nbytes].tobytes())

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._answers.values():
            answer.wake()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._flushing = False
        if said := self.said():
            self._transport.write(said)

    def came(self, stream: int, part: bytes) -> None:
        answer = self._answers[stream]
        answer.parts.append(part)
        if answer.flows:
            answer.wake()

    def end(self, stream: int) -> None:
        answer = self._answers.pop(stream)
        answer.ended = True
        answer.wake()

    def begin(self) -> None:
        raise NotImplementedError

    def read(self, data: bytes) -> None:
        raise NotImplementedError

    def send(self, body: bytes) -> int:
        """Its stream."""
        raise NotImplementedError

    def said(self) -> bytes:
        raise NotImplementedError


class ByHand(OneConnection):
    """Frames cut by hand, and a head that is written once: its lines are put into the provider's
    table by the first request, and named by a byte each in those that follow. Answers' heads are
    read by the HPACK of jh2, which is written in Rust.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        rust = importlib.import_module("jh2._hazmat")  # jh2.hpack is Python, and takes 50 us a head
        self._decode: Any = rust.Decoder().decode
        lines = [_literal(name, value) for name, value in headers.items()]
        self._first = b"".join(lines)
        self._later = bytes(0x80 | (61 + at) for at in range(len(lines), 0, -1))
        self._head = self._first
        self._stream = -1
        self._out: list[bytes] = []
        self._rest = b""
        self._taken = 0

    def begin(self) -> None:
        settings = struct.pack(">HIHI", 2, 0, 4, WINDOW)
        more = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535))
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self._out += [preface, frame(SETTINGS, 0, 0, settings), more]

    def send(self, body: bytes) -> int:
        assert len(body) <= MOST_BYTES
        self._stream = stream = self._stream + 2
        size = b"%d" % len(body)
        head = b"%b\x0f\x0d%c%b" % (self._head, len(size), size)  # content-length, not kept
        self._head = self._later
        self._out.append(frame(HEADERS, END_HEADERS, stream, head))
        self._out.append(frame(DATA, END_STREAM, stream, body))
        return stream

    def said(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def read(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while at + 9 <= size:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            until = at + 9 + (high << 8 | low)
            if until > size:
                break
            self._frame(kind, flags, stream, data[at + 9 : until])
            at = until
        self._rest = data[at:]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._taken += len(body)
            if self._taken > WINDOW >> 2:
                self._out.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._taken)))
                self._taken = 0
                self._flush_soon()
            if body:
                self.came(stream, body)
        elif kind == HEADERS:
            assert flags & (END_HEADERS | PADDED | PRIORITY) == END_HEADERS
            self._answers[stream].status = int(self._decode(body, raw=True)[0][1])
        else:
            self._control(kind, flags, body)
            return
        if flags & END_STREAM:
            self.end(stream)

    def _control(self, kind: int, flags: int, body: bytes) -> None:
        if kind in {SETTINGS, PING} and not flags & ACK:
            self._out.append(frame(kind, ACK, 0, body if kind == PING else b""))
            self._flush_soon()
        elif kind in {RESET, GOAWAY}:
            self._transport.abort()


class ByMachine(OneConnection):
    """Frames, windows and heads by a library's state machine: h2, or jh2, whose HPACK is Rust."""

    def __init__(self, package: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        config = importlib.import_module(f"{package}.config")
        self._events: Any = importlib.import_module(f"{package}.events")
        connection = importlib.import_module(f"{package}.connection")
        self._h2: Any = connection.H2Connection(
            config.H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    def begin(self) -> None:
        settings = importlib.import_module(
            f"{type(self._h2).__module__.partition('.')[0]}.settings"
        )
        self._h2.local_settings[settings.SettingCodes.INITIAL_WINDOW_SIZE] = WINDOW
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW - 65535)

    def send(self, body: bytes) -> int:
        stream: int = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, [*self._headers, (b"content-length", b"%d" % len(body))])
        self._h2.send_data(stream, body, end_stream=True)
        return stream

    def said(self) -> bytes:
        said: bytes = self._h2.data_to_send()
        return said

    def read(self, data: bytes) -> None:
        events = self._events
        for event in self._h2.receive_data(data):
            kind = type(event)
            if kind is events.DataReceived:
                self.came(event.stream_id, event.data)
            elif kind is events.ResponseReceived:
                self._answers[event.stream_id].status = int(event.headers[0][1])
            elif kind is events.StreamEnded:
                self.end(event.stream_id)
            elif kind in {events.StreamReset, events.ConnectionTerminated}:
                self._transport.abort()
        self._flush_soon()


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    size = len(body)
    return _HEAD.pack(size >> 8, size & 255, kind, flags, stream) + body


def _literal(name: str, value: str) -> bytes:
    """A header that is to be kept in the other's table (RFC 7541, 6.2.1), not compressed."""
    return b"\x40" + _text(name.encode()) + _text(value.encode())


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    return bytes([127, (size - 127) & 127]) + text if size < 255 else _refused(size)


def _refused(size: int) -> bytes:
    raise ValueError(f"a header of {size} bytes is beyond what is needed here")
