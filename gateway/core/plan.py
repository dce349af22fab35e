"""From what was asked, the catalog, health and headroom to an ordered plan.

A plan is a ladder: a failure moves sideways within a rung, a poor answer up to the next.
`Plan.skipped` says why each other deployment is out.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from math import ceil
from typing import Any, Final, TypeVar

from msgspec import Struct, structs

from gateway.core.catalog import Deployment, Model, Tactic, Tenant
from gateway.core.checks import Checklist, checklist
from gateway.core.features import Features
from gateway.core.ladder import Ladder, Step, StepModel
from gateway.core.learned import Start
from gateway.core.money import NO_SURCHARGES, Nanos, Price, Surcharges, ceiling, usd
from gateway.core.order import Order, RankingFacts, ordered
from gateway.core.pace import LatencyTracker
from gateway.core.patterns import allowed
from gateway.core.token_factors import Factors
from gateway.core.tokens import IMAGE_TOKENS, has_openai_tokenizer

Draw = Callable[[], float]
"""A random number in [0, 1)."""

_NOT_LEARNED: Final = Factors()

T = TypeVar("T", bound=Any)


class Candidate(Struct, frozen=True):
    """A call that could be made: the most it can cost, and the output limit that bounds it."""

    model: Model
    deployment: Deployment
    tier: str
    max_output: int
    ceiling: Nanos
    tokens: int = 0
    """The most tokens it can take, in and out."""
    prompt: int = 0
    """The most of these that are the prompt's."""
    p95_s: float = 2.0
    """Seconds until its answer begins: the observed 95th percentile."""
    surcharges: Surcharges = NO_SURCHARGES
    """What it may be billed for beyond fresh text."""

    def with_more(self, tokens: int) -> "Candidate":
        """The same with so many more prompt tokens, which may leave less room for its answer."""
        if not tokens:
            return self
        more = in_its_tokens(self.model, tokens)
        prompt, output = self.prompt + more, self.max_output
        price = peak_price(self.model, self.deployment, prompt)
        most = ceiling(price, prompt, self.tokens - self.prompt, self.surcharges, caches=True)
        output = min(output, max(self.model.usable_context - prompt, output - more, 1))
        return structs.replace(
            self, max_output=output, ceiling=most, tokens=self.tokens + more, prompt=prompt
        )


class Rung(Struct, frozen=True):
    """Candidates tried in order until one answers; the answer is held against the checks."""

    tier: str
    candidates: tuple[Candidate, ...]
    checks: Checklist


class Skipped(Struct, frozen=True):
    """A deployment that is out, and why."""

    deployment: str
    tier: str
    why: str


class Plan(Struct, frozen=True):
    rungs: tuple[Rung, ...]
    skipped: tuple[Skipped, ...] = ()
    start: Start | None = None
    """Why it begins where it does, where that was learned; see core/first_rung.py."""
    max_cost: Nanos | None = None
    """What all calls of the request together may cost; None where nothing limits it."""


class PlanContext(Struct, frozen=True):
    """What a plan depends on beside the request itself."""

    tenant: Tenant
    down: AbstractSet[str] = frozenset()
    """Names of deployments whose circuit is open."""
    factors: Factors = _NOT_LEARNED
    pace: LatencyTracker | None = None
    warm: AbstractSet[str] = frozenset()
    """Names of deployments whose prompt cache holds the request's beginning."""
    prefix: int = 0
    """Tokens of that beginning."""
    wall: float = 0.0
    """Unix seconds: prices change by the hour."""


def make_plan(ladder: Ladder, features: Features, context: PlanContext, draw: Draw) -> Plan:
    """What could answer, in order, and why everything else is out."""
    sieve = _Sieve(ladder, features, context, draw)
    rungs = tuple(rung for step in ladder.steps if (rung := sieve.rung(step)).candidates)
    return Plan(rungs, tuple(sieve.skipped), max_cost=sieve.headroom)


