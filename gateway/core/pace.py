"""How deployments are doing: how long until an answer begins, and how many calls are out."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.core import histogram

_EDGES: Final = tuple(0.02 * 1.15**step for step in range(64))
"""Seconds, from 20 ms to 130 s; each bin is 15 % above the one before."""
_MEMORY: Final = 200
"""Answers after which all that were seen count half: the last hour weighs most."""
_ENOUGH: Final = 10
_MOST: Final = 0.95


class _Seen:
    """Of one deployment."""

    __slots__ = ("bins", "busy", "latest", "room", "total")

    def __init__(self) -> None:
        self.bins = [0.0] * (len(_EDGES) + 1)
        self.total = 0
        self.latest: list[float] = []
        """Seconds that are not yet in the bins, nor in the total: nobody has asked since."""
        self.room = _MEMORY
        """When there are so many, they are counted."""
        self.busy = 0

    def count(self) -> None:
        histogram.count(self.bins, _EDGES, self.latest)
        self.total += len(self.latest)
        self.latest.clear()
        if self.total >= _MEMORY:
            self.bins = [each / 2 for each in self.bins]
            self.total //= 2
        self.room = _MEMORY - self.total


class LatencyTracker:
    """By deployment name. Bounded by the number of deployments."""

    def __init__(self) -> None:
        self._seen = defaultdict[str, _Seen](_Seen)

    def reconfigure(self, deployments: Iterable[str], anew: AbstractSet[str] = frozenset()) -> None:
        """These there are from now on; those in `anew` are not what they were. Of the others only
        the calls that are out are remembered, until the next turn.
        """
        names = frozenset(deployments) - anew
        for name in {*self._seen} - names:
            busy = self._seen.pop(name).busy
            if busy:
                self._seen[name].busy = busy

    def call_started(self, deployment: str) -> None:
        """A call is out, until `call_ended`."""
        self._seen[deployment].busy += 1

    def call_ended(self, deployment: str, seconds: float | None) -> None:
        """A call is over; `seconds` is when its answer began, or was whole; None when it failed."""
        seen = self._seen[deployment]
        seen.busy -= 1
        if seconds is not None:
            seen.latest.append(seconds)
            if len(seen.latest) >= seen.room:
                seen.count()

    def at_least(self, deployment: str, seconds: float) -> float | None:
        """What is known of a call that another outran after so long: nothing, unless most begin
        sooner. Else one that is always outrun would be known by its better days for ever.
        """
        usual = self.quantile(deployment, _MOST)
        return None if usual is None or seconds <= usual else seconds

    def in_flight(self, deployment: str) -> int:
        """How many calls are out."""
        seen = self._seen.get(deployment)
        return 0 if seen is None else seen.busy

    def quantile(self, deployment: str, share: float) -> float | None:
        """Seconds that so great a share of the answers took at most; None until enough is known."""
        seen = self._seen.get(deployment)
        if seen is None:
            return None
        if seen.latest:
            seen.count()
        if seen.total < _ENOUGH:
            return None
        so_far, wanted = 0.0, seen.total * share
        for edge, each in zip(_EDGES, seen.bins, strict=False):
            so_far += each
            if so_far >= wanted:
                return edge
        return _EDGES[-1]
