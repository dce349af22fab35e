"""Tables for which no gateway has to run."""

from contextlib import ExitStack

from benchmarks import planning, rehearsal
from benchmarks.ledger import AT_ONCE, LeasedPairs, Pairs
from benchmarks.stage import Stage
from benchmarks.systems import Group
from gateway.drivers.redis.embedded import EmbeddedRedis


def ledger(stage: Stage, stack: ExitStack) -> Group:
    server = stack.enter_context(EmbeddedRedis(stage.folder / "pairs"))
    rows = [Pairs(server), LeasedPairs(server)]
    return Group(f"Ledger, {AT_ONCE} requests in flight", "us/pair", rows)


def plan(stage: Stage, stack: ExitStack) -> Group:
    bodies = planning.various()
    title = f"Features, rules and plan of a request; the aim is {planning.GOAL_US} us"
    note = (
        f"Prompts of {planning.LEAST_BYTES:,} to {planning.MOST_BYTES:,} bytes, half of them above "
        f"{planning.MEDIAN_BYTES:,}. A plan is kept for those of about one size: "
        f"{planning.missed(bodies):.1%} of requests have theirs made."
    )
    return Group(title, "us/req", planning.rows(bodies), note=note)


def replay(stage: Stage, stack: ExitStack) -> Group:
    goal = f"{rehearsal.QUERIES:,} queries in {rehearsal.GOAL_S} s"
    each = rehearsal.GOAL_S / rehearsal.QUERIES * 1e6
    title = f"tollgate replay, {rehearsal.FEWER:,} queries; the aim is {goal}, {each:.0f} us"
    return Group(title, "us/query", rehearsal.rows(stage.folder), rounds=3)