class _Sieve:
    """Rules candidates out, and records why."""

    def __init__(
        self, ladder: Ladder, features: Features, context: PlanContext, draw: Draw
    ) -> None:
        self.features = features
        self.context = context
        self.races = races(ladder.strategy)
        self.tenant = context.tenant
        self.down = context.down
        self.factors = context.factors
        self.draw = draw
        self.skipped: list[Skipped] = []
        self.any_model = allowed(self.tenant.models, ladder.name)
        caps = [cap for cap in (features.max_cost, self.tenant.max_request) if cap is not None]
        self.headroom = min(caps, default=None)

    def rung(self, step: Step) -> Rung:
        """The candidates of a step that fit.

        The last deployments of a model are never ejected for their health, only asked after the
        healthy.
        """
        healthy: list[Candidate] = []
        last_resort: list[Candidate] = []
        for place in _weighted(step.models, self.draw):
            up, down = self._fit(place, step.tier)
            healthy += up
            if up:
                self.skipped += [Skipped(c.deployment.name, c.tier, "health") for c in down]
            else:
                last_resort += down
        # A draw by weight yields to a warm cache: elsewhere the prefix is paid for again.
        observed = step.order != "listed" or (self.context.warm and step.drawn)
        if observed and len(healthy) > 1:
            healthy = self._ordered(step.order, healthy)
        checks = step.checks if self.features.checks is None else self.features.checks
        return Rung(step.tier, (*healthy, *last_resort), checklist(checks))

    def _fit(self, place: StepModel, tier: str) -> tuple[list[Candidate], list[Candidate]]:
        """A model's deployments that fit: those whose circuits are closed, and the others."""
        up: list[Candidate] = []
        down: list[Candidate] = []
        model, features = place.model, self.features
        prompt = prompt_bound(model, features, self.factors)
        unfit = self._forbidden(model) or _unfit_model(model, features, prompt)
        for deployment in _weighted(place.deployments, self.draw):
            why = unfit or _unfit_region(deployment, features.region, self.tenant.regions)
            if why is None:
                candidate = _candidate(model, deployment, tier, features, prompt)
                if self.races:
                    candidate = paced(candidate, self.context.pace)
                why = self._too_dear(candidate) or self._too_slow(deployment)
                if why is None:
                    (down if deployment.name in self.down else up).append(candidate)
                    continue
            self.skipped.append(Skipped(deployment.name, tier, why))
        return up, down

    def _forbidden(self, model: Model) -> str | None:
        permitted = self.any_model or allowed(self.tenant.models, model.name)
        return None if permitted else "tenant's models"

    def _ordered(self, order: Order, candidates: list[Candidate]) -> list[Candidate]:
        context = self.context
        facts = [
            RankingFacts(
                each.deployment.name,
                price_now(each.model, each.deployment, each.prompt, context.wall),
                each.prompt,
                min(context.prefix, each.prompt),
                each.max_output * self.features.n,
                each.model.card.latency,
                self.features.caches or each.deployment.caches_unasked,
            )
            for each in candidates
        ]
        best = ordered(order, facts, context.pace or LatencyTracker(), context.warm)
        return [candidates[at] for at in best]

    def _too_slow(self, deployment: Deployment) -> str | None:
        """Why it is out where more than half of its answers take longer than the client waits."""
        wanted, pace = self.features.max_latency_s, self.context.pace
        if wanted is None or pace is None:
            return None
        seen = pace.quantile(deployment.name, 0.5)
        if seen is None or seen <= wanted:
            return None
        return f"latency: half of its answers take over {seen:.2g} s, {wanted:g} s asked"

    def _too_dear(self, candidate: Candidate) -> str | None:
        if self.headroom is None or candidate.ceiling <= self.headroom:
            return None
        return f"headroom: may cost ${usd(candidate.ceiling)}, ${usd(self.headroom)} left"


