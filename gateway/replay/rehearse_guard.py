"""A rehearsal with the guard: audits, probes, and tiers that are switched off where poor."""

from collections.abc import Callable

from msgspec import structs

from gateway.core.guard import Guard, GuardSettings, bucket
from gateway.core.guarded_plan import applies, compare, kept, learn, smart_instead
from gateway.core.ladder import Ladder, agreement_of
from gateway.replay.lineup import Lineup
from gateway.replay.records import Query, Records
from gateway.replay.rehearse import Decision, Rehearsal


class WatchedRehearsal(Rehearsal):
    """`draw` gives random numbers in [0, 1). `guards` are the states at the end, by bucket; those
    of a rule by its name and the bucket.
    """

    def __init__(
        self, records: Records, lineup: Lineup, settings: GuardSettings, draw: Callable[[], float]
    ) -> None:
        super().__init__(records, lineup)
        self.settings = settings
        self.draw = draw
        self.guards: dict[str, Guard] = {}
        self.switched = 0
        """How often the tiers below the last were switched off or on."""

    def decide(self, query: Query) -> Decision:
        ladder, plan, features = self.plan_for(query)
        if not applies(ladder, plan):
            return self.execute(query, plan, ladder.strategy)
        kind = _name(ladder, bucket(features))
        guard = self.guards.get(kind, Guard())
        action = guard.decide(self.draw(), self.settings)
        if action in {"smart", "probed"}:
            decision = self.execute(query, *smart_instead(plan, ladder.strategy))
            if action == "probed":
                last = plan.rungs[-1].tier
                probe = self.execute(query, plan, ladder.strategy, without=last)
                decision = structs.replace(decision, audited=probe.called, audit_cost=probe.cost)
                probe_answer = probe.served if kept(probe.why) else None
                guard = self._learn(guard, query, ladder, probe_answer, decision.served)
        else:
            decision = self.execute(query, plan, ladder.strategy)
            served, smart = decision.served, plan.rungs[-1].candidates[0].model.name
            below = {call.model.name for rung in plan.rungs[:-1] for call in rung.candidates}
            if action == "audited" and kept(decision.why) and served and served in below:
                decision = structs.replace(
                    decision, audited=(smart,), audit_cost=self.cost_of((smart,), query)
                )
                guard = self._learn(guard, query, ladder, served, smart)
        guard = guard.pay(decision.cost).pay(decision.audit_cost, audit=True)
        self.switched += guard.allows(self.settings) != self.allowed(kind)
        self.guards[kind] = guard
        return decision

    def allowed(self, kind: str) -> bool:
        return self.guards.get(kind, Guard()).allows(self.settings)

    def _learn(
        self, guard: Guard, query: Query, ladder: Ladder, cheap: str | None, better: str | None
    ) -> Guard:
        """Where an answer is missing, the comparison counts as missed."""
        if cheap is None or better is None:
            return guard.missed()
        policy = ladder.audit_policy
        agreement = policy.agreement if policy else agreement_of(ladder.strategy)
        completions = [self.answers[name][query.id].completion for name in (cheap, better)]
        return learn(guard, compare(completions[0], completions[1], agreement), self.settings)

    @property
    def audit_share(self) -> float:
        """The share of all spending that went to audits."""
        spent = sum(guard.spent for guard in self.guards.values())
        audit = sum(guard.audit for guard in self.guards.values())
        return audit / spent if spent else 0.0


def _name(ladder: Ladder, kind: str) -> str:
    rule = "" if ladder.audit_policy is None else ladder.audit_policy.name.partition("/")[2]
    return f"{rule}: {kind}" if rule else kind
