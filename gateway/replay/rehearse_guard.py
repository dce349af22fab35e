"""A rehearsal that is watched: audits, probes, and a vote that is switched off where it is poor."""

from collections.abc import Callable

from msgspec import structs

from gateway.core.agree import key_of
from gateway.core.catalog import CASCADE
from gateway.core.guard import Guard, Watch, bucket
from gateway.core.plan import Plan
from gateway.replay.lineup import Lineup
from gateway.replay.records import Query, Records
from gateway.replay.rehearse import Decision, Rehearsal, agreement_of


class WatchedRehearsal(Rehearsal):
    """`draw` gives random numbers in [0, 1). `guards` are the states by bucket at the end."""

    def __init__(
        self, records: Records, lineup: Lineup, watch: Watch, draw: Callable[[], float]
    ) -> None:
        super().__init__(records, lineup)
        self.watch = watch
        self.draw = draw
        self.guards: dict[str, Guard] = {}
        self.switched = 0
        """How often the cheap ones were switched off or on."""

    def decide(self, query: Query) -> Decision:
        ladder, plan, features = self.planned(query)
        if len(plan.rungs) == 1:
            return self.carried_out(query, plan, ladder.strategy)
        kind = bucket(features)
        guard = self.guards.get(kind, Guard())
        course = guard.course(self.draw(), self.watch)
        cheap = Plan(plan.rungs[:1], plan.skipped)
        if course in {"smart", "probed"}:
            higher = Plan(plan.rungs[1:], plan.skipped)
            decision = self.carried_out(query, higher, ladder.strategy.then or CASCADE)
            if course == "probed":
                probe = self.carried_out(query, cheap, ladder.strategy)
                decision = structs.replace(decision, audited=probe.called, audit_cost=probe.cost)
                kept = probe.served if probe.why in _KEPT else None
                guard = self._compared(guard, query, kept, decision.served)
        else:
            decision = self.carried_out(query, plan, ladder.strategy)
            below: set[str | None] = {call.model.name for call in plan.rungs[0].candidates}
            served = decision.served
            if course == "audited" and decision.why in _KEPT and served and served in below:
                smart = self.lineup.smart
                decision = structs.replace(
                    decision, audited=(smart,), audit_cost=self.cost_of((smart,), query)
                )
                guard = self._compared(guard, query, served, smart)
        guard = guard.pay(decision.cost).pay(decision.audit_cost, audit=True)
        self.switched += guard.allows(self.watch) != self.allowed(kind)
        self.guards[kind] = guard
        return decision

    def allowed(self, kind: str) -> bool:
        return self.guards.get(kind, Guard()).allows(self.watch)

    def _compared(self, guard: Guard, query: Query, cheap: str | None, better: str | None) -> Guard:
        """What cannot be compared says nothing of the cheap ones."""
        agreement = agreement_of(self.lineup.ladder.strategy)
        keys = [
            key_of(self.answers[name][query.id].completion, agreement)
            for name in (cheap, better)
            if name is not None
        ]
        if len(keys) < 2 or None in keys:
            return guard.missed()
        return guard.observe(keys[0] == keys[1], self.watch)

    @property
    def audit_share(self) -> float:
        """Of all that was spent."""
        spent = sum(guard.spent for guard in self.guards.values())
        audit = sum(guard.audit for guard in self.guards.values())
        return audit / spent if spent else 0.0


_KEPT = ("agreed", "lone_vote", "passed", "unjudged")
