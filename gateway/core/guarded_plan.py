"""What a guard's decision means for a plan, and how two answers are compared: in the gateway and in
replay.

A guard compares answers from below the last tier, by whichever tier, with the last tier's.
"""

from gateway.core.agree import Agreement, key_of
from gateway.core.agree.groups import same
from gateway.core.catalog import BALLOTS, Tactic
from gateway.core.chat import Completion
from gateway.core.first_rung import after
from gateway.core.guard import Guard, GuardSettings
from gateway.core.ladder import Ladder
from gateway.core.plan import Plan, Rung, Skipped
from gateway.core.strategies import taking

_KEPT = ("agreed", "lone_vote", "passed", "unjudged")


def applies(ladder: Ladder, plan: Plan) -> bool:
    """Whether there is something to guard: another tier may answer, and so may the last."""
    rungs = plan.rungs
    return len(rungs) > 1 and rungs[-1].tier == ladder.steps[-1].tier


def kept(why: str) -> bool:
    """Whether a verdict kept its answer because it was good, and not because there was no other."""
    return why in _KEPT


def smart_part(plan: Plan) -> Plan:
    """The last rung alone."""
    return Plan(plan.rungs[-1:], plan.skipped, max_cost=plan.max_cost)


def smart_instead(plan: Plan, chosen: Tactic) -> tuple[Plan, Tactic]:
    """The last rung in place of all. Should each call of it fail, those below are asked after all:
    a guard is no reason to give no answer. They do not vote with it.
    """
    below, last = plan.rungs[:-1], plan.rungs[-1]
    then = taking(last, after(chosen, len(below)))
    others = tuple(each for rung in below for each in rung.candidates)
    skipped = tuple(Skipped(each.deployment.name, each.tier, "guard") for each in others)
    candidates = last.candidates if then.name in BALLOTS else (*last.candidates, *others)
    rungs = (Rung(last.tier, candidates, last.checks),)
    return Plan(rungs, (*plan.skipped, *skipped), max_cost=plan.max_cost), then


def compare(one: Completion, other: Completion, agreement: Agreement) -> bool | None:
    """Whether two answers mean the same; None when that cannot be told."""
    first, second = key_of(one, agreement), key_of(other, agreement)
    return None if first is None or second is None else same(first, second)


def learn(guard: Guard, same: bool | None, settings: GuardSettings) -> Guard:
    """The guard after a comparison; None counts as a try without a result."""
    return guard.missed() if same is None else guard.observe(same, settings)
