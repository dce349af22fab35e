"""Which recorded models are on which rung: the configured route, filled from the recordings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from gateway.core.catalog import BALLOTS, Catalog, Deployment, Model, Route, Tier, TierModel
from gateway.core.ladder import Ladder, ladders
from gateway.core.snapshot import CAPABILITIES
from gateway.replay.records import RecordedModel, Records, Unusable

_AMPLE: Final = 10_000_000
"""Tokens: a model that has answered had room for the prompt."""


class Lineup(Struct, frozen=True):
    """`pool` is in the order of the rungs; `notes` says what was left out or replaced."""

    ladder: Ladder
    pool: tuple[str, ...]
    smart: str
    notes: tuple[str, ...] = ()


def alias(name: str) -> str:
    """A recorded model's name as a configuration may write it: without its owner."""
    return name.rpartition("/")[2]


def line_up(
    records: Records,
    catalog: Catalog,
    route: Route,
    pool: Sequence[str] = (),
    smart: str | None = None,
) -> Lineup:
    """The route over recorded models. Raises Unusable.

    Where the route names recorded models, they are used, as far as they are in the pool. Else the
    pool is dealt to its rungs: the smart model to the last, the others from the first on. The
    default pool is every recorded model, by price.
    """
    by_name = {alias(name): name for name in records.models} | {n: n for n in records.models}
    unknown = [each for each in (*pool, *([smart] if smart else [])) if each not in by_name]
    if unknown:
        known = ", ".join(records.models)
        raise Unusable(f"no recorded answers of {', '.join(unknown)}; there are {known}")
    names = [by_name[each] for each in pool] or sorted(records.models, key=_by_price(records))
    if smart is not None and by_name[smart] not in names:
        names.append(by_name[smart])
    tiers, notes = _named_tiers(catalog, route, by_name, names)
    if not tiers:
        tiers = _deal_tiers(
            catalog, route, names, by_name[smart] if smart else _best(records, names)
        )
    elif smart is not None and by_name[smart] not in tiers[-1].models:
        notes.append(f"{smart} is not on the last rung")
    return _build(records, catalog, route, tiers, by_name[smart] if smart else None, notes)


class _Rung(Struct, frozen=True):
    tier: Tier
    models: tuple[str, ...]
    """Names in the recordings."""


def _named_tiers(
    catalog: Catalog, route: Route, by_name: Mapping[str, str], names: Sequence[str]
) -> tuple[list[_Rung], list[str]]:
    """The route's own tiers, as far as they are recorded; none where no tier of it is."""
    tiers = []
    left_out: list[str] = []
    for name in route.tiers:
        tier = catalog.tiers[name]
        recorded = [by_name[e.model] for e in tier.models if by_name.get(e.model) in names]
        left_out += [e.model for e in tier.models if by_name.get(e.model) not in names]
        if recorded:
            tiers.append(_Rung(tier, tuple(recorded)))
    notes = [f"left out, for there are no recorded answers in the pool: {', '.join(left_out)}"]
    return tiers, notes if left_out and tiers else []


def _deal_tiers(catalog: Catalog, route: Route, pool: Sequence[str], smart: str) -> list[_Rung]:
    """The first rung gets as many as vote, or those that are left over; the others one each."""
    cheap = [name for name in pool if name != smart]
    tiers = [catalog.tiers[name] for name in route.tiers]
    first = max(1, len(cheap) - len(tiers) + 2) if tiers else 1
    if route.strategy.name in BALLOTS:
        first = max(first, route.strategy.options["voters"])
    groups = [group for group in (cheap[:first], *([each] for each in cheap[first:])) if group]
    below = tiers[:-1] or tiers or [Tier("cheap", ())]
    while len(below) < len(groups):
        below.append(structs.replace(below[-1], name=f"{below[-1].name}_{len(below)}"))
    rungs = [_Rung(tier, tuple(group)) for tier, group in zip(below, groups, strict=False)]
    return [*rungs, _Rung(tiers[-1] if tiers else Tier("smart", ()), (smart,))]


def _build(
    records: Records,
    catalog: Catalog,
    route: Route,
    rungs: Sequence[_Rung],
    smart: str | None,
    notes: Sequence[str],
) -> Lineup:
    """Rules that lead to other tiers are kept where those name recorded models."""
    names = list(dict.fromkeys(name for rung in rungs for name in rung.models))
    models = {name: _model(records.models[name], catalog) for name in names}
    tiers = {}
    for number, rung in enumerate(rungs):
        name = rung.tier.name if rung.tier.name not in tiers else f"{rung.tier.name}_{number}"
        filled = tuple(TierModel(each) for each in rung.models)
        tiers[name] = structs.replace(rung.tier, name=name, models=filled)
    rules = tuple(rule for rule in route.rules if all(tier in tiers for tier in rule.tiers))
    if len(rules) < len(route.rules):
        notes = [*notes, "rules that lead to tiers without recorded models are left out"]
    strategy = route.strategy
    if strategy.name in BALLOTS and len(rungs[0].models) < strategy.options["need"]:
        notes = [*notes, f"the first rung has too few models for {strategy.name}: it is climbed"]
    route = structs.replace(
        route,
        name="replay",
        tiers=tuple(tiers),
        rules=rules,
        canary=None,
        shadow=None,
        cache=None,
    )
    catalog_of_route = Catalog(models, tiers, {"replay": route})
    pool = tuple(names)
    return Lineup(
        ladders(catalog_of_route)["replay"],
        pool,
        smart or rungs[-1].models[0],
        (*records.notes, *notes),
    )


def _model(recorded: RecordedModel, catalog: Catalog) -> Model:
    """With the recording's price, and the provider of the configuration if it has the model."""
    known = catalog.models.get(alias(recorded.name))
    provider = known.deployments[0].provider if known else recorded.name
    deployment = Deployment(f"{provider}/{recorded.name}", provider, recorded.name)
    return Model(
        name=recorded.name,
        deployments=(deployment,),
        price=recorded.price,
        context=_AMPLE,
        usable_context=_AMPLE,
        max_output=1,
        capabilities=frozenset(CAPABILITIES),
        output_stated=False,
    )


def _by_price(records: Records) -> Callable[[str], tuple[int, str]]:
    def sort_key(name: str) -> tuple[int, str]:
        price = records.models[name].price
        return price.input + price.output, name

    return sort_key


def _best(records: Records, pool: Sequence[str]) -> str:
    """The most accurate one on the queries that all have answered, as in the recordings' scorer."""
    queries = records.answered_by_all(tuple(pool))

    def correct(name: str) -> float:
        answers = records.models[name].answers
        return sum(answers[query.id].quality for query in queries)

    return max(pool, key=correct)
