"""How deployments are doing: how long until an answer begins, and how many calls are out."""

from bisect import bisect_left
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

_EDGES: Final = tuple(0.02 * 1.15**step for step in range(64))
"""Seconds, from 20 ms to 130 s; each bin is 15 % above the one before."""
_MEMORY: Final = 200.0
"""Answers after which all that were seen count half: the last hour weighs most."""
_ENOUGH: Final = 10.0


class _Seen:
    """Of one deployment."""

    __slots__ = ("bins", "busy", "total")

    def __init__(self) -> None:
        self.bins = [0.0] * (len(_EDGES) + 1)
        self.total = 0.0
        self.busy = 0


class _AllSeen(dict[str, _Seen]):
    """By deployment name."""

    def __missing__(self, name: str) -> _Seen:
        seen = self[name] = _Seen()
        return seen


class Pace:
    """By deployment name. Bounded by the number of deployments."""

    def __init__(self) -> None:
        self._seen = _AllSeen()

    def turn(self, deployments: Iterable[str], anew: AbstractSet[str] = frozenset()) -> None:
        """These there are from now on; those in `anew` are not what they were. Of the others only
        the calls that are out are remembered, until the next turn.
        """
        names = frozenset(deployments) - anew
        for name in {*self._seen} - names:
            busy = self._seen.pop(name).busy
            if busy:
                self._seen[name].busy = busy

    def asking(self, deployment: str) -> None:
        """A call is out, until `answered`."""
        self._seen[deployment].busy += 1

    def answered(self, deployment: str, seconds: float | None) -> None:
        """A call is over; `seconds` is when its answer began, or was whole; None when it failed."""
        seen = self._seen[deployment]
        seen.busy -= 1
        if seconds is not None:
            seen.bins[bisect_left(_EDGES, seconds)] += 1.0
            seen.total += 1.0
            if seen.total >= _MEMORY:
                seen.bins = [each / 2 for each in seen.bins]
                seen.total /= 2

    def busy(self, deployment: str) -> int:
        """How many calls are out."""
        seen = self._seen.get(deployment)
        return 0 if seen is None else seen.busy

    def within(self, deployment: str, share: float) -> float | None:
        """Seconds that so great a share of the answers took at most; None until enough is known."""
        seen = self._seen.get(deployment)
        if seen is None or seen.total < _ENOUGH:
            return None
        so_far, wanted = 0.0, seen.total * share
        for edge, each in zip(_EDGES, seen.bins, strict=False):
            so_far += each
            if so_far >= wanted:
                return edge
        return _EDGES[-1]
