"""A call's ceiling is set aside before it is made, out of every budget that it spends from."""

import asyncio
from typing import Final, Protocol

from gateway.core import tokens
from gateway.core.accounts import Amounts, Hold, Purse, Refusal
from gateway.core.chat import Message
from gateway.core.events import About
from gateway.core.plan import Candidate
from gateway.core.spent import Tab
from gateway.world import World


class Once:
    """A request counts once, with the first of its calls that is held. Until then the calls of a
    round ask one after the other: a limit of requests that refuses one refuses them all.
    """

    __slots__ = ("_counts", "_waiting", "asked")

    def __init__(self, *, counts: bool = True) -> None:
        self._counts = counts
        self._waiting: list[asyncio.Future[None]] | None = None
        self.asked = False
        """Somebody asks who may be the first: the others wait for their turn."""

    async def turn(self) -> None:
        """Until who asks has been told."""
        turn = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(turn)
        await turn

    def ask(self) -> int:
        """How many requests the next call counts as. Who gets 1 is `told` what came of it."""
        if not self._counts:
            return 0
        self.asked = True
        return 1

    def told(self, *, counted: bool) -> None:
        """The call that asked is held, and so the request is counted; or not."""
        self._counts, self.asked = not counted, False
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            for turn in waiting:
                if not turn.done():
                    turn.set_result(None)


COUNTED: Final = Once(counts=False)
"""Of a request that is counted already, or is not to be."""


class Desk(Protocol):
    """Whose call it is: a Life."""

    world: World
    purse: Purse
    about: About
    tab: Tab


async def held(
    desk: Desk, candidate: Candidate, once: Once = COUNTED, said: tuple[Message, ...] = ()
) -> Hold | Refusal | None:
    """The hold, with room for what is `said` beside the request; None where the request may not
    cost so much more. Raises LedgerDown.
    """
    tab, world = desk.tab, desk.world
    nanos, most = candidate.ceiling, candidate.tokens
    if said:
        nanos, most = candidate.with_more(tokens.bound_of(said))
    if tab.most is not None and not tab.has_room(nanos):
        return None
    hold, requests = None, 0
    tab.held += nanos
    try:
        while once.asked:
            await once.turn()
        requests = once.ask()
        purse = desk.purse.of_call(candidate.model.name, candidate.deployment.provider)
        amounts = Amounts(nanos, most, requests)
        hold = await world.ledger.reserve(purse, world.new_id(), amounts, desk.about.request_id)
        return hold
    finally:
        if requests:
            once.told(counted=type(hold) is Hold)
        if type(hold) is not Hold:
            tab.held -= nanos
