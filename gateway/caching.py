"""The response cache in a request's life: an answer that was given before, for the same request.

A life that finds one is over: nothing is held, called or charged. One that finds none goes on as
any other, and its answer is kept when it is good. Nothing here can fail a request: where the cache
cannot say in time, nothing is kept.
"""

from typing import Final

from msgspec import structs

from gateway.call import closing_with_cause
from gateway.core import events, response_cache
from gateway.core.assembly import Assembly
from gateway.core.catalog import Cache
from gateway.core.chat import Completion, Usage
from gateway.core.errors import CacheDown
from gateway.core.flow import Deltas
from gateway.core.plan import Candidate
from gateway.core.reason import GUARD, header_value
from gateway.core.records.record import CACHED, UsageRecord
from gateway.core.response_cache import CacheControl, CacheEntry, CacheHit
from gateway.handle import UNREAD, Life, Reply

_DEFAULT: Final = CacheControl()
_NOTHING: Final = Usage()
_ALIKE: Final = {"error": "miss"}
"""What a client need not tell apart."""


class CachingLife(Life):
    """Of a request to a route that keeps its answers."""

    cache_control: CacheControl = _DEFAULT
    _key: str | None = None
    """Under which its answer is to be kept."""
    _cache: Cache | None = None
    """How its route keeps answers."""

    def _read(self) -> None:
        if self.features is UNREAD:
            super()._read()

    async def answer(self) -> Reply:
        try:
            found, outcome = await self._look_up()
        except BaseException as error:
            self.world.observe(events.Began(self.about, self.request))
            self.end(None, error)
            raise
        if found is not None:
            return self._reply_from_cache(found)
        self.world.observe(events.CacheLookup(self.about, outcome))
        status = _ALIKE.get(outcome, outcome).encode()
        reply = await super().answer()
        reply = structs.replace(reply, headers=((b"x-gateway-cache", status),))
        if self._key is None or self.tab.verdict_missing or self._is_stand_in(reply.candidate):
            return reply
        why = reply.reason.partition(";")[0]
        if reply.deltas is None:
            self._keep(reply, reply.completion, why)
            return reply
        if not response_cache.joins(self.request):
            return reply
        deltas = self._keep_when_whole(reply, reply.deltas, why)
        await anext(deltas)  # so that closing it closes the call, also before anybody listens
        return structs.replace(reply, deltas=deltas)

    def _is_stand_in(self, who: Candidate) -> bool:
        """Whether a guard has left it out, and it was asked as the last tier failed: its answer is
        better than none, but no answer for later.
        """
        return GUARD in self.trail and who.tier != self.plan.rungs[-1].tier

    async def _look_up(self) -> tuple[CacheHit | None, str]:
        """The answer that was kept for this request, and what came of asking for it."""
        named, responses, cache_control = self.ladder, self.world.responses, self.cache_control
        self._cache = cache = named.cache
        if cache is None or responses is None or not (cache_control.lookup or cache_control.store):
            return None, "bypass"
        self._read()  # notes on its trail which rule holds
        rule = "; ".join(self.trail)
        key = response_cache.key_of(self.request, self.tenant, cache, rule, self.about.user)
        self._key = key if cache_control.store else None
        if key is None or not cache_control.lookup:
            return None, "bypass"
        try:
            found = await responses.find(self.tenant.name, key)
        except CacheDown:
            return None, "error"
        if found is None:
            return None, "miss"
        recalled = response_cache.unpack(*found, cache, named, cache_control)
        return recalled, "miss" if recalled is None else "hit"

    def _reply_from_cache(self, found: CacheHit) -> Reply:
        """The whole life of a request whose answer was kept."""
        self.tab.usage, who, observe = found.usage, found.candidate, self.world.observe
        to = (who.deployment.provider, who.model.name, who.tier)
        seconds = self.world.clock() - self.began
        observe(events.Began(self.about, self.request))
        observe(events.CacheLookup(self.about, "hit", found.saved, to))
        whole = found.completion
        observe(events.Replied(self.about, *to, "cached", seconds, 0.0, None, answer=whole))
        self.world.record_cache_hit(self._hit(found.saved, to))
        reason = header_value("cached", self.trail)
        headers = ((b"x-gateway-cache", b"hit"), (b"age", b"%d" % found.age_s))
        return Reply(who, reason, whole, None, whole.dropped, headers)

    def _hit(self, saved: int, to: tuple[str, str, str]) -> UsageRecord:
        about, (provider, model, tier) = self.about, to
        return UsageRecord(
            attempt="",
            request="",
            tenant=about.tenant,
            route=about.route,
            model=model,
            provider=provider,
            tier=tier,
            purpose=CACHED,
            outcome="ok",
            held=0,
            cost=0,
            usage=_NOTHING,
            organisation=about.organisation,
            key=about.key,
            user=about.user,
            tags=about.tags,
            stream=about.stream,
            hits=1,
            saved=saved,
        )

    async def _keep_when_whole(self, reply: Reply, deltas: Deltas, why: str) -> Deltas:
        """Yield nothing once, then the deltas; the answer is kept when it has ended whole."""
        assembly = Assembly()
        async with closing_with_cause(deltas) as flow:
            yield ()
            async for some in flow:
                assembly.add(some)
                yield some
        whole = structs.replace(assembly.completion(self.tab.usage), dropped=reply.dropped)
        self._keep(reply, whole, why)

    def _keep(self, reply: Reply, whole: Completion | None, why: str) -> None:
        cache, responses, key = self._cache, self.world.responses, self._key
        if cache is None or responses is None or key is None or whole is None:
            return
        if not response_cache.is_cacheable(whole, why, self.request):
            return
        who, tab = reply.candidate, self.tab
        entry = CacheEntry(who.deployment.name, who.tier, whole, tab.usage, tab.spent, cache.ttl_s)
        data = response_cache.pack(entry)
        if len(data) <= cache.most_bytes:
            responses.keep(self.tenant.name, key, data, cache.ttl_s)
