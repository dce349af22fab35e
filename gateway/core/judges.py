"""Which candidates may judge an answer, in order: the first that replies decides."""

from collections.abc import Mapping

from msgspec import structs

from gateway.core.chat import ChatRequest
from gateway.core.features import read_features
from gateway.core.ladder import Ladder
from gateway.core.plan import Candidate, Draw, PlanContext, make_plan


def judges(
    judging: ChatRequest, ladders: Mapping[str, Ladder], context: PlanContext, draw: Draw
) -> list[Candidate] | None:
    """The candidates for a judge's question, of the route, tier or model that it names; None where
    nothing has that name. The owner chose the name, so the tenant's own list of models does not
    hold for it; the tenant's regions do.
    """
    ladder = ladders.get(judging.model)
    if ladder is None:
        return None
    tenant = structs.replace(context.tenant, models=("*",))
    context = PlanContext(tenant, context.down, context.factors)
    plan = make_plan(ladder, read_features(judging), context, draw)
    return [candidate for rung in plan.rungs for candidate in rung.candidates]
