"""Pushes deltas from a provider's connection to a sink, without waking a task."""

from time import monotonic

from gateway.core.flow import Sink
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.http_coding import CONTENT_ENCODING, decoder_for
from gateway.drivers.upstream.http_connection import Connection
from gateway.drivers.upstream.provider_calls import ProviderCall
from gateway.drivers.upstream.provider_flow import PIECE, ProviderFlow


class Pouring(ProviderFlow):
    """Deltas go to `sink`, once there is one; `full` is when it asked for a pause."""

    __slots__ = ("_answer", "_idle_s", "full", "sink")

    def __init__(self, call: ProviderCall, answer: Connection, idle_s: float) -> None:
        super().__init__(call, decoder_for(answer.headers.find(CONTENT_ENCODING)))
        self._answer = answer
        self._idle_s = idle_s
        self.sink: Sink | None = None
        self.full = False

    def pour_into(self, sink: Sink | None) -> float:
        """Use this sink from now on. Gives the deadline of the next deltas: the idle timeout, from
        one to the next.
        """
        self.sink = sink
        self.full = False
        return monotonic() + self._idle_s

    def take(self, body: bytes) -> bool:
        """Whether to go on; see Connection.pour. Bytes without a delta do not move the deadline."""
        sink, size = self.sink, len(body)
        assert sink is not None  # noqa: S101 - else nothing is poured
        if size > PIECE or (delta := self._alike.read(body)) is None:
            return self._take_decoded(body, sink)
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise failures.too_large()
        self._answer.deadline = monotonic() + self._idle_s
        if sink((delta,)):
            return True
        self.full = True
        return False

    def _take_decoded(self, body: bytes, sink: Sink) -> bool:
        for deltas in self._decode(body):
            self._answer.deadline = monotonic() + self._idle_s
            self.full = not sink(deltas)
        return not (self.full or self._decoder.done)
