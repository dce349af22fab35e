"""`tollgate explain request.json`: why this model, why not the others, what it will cost."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import structs
from rich.console import Console
from rich.table import Table

from gateway.background.auditor import guarded_by
from gateway.commands.markup import escaped
from gateway.core.catalog import Tenant
from gateway.core.errors import UnknownModel
from gateway.core.explain import explain
from gateway.core.features import Features, read_features
from gateway.core.first_rung import after, begin
from gateway.core.guarded_plan import smart_instead
from gateway.core.ladder import Ladder, ladders
from gateway.core.plan import Plan, PlanContext, make_plan
from gateway.core.plans import Plans
from gateway.core.rule_traits import climbed
from gateway.core.snapshot import Snapshot
from gateway.core.tags import tagged
from gateway.web.parse import read_request

_ALWAYS_FIRST: Final = 0.0
"""In place of a random draw: equals are shown in one order each time."""


def explain_request(
    snapshot: Snapshot, body: bytes, tenant: Tenant, at: float = 0.0
) -> dict[str, Any]:
    """The plan of a request's JSON, for a tenant, at the Unix time `at`. A guard's state is not
    known here: the worst cost is that of either state.

    Raises ClientError as a request would.
    """
    request = read_request(body, {}, snapshot.limits.json_depth)
    all_ladders = ladders(snapshot.catalog)
    ladder = all_ladders.get(request.model)
    if ladder is None:
        why = snapshot.catalog.left_out.get(request.model, "it is not in the catalog")
        raise UnknownModel(f"The model '{request.model}' cannot be asked: {why}.", param="model")
    canary, ladder = ladder.of_tenant(tenant.name)
    tags = tagged(request.extras.tags, snapshot.tags)
    rule, ladder = climbed(ladder, request, tags, at, tenant.regions)
    features = read_features(request)
    context = PlanContext(tenant, wall=at)

    def build(features: Features) -> Plan:
        return make_plan(ladder, features, context, lambda: _ALWAYS_FIRST)

    plan = Plans().plan(ladder, features, tenant, 0, build)
    plan, _ = begin(ladder, plan, request, features)

    def explain_plan(ladder: Ladder, plan: Plan) -> dict[str, Any]:
        values = explain(request, features, plan, ladder, rule, context, all_ladders)
        decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
        return decoded

    report = explain_plan(ladder, plan)
    if ladder.audit_policy is not None and guarded_by(ladder.audit_policy, request, ladder, plan):
        below = 0 if plan.start is None else plan.start.below
        smart, chosen = smart_instead(plan, after(ladder.strategy, below))
        other = explain_plan(structs.replace(ladder, strategy=chosen), smart)["cost_usd"]["worst"]
        report["cost_usd"]["worst"] = max(report["cost_usd"]["worst"], other)
    return {**report, "canary": canary or None, "guard": _guard_state(ladder)}


def _guard_state(ladder: Ladder) -> dict[str, str] | None:
    """The state of the route's guard, if it has one: no running gateway is asked."""
    guarded = ladder.audit_policy is not None and ladder.audit_policy.guard is not None
    return {"state": "unknown"} if guarded else None


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report for a person."""
    report = escaped(report)
    features = report["features"]
    output = features["output"] or "no limit asked"
    console.print(
        f"[bold]{report['model']}[/]: about {features['prompt_counted']} tokens in "
        f"(held for {features['prompt']}), out: {output}; needs: {_names(features['needs'])}"
    )
    rule = f"rule [bold]{report['rule']}[/]; " if report["rule"] else ""
    canary = f"canary [bold]{report['canary']}[/]; " if report["canary"] else ""
    console.print(f"{canary}{rule}strategy: {_strategy_text(report['strategy'])}")
    if report["guard"] is not None:
        console.print(_guard_line(report["guard"]))
    for line in _learned_lines(report["learned"]):
        console.print(line)
    table = Table("rung", "tier", "model", "provider", "expected USD", "worst USD")
    for number, rung in enumerate(report["rungs"], 1):
        for each in rung["candidates"]:
            table.add_row(
                str(number),
                rung["tier"],
                each["model"],
                each["provider"],
                _usd(each["expected_usd"]),
                _usd(each["worst_usd"]),
            )
    console.print(table)
    for line in dict.fromkeys(_price_step_lines(report["rungs"])):
        console.print(line)
    for number, rung in enumerate(report["rungs"], 1):
        how = "it flows" if rung["flows"] else f"checks: {_names(rung['checks'])}"
        console.print(f"rung {number}, {rung['tier']}: {how}")
        whys = [each["why"] for each in rung["candidates"]]
        if len(whys) > 1 and set(whys) != {"as listed"}:
            named = (f"{each['deployment']} ({each['why']})" for each in rung["candidates"])
            console.print(f"  {rung['order']}: {', '.join(named)}", soft_wrap=True)
    for skipped in report["skipped"]:
        console.print(f"skipped {skipped['deployment']} ({skipped['tier']}): {skipped['why']}")
    costs = report["cost_usd"]
    if costs is None:
        console.print("[bold red]no model fits this request[/]")
        return
    console.print(
        f"expected ${_usd(costs['expected'])}, worst ${_usd(costs['worst'])}, "
        f"always the last rung ${_usd(costs['always_smart'])}"
    )


def _guard_line(guard: dict[str, Any]) -> str:
    """Its comparisons of such requests, and so who answers."""
    if guard["state"] == "unknown":
        return "guard: what it has seen is known where the gateway runs: ask by --gateway URL"
    seen = guard["agreement"]
    who = "as below" if guard["state"] == "on" else "the last tier answers"
    return (
        f"guard, {guard['bucket']}: [bold]{guard['state']}[/], {who}; {seen['rate']:.0%} of "
        f"{seen['compared']:.0f} comparisons agree, at least {seen['lower_bound']:.0%} "
        f"({guard['threshold']:.0%} are asked)"
    )


def _learned_lines(learned: dict[str, Any] | None) -> Iterator[str]:
    """The first rung by learned weights, and the chances of each tier."""
    if learned is None:
        return
    yield (
        f"begins at [bold]{learned['first']}[/], as it was learned: the least expected cost of "
        f"those at least {learned['floor']:.0%} likely to pass, or {learned['within']:.0%} less "
        "than the best"
    )
    for each in learned["tiers"]:
        clears = "" if each["clears"] else ", which is too little"
        yield (
            f"  {each['tier']}: {each['passes']:.0%} likely to pass{clears}; "
            f"in the end ${_usd(each['expected_usd'])}"
        )


def _strategy_text(strategy: dict[str, Any] | None) -> str:
    """`vote(voters=2, need=2), then cascade`."""
    named = []
    while strategy is not None:
        options = ", ".join(f"{name}={value}" for name, value in strategy["options"].items())
        named.append(f"{strategy['name']}({options})" if options else strategy["name"])
        strategy = strategy["then"]
    return ", then ".join(named)


def _price_step_lines(rungs: list[dict[str, Any]]) -> Iterator[str]:
    """Higher prices of longer prompts, and whether a hold covers them."""
    for each in (each for rung in rungs for each in rung["candidates"]):
        for step in each["price_steps"]:
            held = ", held for" if step["above"] == each["held_above"] else ""
            yield (
                f"{each['deployment']}: {_rates(each['price_usd_per_million_tokens'])} USD per "
                f"million tokens; {_rates(step)} for a prompt above {step['above']:,}{held}"
            )


def _rates(price: dict[str, float]) -> str:
    return f"{_usd(price['input'])} in, {_usd(price['output'])} out"


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _usd(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")
