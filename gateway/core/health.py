"""Which deployments are fit to be asked, and how many retries we can afford.

A circuit opens when half of a deployment's recent calls failed, stays open for a while (twice as
long each time), then lets one probe through. Only failures count; a poor answer never does.
Figures as in resilience4j's CircuitBreakerConfig and gRPC A50, fitted to slow LLM calls.
"""

import math
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final, Literal

State = Literal["closed", "open", "half_open"]

WINDOW: Final = 20
"""How many recent calls are remembered."""
FEWEST: Final = 5
"""No circuit opens on fewer calls than this."""
OPEN_S: Final = 15.0
LONGEST_OPEN_S: Final = 300.0
PROBE_S: Final = 60.0
"""A probe that has not come back after so long is taken for lost."""
_MASK: Final = (1 << WINDOW) - 1

_NONE_DOWN: Final[frozenset[str]] = frozenset()


class Circuit:
    """One deployment's breaker. `now` is monotonic seconds, passed in."""

    __slots__ = ("_calls", "_failures", "_open_s", "_probe_until", "_since", "_until")

    def __init__(self) -> None:
        self._failures = 0  # a bit a call, 1 for a failure, the latest lowest
        self._calls = 0
        self._since = 0.0  # the last failure that says how long it is open
        self._until = 0.0
        self._open_s = 0.0  # 0 while closed
        self._probe_until = 0.0

    def state(self, now: float) -> State:
        if not self._open_s:
            return "closed"
        return "open" if now < self._until else "half_open"

    def admits(self, now: float) -> bool:
        """Whether a call may be made: always when closed, one probe at a time when half open."""
        return not self._open_s or (now >= self._until and now >= self._probe_until)

    def probe(self, now: float) -> None:
        """A call is being made; while half open, nobody else probes until it ends."""
        if self._open_s:
            self._probe_until = now + PROBE_S

    def succeeded(self, began: float) -> None:
        """A call made before it opened says nothing of how its provider is since then."""
        if self._open_s and began >= self._since:
            self.__init__()  # type: ignore[misc]
        self._failures = (self._failures << 1) & _MASK
        self._calls = min(self._calls + 1, WINDOW)

    @property
    def steady(self) -> bool:
        """Whether each of the last WINDOW calls succeeded: one more that does changes nothing."""
        return self._calls == WINDOW and not self._failures and not self._open_s

    def failed(self, now: float, retry_after: float | None) -> None:
        self._failures = ((self._failures << 1) | 1) & _MASK
        self._calls = min(self._calls + 1, WINDOW)
        if self._open_s:
            # Calls made before it opened fail as one with those that opened it.
            opens = now >= self._until
        else:
            opens = self._calls >= FEWEST and self._failures.bit_count() * 2 >= self._calls
        if opens:
            self._open_s = min(max(self._open_s * 2, OPEN_S), LONGEST_OPEN_S)
            self._since, self._until = now, now + self._open_s
        if retry_after:
            # The provider said when to come back: believe it, within reason.
            self._since = now
            self._open_s = self._open_s or retry_after
            self._until = max(self._until, now + min(retry_after, LONGEST_OPEN_S))
        if self._open_s:  # no probe is out any more: the next call may be one
            self._probe_until = 0.0


class _Circuits(dict[str, Circuit]):
    """A call to a deployment that a reload removed may still end: into a new circuit."""

    def __missing__(self, name: str) -> Circuit:
        return Circuit()


