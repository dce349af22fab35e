"""Who may judge an answer, in order; the first that answers does."""

from collections.abc import Mapping

from msgspec import structs

from gateway.core.chat import ChatRequest
from gateway.core.features import read_features
from gateway.core.ladder import Ladder
from gateway.core.plan import Candidate, Draw, Limits, make_plan


def judges(
    asked: ChatRequest, ladders: Mapping[str, Ladder], limits: Limits, draw: Draw
) -> list[Candidate] | None:
    """Of a judge's question. Who may judge is the owner's choice, where it is asked the tenant's.
    None where nothing has the name that is to judge.
    """
    ladder = ladders.get(asked.model)
    if ladder is None:
        return None
    tenant = structs.replace(limits.tenant, models=("*",))
    limits = Limits(tenant, limits.down, limits.factors)
    plan = make_plan(ladder, read_features(asked), limits, draw)
    return [candidate for rung in plan.rungs for candidate in rung.candidates]