def peak_price(model: Model, deployment: Deployment, prompt: int = 0) -> Price:
    """The price at the dearest hour, for a prompt of at most so many of this model's tokens."""
    tariff = deployment.tariff
    return model.price if tariff is None else tariff.within(prompt)


def price_now(model: Model, deployment: Deployment, prompt: int, wall: float) -> Price:
    """The price at this hour, for a prompt of so many tokens."""
    tariff = deployment.tariff
    return model.price if tariff is None else tariff.at(wall, prompt)


def races(tactic: Tactic | None) -> bool:
    """Whether a strategy, or what comes then, depends on how fast its candidates are."""
    return tactic is not None and (tactic.name == "hedge" or races(tactic.then))


def paced(candidate: Candidate, pace: LatencyTracker | None) -> Candidate:
    """With the time it was observed to take, once that is known."""
    slow_s = pace.quantile(candidate.deployment.name, 0.95) if pace else None
    return candidate if slow_s is None else structs.replace(candidate, p95_s=slow_s)


def prompt_bound(model: Model, features: Features, factors: Factors) -> int:
    """The most prompt tokens, as this model's tokenizer may count them."""
    bound = features.bound
    if bound.exact is not None and has_openai_tokenizer(model.deployments[0].upstream):
        return bound.exact + bound.beside
    factor = factors.of(model.name)
    return in_its_tokens(model, bound.tokens) if factor is None else bound.at(factor)


def in_its_tokens(model: Model, tokens: int) -> int:
    """Tokens as this model's tokenizer may count them."""
    return tokens if model.token_factor == 1 else ceil(tokens * model.token_factor)


def _candidate(
    model: Model, deployment: Deployment, tier: str, features: Features, prompt: int
) -> Candidate:
    output = features.output
    if output is None:
        output = min(model.max_output, model.usable_context - prompt)
    bound, answer = features.bound, output * features.n
    if bound.images:  # they may be billed for more tokens than they take of the context
        prompt += bound.images * (model.image_tokens - IMAGE_TOKENS)
    price = peak_price(model, deployment, prompt)
    audio, caches = in_its_tokens(model, bound.audio), features.caches or deployment.caches_unasked
    surcharges = Surcharges(features.caches_1h, audio, features.searches)
    most = ceiling(price, prompt, answer, surcharges, caches=caches)
    return Candidate(
        model, deployment, tier, output, most, prompt + answer, prompt, surcharges=surcharges
    )


def _unfit_model(model: Model, features: Features, prompt: int) -> str | None:
    if missing := features.needs - model.capabilities:
        return f"capabilities: no {', '.join(sorted(missing))}"
    limit = features.output
    if limit is not None and model.output_stated and limit > model.max_output:
        return f"max_output: {limit} tokens asked, at most {model.max_output}"
    total = prompt + (1 if limit is None else limit)
    if total > model.usable_context:
        return f"context: up to {total} tokens, {model.usable_context} usable"
    return None


def _unfit_region(
    deployment: Deployment, region: str | None, home: AbstractSet[str] | None
) -> str | None:
    """A deployment that may answer from several regions must be allowed in all of them."""
    where = deployment.regions
    if region is not None and where != {region}:
        return f"region: {region} asked, runs in {_list(where)}"
    if home is not None and not (where and where <= home):
        return f"region: tenant allows {_list(home)}, runs in {_list(where)}"
    return None


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no stated region"


def _weighted(items: Sequence[T], draw: Draw) -> Sequence[T]:
    """Those with a weight first, drawn by it without replacement; then the rest in order."""
    if len(items) == 1 or all(item.weight is None for item in items):
        return items
    drawn = [item for item in items if item.weight is not None]
    # Efraimidis and Spirakis, 2006: the largest of draw^(1/weight) is a weighted choice.
    drawn.sort(key=lambda item: draw() ** (1.0 / item.weight), reverse=True)
    return [*drawn, *(item for item in items if item.weight is None)]
