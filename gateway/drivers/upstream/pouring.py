"""From a provider's connection to whoever takes the answer, without anybody being asked."""

from time import monotonic

from gateway.core.flow import Sink
from gateway.drivers.upstream import http_failures as failures
from gateway.drivers.upstream.http_coding import coding_of
from gateway.drivers.upstream.http_connection import Connection
from gateway.drivers.upstream.provider_calls import ProviderCall
from gateway.drivers.upstream.provider_flow import PIECE, ProviderFlow


class Pouring(ProviderFlow):
    """What comes goes to `sink`, once there is one; `full` is when it wants to be waited for."""

    __slots__ = ("_answer", "_idle_s", "full", "sink")

    def __init__(self, call: ProviderCall, answer: Connection, idle_s: float) -> None:
        super().__init__(call, coding_of(answer.headers))
        self._answer = answer
        self._idle_s = idle_s
        self.sink: Sink | None = None
        self.full = False

    def into(self, sink: Sink | None) -> float:
        """From now on. Until when to wait for what comes next: until the first deltas the wait is
        bounded as a whole, then from one to the next.
        """
        self.sink = sink
        self.full = False
        return monotonic() + self._idle_s

    def take(self, body: bytes) -> bool:
        """Whether to go on; see Connection.pour. What says nothing is no sign of life."""
        sink, size = self.sink, len(body)
        assert sink is not None  # noqa: S101 - else nothing is poured
        if size > PIECE or (delta := self._alike.read(body)) is None:
            return self._take(body, sink)
        self._left -= size
        if self._left < 0:
            raise failures.too_large()
        self._answer.deadline = monotonic() + self._idle_s
        if sink((delta,)):
            return True
        self.full = True
        return False

    def _take(self, body: bytes, sink: Sink) -> bool:
        for deltas in self._fed(body):
            self._answer.deadline = monotonic() + self._idle_s
            self.full = not sink(deltas)
        return not (self.full or self._decoder.done)
