"""What the life of a request needs of the world. Drivers implement these.

Each port has one contract suite in tests/contracts, run on every implementation.
"""

from collections.abc import (
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Final, Protocol

from gateway.core.accounts import Amounts, Balance, Hold, Purse, Refusal
from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Completion
from gateway.core.checks.finding import Finding
from gateway.core.events import Event, HoldsExpired
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate
from gateway.core.records.entry import Counter, Entry
from gateway.core.records.record import UsageRecord

Observer = Callable[[Event], None]
Clock = Callable[[], float]
"""Monotonic seconds."""


class Done:
    """An awaitable that is already done."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


DONE: Final = Done()


class Ledger(Protocol):
    """Raises LedgerDown, and nothing else, from each method; `settle` raises nothing.

    An amount is below 2^53: 9.0 million US dollars in nano-dollars. Whatever else a caller
    gets wrong (a negative amount, an unknown time zone) is a ValueError or KeyError: a bug.
    """

    async def reserve(
        self, purse: Purse, hold_id: str, amounts: Amounts, life: str = ""
    ) -> Hold | Refusal:
        """Set `amounts` aside in every account of the purse, all or nothing.

        `life` names the request that the call belongs to: it keeps one place in budgets of
        requests at once, however many calls it makes, from the first of them until `leave`.
        A hold that is not settled within its time to live is charged in full; a place that is not
        renewed for as long is given back. Reserving again under the same id gives the same hold and
        takes nothing. When this is cancelled or raises, whatever it may have set aside is given
        back in the background.
        """
        ...

    def settle(
        self, hold: Hold, actual: Amounts, record: UsageRecord | None = None
    ) -> Awaitable[None]:
        """Replace the hold by what the call did cost, and keep the record in the same step.
        Settling again changes nothing.

        A settle of a hold that has expired meanwhile corrects what was charged. When the ledger
        cannot be reached it is kept and tried again until it can. Once called it is carried out,
        before whatever is asked next: nobody need wait for it, so no answer does.
        """
        ...

    def leave(self, purse: Purse, life: str) -> None:
        """Give back the request's place among those at once, in the background."""
        ...

    async def balances(self, purse: Purse) -> tuple[Balance, ...]:
        """Every budget of the purse's accounts, in order."""
        ...

    async def open_holds(self, home: str) -> int:
        """How many holds of a home are neither settled nor expired."""
        ...


class LedgerDriver(Ledger, Protocol):
    """What the composition root needs of a ledger beside what requests need."""

    async def sweep(self, homes: Iterable[str]) -> list[HoldsExpired]:
        """Charge every hold whose time is over, also of homes that send nothing any more.

        What was charged is told to the observer as well.
        """
        ...

    def renew_places(self) -> None:
        """Renew the places of the requests that are under way here, in the background. To be called
        three times or more within a place's time to live.
        """
        ...

    async def first_expiry(self, homes: Sequence[str]) -> list[float | None]:
        """Of each home, in how many seconds its first open hold is over: 0 or less where one is,
        or where the home cannot be read; None where no hold is open.
        """
        ...

    async def charge(
        self, purse: Purse, call: str, at: float, actual: Amounts, record: UsageRecord | None = None
    ) -> None:
        """Charge a call that has no hold, to the budgets of its time, `at`, in Unix seconds.

        Charging the same call again within a day changes nothing. Raises LedgerDown when it may
        not have been charged: then do so again. Never refused.
        """
        ...

    async def records(self, home: str, after: str = "", count: int = 1_000) -> tuple[Entry, ...]:
        """The entries of a home's book after the one at `after`, the oldest first, at most so many.

        Of the book only the newest are kept, about as many as the driver was told.
        """
        ...

    async def counted(self, home: str) -> dict[Counter, int]:
        """What each bucket of a home has spent, but for those where that is nothing: what
        `ledger_entry.sums` of all its entries gives, for the buckets that are still kept.

        It reads all keys there are: for an operator, not for a request.
        """
        ...

    async def load(
        self,
        home: str,
        spent: Mapping[Counter, int],
        *,
        epoch: str = "",
        after: Iterable[str] = (),
        seq: int = 0,
        newest: str | None = None,
        force: bool = False,
    ) -> int | None:
        """Set what these buckets have spent; the others, and all that is held, stay as they are.

        Gives 0, or, unless forced, how many holds are open: then nothing was set. Neither is it
        where `newest` is told, and the newest entry of the home's book has another place (of an
        empty book it is ""): then it gives None. Of very many buckets some may be set all the same,
        to what was right when they were. A rolling bucket is set as a whole. `epoch` is a new name
        for the home's data, which goes on from that of `after`, and from its own: gateways that
        stopped at a loss of it go on. Entries count on from `seq` at least. Raises ValueError for a
        key that is no bucket of the home.
        """
        ...

    async def aclose(self) -> None:
        """Try once more, briefly, to settle what is still owed, then close."""
        ...


class Upstream(Protocol):
    """Calls to providers. Raises UpstreamError, and nothing else. Cancelled before anything was
    sent, it says so by a note: UNSENT.
    """

    async def send(
        self, candidate: Candidate, request: ChatRequest, *, timeout_s: float
    ) -> Completion:
        """Make one call and read the whole answer."""
        ...

    def stream(self, candidate: Candidate, request: ChatRequest, *, timeout_s: float) -> Deltas:
        """Make one call; deltas that arrive together come together, never an empty sequence.

        `timeout_s` bounds the wait for the first ones, which say something. Ends normally only when
        the provider's answer is whole. Closing it closes the call.
        """
        ...


class Responses(Protocol):
    """Answers that are kept for a while, a tenant's apart from all others'. What is kept of a
    tenant is bounded: what does not fit goes, of the longest kept first. It may forget any time.
    """

    async def find(self, tenant: str, key: str) -> tuple[bytes, float] | None:
        """What was kept under a key, and for how many seconds it will be. Raises CacheDown when
        that cannot be told in time, and nothing else.
        """
        ...

    def keep(self, tenant: str, key: str, data: bytes, ttl_s: float) -> None:
        """Keep it, in the background, in place of what was there. Whatever fails is forgotten."""
        ...

    def reconfigure(self, most_bytes: int) -> None:
        """Keep so much of each tenant's from now on."""
        ...

    async def aclose(self) -> None: ...


class Runner(Protocol):
    """The owner's test runner, which a `webhook` check asks. Raises NoVerdict, and nothing else."""

    async def __call__(
        self, check: Check, answer: Completion, request_id: str, *, timeout_s: float
    ) -> Finding | None:
        """What it finds wrong with an answer; None when it passes."""
        ...
