"""What is left of an audit when it has ended: nothing."""

from dataclasses import replace
from pathlib import Path

from gateway.core.catalog import Route, Tenant
from gateway.core.features import Features
from gateway.core.ladder import Ladder
from gateway.core.plan import Plan
from gateway.core.plans import Make, Plans
from gateway.core.trials import Shadow
from gateway.drivers.ledger.local_ledger import LocalLedger
from tests.lives import well
from tests.test_background import GOOD_PAIR, given, outcomes, route, scene, sound


async def test_the_ledger_forgets_an_audit_that_has_ended(tmp_path: Path) -> None:
    """One that goes on without its server remembers the lives that the server may know."""
    shadowed = route(shadow=Shadow("s", 1.0))
    turns = {"a": [well], "b": [well], "c": [well], "d": [well]}
    made, runner = await scene(shadowed, turns, GOOD_PAIR, others=[Route("s", ("smart",))])
    world, tenants = made.life.world, [Tenant("t", on_ledger_unavailable="allow_local")]
    local = LocalLedger(
        made.ledger, tenants, tmp_path, replicas=1, observe=made.events.append,
        clock=world.clock, wall=world.wall,
    )  # fmt: skip
    made.life.world = replace(world, ledger=local)
    await given(made, runner)
    assert {kind for kind, _ in outcomes(made)} == {"guard", "shadow"}
    assert not local._known_lives
    await sound(made)


async def test_the_plan_of_an_audit_is_not_kept_among_those_of_requests() -> None:
    """Nobody would find it there, and a full cache is emptied: each request would plan anew."""
    asked: list[str] = []

    class Told(Plans):
        def plan(
            self, ladder: Ladder, features: Features, tenant: Tenant, learned: int, make: Make
        ) -> Plan:
            asked.append(ladder.name)
            return super().plan(ladder, features, tenant, learned, make)

    turns = {"a": [well], "b": [well], "c": [well], "d": [well]}
    shadowed = route(shadow=Shadow("s", 1.0))
    made, runner = await scene(shadowed, turns, GOOD_PAIR, others=[Route("s", ("smart",))])
    made.life.world = replace(made.life.world, plans=Told())
    await given(made, runner)
    assert {kind for kind, _ in outcomes(made)} == {"guard", "shadow"}
    assert asked == ["r"]