class Health:
    """The circuits of all deployments of a catalog."""

    def __init__(
        self,
        deployments: Iterable[str],
        moved: Callable[[str, State], None] = lambda deployment, state: None,
    ) -> None:
        self._circuits = _Circuits((name, Circuit()) for name in deployments)
        self._shown: dict[str, State] = {}
        self.troubled: set[str] = set()
        """Deployments whose circuit is not closed: nearly always none."""
        self.steady: set[str] = set()
        """Deployments for which one more success changes nothing: nearly always all."""
        self._moved = moved

    def reconfigure(self, deployments: Iterable[str], anew: AbstractSet[str] = _NONE_DOWN) -> None:
        """From now on there are only these; those in `anew` are not what they were."""
        names = frozenset(deployments)
        for name in {*self._circuits} - (names - anew):
            del self._circuits[name]
            self.steady.discard(name)
            self.troubled.discard(name)
            if self._shown.pop(name, "closed") != "closed":
                self._moved(name, "closed")
        for name in names - self._circuits.keys():
            self._circuits[name] = Circuit()

    def down(self, now: float) -> AbstractSet[str]:
        """Deployments that are not to be asked now."""
        if not self.troubled:
            return _NONE_DOWN
        self.show(now)
        return {name for name in self.troubled if not self._circuits[name].admits(now)}

    def show(self, now: float) -> None:
        """Tell of circuits that are half open by now, also where nobody asks for them."""
        for name in self.troubled:
            self._show(name, now)

    def call_started(self, deployment: str, now: float) -> None:
        """A call is about to be made."""
        if deployment in self.troubled:
            self._circuits[deployment].probe(now)

    def call_abandoned(self, deployment: str) -> None:
        """The client left, so the call says nothing of its deployment. Another may probe."""
        if deployment in self.troubled:
            self._circuits[deployment].probe(-PROBE_S)

    def succeeded(self, deployment: str, now: float, began: float) -> None:
        """A call that was made at `began`."""
        circuit = self._circuits[deployment]
        circuit.succeeded(began)
        if circuit.steady:
            self.steady.add(deployment)
        if deployment in self.troubled:
            self._show(deployment, now)
            if circuit.state(now) == "closed":
                self.troubled.discard(deployment)

    def failed(self, deployment: str, now: float, retry_after: float | None = None) -> None:
        circuit = self._circuits[deployment]
        circuit.failed(now, retry_after)
        self.steady.discard(deployment)
        if circuit.state(now) != "closed" and deployment in self._circuits:
            self.troubled.add(deployment)
            self._show(deployment, now)

    def _show(self, deployment: str, now: float) -> None:
        state = self._circuits[deployment].state(now)
        if self._shown.get(deployment, "closed") != state:
            self._shown[deployment] = state
            self._moved(deployment, state)


class RetryBudget:
    """Retries are at most a share of recent first calls, and a few more (Finagle's RetryBudget).

    So a provider that is down meets at most 1.2 times its usual load.
    """

    __slots__ = ("_calls", "_ends", "_floor", "_last_calls", "_last_retries", "_retries", "_share")

    PERIOD_S: Final = 10.0

    def __init__(self, share: float = 0.2, floor: int = 10) -> None:
        self._share = share
        self._floor = floor
        self._ends = self.PERIOD_S
        self._calls = self._retries = 0
        self._last_calls = self._last_retries = 0

    def called(self, now: float) -> None:
        """A request made its first call."""
        if now >= self._ends:
            self._turn(now)
        self._calls += 1

    def take(self, now: float) -> bool:
        """Whether one more retry can be afforded; if so it is counted."""
        self._turn(now)
        calls = self._calls + self._last_calls
        if self._retries + self._last_retries >= calls * self._share + self._floor:
            return False
        self._retries += 1
        return True

    def left(self, now: float) -> int:
        """How many retries can be afforded now."""
        self._turn(now)
        most = (self._calls + self._last_calls) * self._share + self._floor
        return max(math.ceil(most) - self._retries - self._last_retries, 0)

    def _turn(self, now: float) -> None:
        if now >= self._ends:
            stale = now >= self._ends + self.PERIOD_S
            self._last_calls, self._last_retries = (0, 0) if stale else (self._calls, self._retries)
            self._calls = self._retries = 0
            self._ends = now + self.PERIOD_S
