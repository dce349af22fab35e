"""From a provider's connection to whoever takes the answer, without anybody being asked."""

from time import monotonic

from gateway.core.flow import Sink
from gateway.drivers.upstream.http_connection import Connection
from gateway.drivers.upstream.provider_flow import ProviderFlow


class Pouring:
    """What comes goes to `sink`, once there is one; `full` is when it wants to be waited for."""

    __slots__ = ("_answer", "_flow", "_idle_s", "full", "sink")

    def __init__(self, answer: Connection, flow: ProviderFlow, idle_s: float) -> None:
        self._answer = answer
        self._flow = flow
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
        sink, flow = self.sink, self._flow
        assert sink is not None  # noqa: S101 - else nothing is poured
        for deltas in flow.read(body):
            self._answer.deadline = monotonic() + self._idle_s
            self.full = not sink(deltas)
        return not (self.full or flow.done)
