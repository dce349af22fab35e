"""A streamed answer that is judged while it comes.

It is held back until its checks are decided: then it flows. As soon as one fails it is cut: the
rest is neither generated nor paid for, and another model can be asked. What is not decided before
its end is judged on the whole.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

from gateway.call import Call
from gateway.core.assembly import Assembly
from gateway.core.billing import Tally
from gateway.core.chat import Delta
from gateway.core.checks.early_checks import EarlyChecks, worth_watching
from gateway.core.checks.finding import Finding
from gateway.core.errors import Broken, TimedOut, UpstreamError
from gateway.core.flow import Deltas, Sink
from gateway.core.strategy import Answered, Failed, Flowing, Outcome

_LATE: Final = "the provider's answer was not whole in time"


async def stream(call: Call, timeout_s: float, *, cuts: bool) -> Outcome:
    """What need not be judged flows; what is judged may flow as soon as that is decided."""
    if not call.wanted.checks.all and not call.wanted.buffered:
        return await call.open(timeout_s)
    return await watch(call, timeout_s, cuts=cuts)


async def watch(call: Call, timeout_s: float, *, cuts: bool) -> Outcome:
    """Hold the answer back until its checks are decided, for at most `timeout_s`. `cuts`: stop
    one that fails, of no use when no other model is left. One that no check can decide early
    is awaited whole.
    """
    try:  # whatever fails settles the hold
        worth = worth_watching(call.wanted.checks.all, call.request)
        watched = _Watched(call, timeout_s, cuts=cuts) if worth else None
    except BaseException as error:
        call.failed(error, Tally(call.count_cap()))
        raise
    if watched is None:
        return await call.ask(timeout_s)
    flow = watched.flow()
    try:
        await anext(flow)
    except StopAsyncIteration:
        assert watched.answered is not None  # noqa: S101 - it ends in no other way
        return watched.answered
    except UpstreamError as error:
        return Failed(call.candidate, error)
    return Flowing(call.candidate, flow, call.dropped, "passed")


class _Watched:
    """One call. `answered` is its end when it never flows."""

    def __init__(self, call: Call, timeout_s: float, *, cuts: bool) -> None:
        self.call = call
        self.life = call.life
        self.checks = asked = call.wanted.checks
        self.request = request = call.request
        self.timeout_s = timeout_s
        self.cuts = cuts
        self.answered: Answered | None = None
        self._tally = Tally(call.count_cap())
        self._assembly = Assembly()
        self._early: EarlyChecks | None = EarlyChecks(asked.local, request)
        self._flows = not (call.wanted.buffered or asked.external or self._early.never)
        """Whether it may ever flow."""
        self._waiting: list[Sequence[Delta]] = []
        self._decided = False
        """It flows from now on, has failed, or timed out."""
        self._flowing = False
        self._given = False
        """Whether anybody has it: until then another can be asked."""
        self._finding: Finding | None = None

    async def flow(self) -> Deltas:
        """Yield nothing once when it may flow, then what has waited and all that comes; or
        nothing at all. It begins, and is settled, as Call's own.
        """
        call = self.call
        try:
            async with aclosing(self._read()) as read:
                with suppress(StopAsyncIteration):
                    sink = yield await anext(read)
                    while True:
                        sink = yield await read.asend(sink)
        except BaseException as error:
            call.interrupted(error, self._tally, self.timeout_s, given=self._given)
            raise
        if self._flowing:
            call.completed(self._tally, "passed")
        elif self._finding is not None:
            await self._cut(self._finding)
        else:
            await self._whole()

    async def _read(self) -> Deltas:
        call = self.call
        deltas = self.life.world.upstream.stream(call.sized, self.request, timeout_s=self.timeout_s)
        async with aclosing(deltas):
            with suppress(StopAsyncIteration):
                some = await anext(deltas)
                call.first_token_s = self.life.world.clock() - call.began
                call.dropped = some[0].dropped
                if self._take(some):
                    await self._hold(deltas)
            if self._flowing:
                self.life.tab.first_token_s = self.life.world.clock() - self.life.began
                call.emit_findings(())
                self._given = True
                sink: Sink | None = yield ()
                for held in self._waiting:
                    sink = yield held
                self._waiting = []
                with suppress(StopAsyncIteration):
                    while True:
                        some = await deltas.asend(sink and self._tally.before(sink))
                        self._tally.add(some)
                        sink = yield some
            elif self._decided and self._finding is None:
                raise TimedOut(_LATE)
        if not self._tally.begun:
            raise Broken("the stream was empty")

    async def _hold(self, deltas: Deltas) -> None:
        """Take more until that is enough, or the time is over: also of one that says no more."""
        left_s = self.timeout_s - (self.life.world.clock() - self.call.began)
        limit = asyncio.timeout(left_s)
        try:
            async with limit:
                while self._take(await deltas.asend(self._take)):
                    pass
        except TimeoutError:
            if limit.expired():  # whatever it had come to: its connection is closed
                raise TimedOut(_LATE) from None
            raise

    def _take(self, some: Sequence[Delta]) -> bool:
        """Whether more is wanted before it is decided what becomes of it."""
        if self._decided and not self._flowing:
            return False
        self._tally.add(some)
        if self._flows and some:
            self._waiting.append(some)
        if self._decided:
            return False
        self._assembly.add(some)
        call, early = self.call, self._early
        if early is not None and self._look(early, some):
            self._decided = True
        else:
            call.last_piece = now = self.life.world.clock()
            self._decided = now - call.began >= self.timeout_s
        return not self._decided

    def _look(self, early: EarlyChecks, some: Sequence[Delta]) -> bool:
        """Whether it may flow from now on, or is to be cut."""
        seen = early.feed(some)
        if seen is not None or early.all_decided:
            self._early = None
        if isinstance(seen, Finding):
            self._finding = seen if self.cuts else None
        elif seen is not None:
            self._flowing = self._flows
        return self._flowing or self._finding is not None

    async def _cut(self, finding: Finding) -> None:
        usage = self._tally.counted(self.request)
        self.call.settle("cut", usage, counted=True)
        self.call.emit_findings((finding,))
        part = self._assembly.completion(usage, whole=False)
        answer = self.checks.mend(part, self.request)
        self.answered = Answered(self.call.candidate, answer, usage, (finding,), cut=True)

    async def _whole(self) -> None:
        """It ended before all was decided."""
        usage, counted = self._tally.billed(self.request)
        self.call.settle("ok", usage, counted=counted)
        answer = self._assembly.completion(usage)
        self.answered = self.call.judged(answer, usage)
