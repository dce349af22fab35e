"""Drive the real plan, strategies and checks, with a record in place of each call.

What handle.py does around them needs a network, a clock and a ledger; here a round is answered at
once. A recorded answer is the same for every call, whatever messages are added after the client's.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from gateway.core.agree import key_of
from gateway.core.catalog import Tactic, Tenant
from gateway.core.features import Features, read_features
from gateway.core.first_rung import after, begin
from gateway.core.ladder import Ladder, agreement_of
from gateway.core.money import Nanos
from gateway.core.plan import Candidate, Plan, PlanContext, make_plan
from gateway.core.rule_traits import climbed
from gateway.core.strategies import carry_out
from gateway.core.strategies.progress import OUTRUN
from gateway.core.strategy import Answered, Outcome, Round, Stopped, Verdict
from gateway.replay.lineup import Lineup
from gateway.replay.records import Answer, Query, Records

_CONTEXT: Final = PlanContext(Tenant("replay"))


class Decision(Struct, frozen=True):
    """What became of one query. `called` has every call that was paid for, in order; `why` is the
    verdict's word. `audited` are calls that the client does not see.
    """

    id: str
    served: str | None
    called: tuple[str, ...]
    quality: float
    cost: Nanos
    why: str
    seconds: float | None = None
    audited: tuple[str, ...] = ()
    audit_cost: Nanos = Nanos(0)


class Rehearsal:
    """One lineup over one set of records, and what was noticed on the way."""

    def __init__(self, records: Records, lineup: Lineup) -> None:
        self.lineup = lineup
        self.pool = tuple(dict.fromkeys((*lineup.pool, lineup.smart)))
        self.answers = {name: records.models[name].answers for name in self.pool}
        self.queries = records.answered_by_all(self.pool)
        self.compared = 0
        """Votes that were compared."""
        self.incomparable = 0
        """Those of them that have no key: they agree with nothing."""
        self.failed: Counter[str] = Counter()
        """Answers that failed a check, by the check."""
        self.failed_though_right: Counter[str] = Counter()
        self.began: Counter[str] = Counter()
        """Where plans began, of a route that learned it."""
        self.added_messages = 0
        """Calls with added messages, which the recorded answer did not see."""

    def run(self) -> list[Decision]:
        return [self.decide(query) for query in self.queries]

    def plan_for(self, query: Query) -> tuple[Ladder, Plan, Features]:
        features = read_features(query.request)
        _, ladder = climbed(self.lineup.ladder, query.request, query.tags, query.at, None)
        if features.region or features.max_cost or features.max_latency_s:
            # For rules only: a recorded answer was in the region, cheap enough and in time.
            features = structs.replace(features, region=None, max_cost=None, max_latency_s=None)
        plan = make_plan(ladder, features, _CONTEXT, _first_listed)
        if ladder.learned is not None:
            plan, _ = begin(ladder, plan, query.request, features)
            if plan.start is not None:
                self.began[plan.start.tier] += 1
                chosen = after(ladder.strategy, plan.start.below)
                ladder = structs.replace(ladder, strategy=chosen)
        return ladder, plan, features

    def decide(self, query: Query) -> Decision:
        ladder, plan, _ = self.plan_for(query)
        return self.execute(query, plan, ladder.strategy)

    def execute(self, query: Query, plan: Plan, chosen: Tactic, *, without: str = "") -> Decision:
        """One request, from its plan to its verdict. Calls to the tier `without` are stopped."""
        strategy = carry_out(plan, chosen)
        names: list[str] = []
        votes: list[Outcome] = []
        took: float | None = 0.0
        verdict = Verdict(None, "exhausted")
        try:
            wanted = next(strategy)
            while True:
                if wanted.calls[0].tier == without:
                    wanted = strategy.send(tuple(Stopped(c, "guard") for c in wanted.calls))
                    continue
                outcomes, begun, seconds = self._round(wanted, query)
                names += [call.model.name for call in wanted.calls[:begun]]
                took = None if took is None or seconds is None else took + seconds
                votes += outcomes if wanted.cause.purpose == "vote" else ()
                wanted = strategy.send(outcomes)
        except StopIteration as stop:
            verdict = stop.value
        if votes:
            self._count(votes, chosen, agreed=verdict.why == "agreed")
        served = verdict.answer.candidate.model.name if verdict.answer else None
        return Decision(
            id=query.id,
            served=served,
            called=tuple(names),
            quality=self.answers[served][query.id].quality if served else 0.0,
            cost=self.cost_of(names, query),
            why=verdict.why,
            seconds=took,
        )

    def cost_of(self, names: Sequence[str], query: Query) -> Nanos:
        return Nanos(sum(self.answers[name][query.id].cost for name in names))

    def _round(self, wanted: Round, query: Query) -> tuple[tuple[Outcome, ...], int, float | None]:
        """The outcomes, how many calls began, and the seconds until the last outcome."""
        answers = [self.answers[call.model.name][query.id] for call in wanted.calls]
        self.added_messages += len(wanted.calls) if wanted.messages else 0
        outcomes = tuple(
            self._outcome(wanted, call, answer, query)
            for call, answer in zip(wanted.calls, answers, strict=True)
        )
        times = [answer.seconds for answer in answers]
        if wanted.stagger_s is not None:
            return _race(outcomes, times, wanted.stagger_s)
        known = [each for each in times if each is not None]
        return outcomes, len(outcomes), max(known) if len(known) == len(times) else None

    def _outcome(self, wanted: Round, call: Candidate, answer: Answer, query: Query) -> Answered:
        checks = wanted.checks
        if not checks.all or answer.blank:
            return Answered(call, answer.completion, answer.usage)
        findings = checks.judge(answer.completion, query.request)
        for finding in findings:
            self.failed[finding.check] += 1
            self.failed_though_right[finding.check] += answer.quality >= 1.0
        mended = checks.mend(answer.completion, query.request)
        return Answered(call, mended, answer.usage, findings)

    def _count(self, votes: Sequence[Outcome], chosen: Tactic, *, agreed: bool) -> None:
        """How often an answer of a vote could not be compared."""
        passed = [each for each in votes if isinstance(each, Answered) and not each.findings]
        self.compared += len(passed)
        if not (agreed and len(passed) == chosen.options["need"]):  # then each of them has a key
            agreement = agreement_of(chosen)
            keys = [key_of(each.completion, agreement) for each in passed]
            self.incomparable += keys.count(None)


def _first_listed() -> float:
    """In place of a random draw: equals in their order."""
    return 0.0


def _race(
    outcomes: Sequence[Answered], times: Sequence[float | None], apart_s: float
) -> tuple[tuple[Outcome, ...], int, float | None]:
    """As in rounds.py: calls begin `apart_s` after one another, the first good answer ends them.

    Where no times are recorded every answer is there at once, so that the first good one is alone.
    """
    starts = [apart_s * number for number in range(len(outcomes))]
    ends = [at + (took or 0.0) for at, took in zip(starts, times, strict=True)]
    good = [at for at, outcome in zip(ends, outcomes, strict=True) if not outcome.findings]
    end = min(good, default=max(ends))
    begun = sum(at < end for at in starts[1:]) + 1 if good else len(outcomes)
    results = tuple(
        outcome if at <= end else Stopped(outcome.candidate, OUTRUN)
        for at, outcome in zip(ends, outcomes, strict=True)
    )
    return results, begun, None if None in times else end
