"""Routes as they are written: tiers to climb, and the rules that come before them."""

from typing import TYPE_CHECKING, Annotated, Final, Self, get_args

from pydantic import BeforeValidator, Field, create_model, model_validator

from gateway.config.checks import OneCheck
from gateway.config.learned import Learning
from gateway.config.scalars import (
    MAX_COUNT,
    Count,
    Name,
    Naming,
    Seconds,
    Usd,
    enum_schema,
    integer,
    integer_schema,
    invalid_hidden,
    json_schema,
    matching,
    one_of,
)
from gateway.config.stanza import Stanza
from gateway.config.strategies import CLIMB, Strategy
from gateway.config.tags import tag_value
from gateway.config.trials import Canary, Guard, Shadow
from gateway.config.zones import Timezone
from gateway.core import catalog, rules
from gateway.core.catalog import TIMEOUT_S, OnDisconnect, Per
from gateway.core.checks import NAMED
from gateway.core.learned import Learned
from gateway.core.money import nanos
from gateway.core.order import ORDERS, Order
from gateway.core.rule_traits import HAS
from gateway.core.rules import ANY, Between
from gateway.core.scripts import SCRIPTS
from gateway.core.strategies import STRATEGIES
from gateway.core.tags import LONGEST
from gateway.core.trials import Compares

ON_DISCONNECT: Final[tuple[str, ...]] = get_args(OnDisconnect)
CACHED_PER: Final[tuple[str, ...]] = get_args(Per)
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def _not_empty(value: object) -> object:
    """An empty list is ambiguous: no condition, or one that nothing meets."""
    if value == []:
        raise invalid_hidden("must not be empty; leave it out to ask nothing")
    return value


Clock = Annotated[
    str,
    BeforeValidator(matching(_CLOCK, "must be a time of day such as 22:00")),
    json_schema({"type": "string", "pattern": f"^({_CLOCK})$"}),
]
Size = Annotated[int, BeforeValidator(integer(0, MAX_COUNT)), integer_schema(0, MAX_COUNT)]
Script = Annotated[str, BeforeValidator(one_of(tuple(SCRIPTS))), enum_schema(tuple(SCRIPTS))]
Has = Annotated[str, BeforeValidator(one_of(HAS)), enum_schema(HAS)]
Ordering = Annotated[Order, BeforeValidator(one_of(ORDERS)), enum_schema(ORDERS)]
TagValue = Annotated[
    str,
    BeforeValidator(tag_value),
    json_schema({"type": "string", "minLength": 1, "maxLength": LONGEST}),
]
StrategyName = Annotated[
    str, BeforeValidator(one_of(tuple(STRATEGIES))), enum_schema(tuple(STRATEGIES))
]
CheckName = Annotated[str, BeforeValidator(one_of(NAMED)), enum_schema(NAMED)]
Strategies = Annotated[tuple[StrategyName, ...], BeforeValidator(_not_empty)]
Checks = Annotated[tuple[CheckName, ...], BeforeValidator(_not_empty)]
Scripts = Annotated[tuple[Script, ...], BeforeValidator(_not_empty)]
Things = Annotated[tuple[Has, ...], BeforeValidator(_not_empty)]
Regions = Annotated[tuple[Name, ...], BeforeValidator(_not_empty)]
Values = Annotated[tuple[TagValue, ...], BeforeValidator(_not_empty)]


class Span(Stanza):
    above: Size | None = None
    """More than this."""
    at_most: Size | None = None
    """No more than this."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.above is None and self.at_most is None:
            raise invalid_hidden("needs above, at_most or both")
        return self

    def between(self) -> Between:
        return Between(self.above, self.at_most)


if TYPE_CHECKING:
    _From = Stanza
else:
    # `from` is a word of Python's, and no class could have a field of that name written out.
    _From = create_model(
        "_From",
        __base__=Stanza,
        **{"from": (Clock, Field(description="When they begin, such as `22:00`."))},
    )


class Hours(_From):
    to: Clock
    """When they end; at or before `from`, on the next day."""
    zone: Timezone = "UTC"
    """On whose clock: an IANA name."""

    def hours(self) -> rules.Hours:
        return rules.Hours(_minute(getattr(self, "from")), _minute(self.to), self.zone)


class When(Stanza):
    prompt_tokens: Span | None = None
    """How long the prompt is, by the bound that is held for it: above the true count."""
    output_tokens: Span | None = None
    """The limit that the client set. Never met where it set none."""
    tools: Span | None = None
    """How many tools are declared."""
    script: Scripts | None = None
    """What the last user message is written in: any of these."""
    has: Things | None = None
    """All of these are in the request."""
    lacks: Things | None = None
    """None of these is."""
    tags: dict[Naming, Values] = Field(default_factory=dict)
    """Configured tags, each with the values that it may have."""
    region: Regions | None = None
    """The region that was asked for, else all that the tenant or its key allows: among these."""
    max_latency_ms: Count | None = None
    """The client asked for an answer within so many milliseconds, or fewer."""
    max_cost_usd: Usd | None = None
    """The client asked for an answer for so many USD, or less."""
    strategy: Strategies | None = None
    """The client asked for one of these strategies."""
    checks: Checks | None = None
    """The client asked for any of these checks."""
    hours: Hours | None = None
    """The time of day."""

    def when(self) -> rules.When:
        cost = self.max_cost_usd
        return rules.When(
            prompt=ANY if self.prompt_tokens is None else self.prompt_tokens.between(),
            output=None if self.output_tokens is None else self.output_tokens.between(),
            tools=ANY if self.tools is None else self.tools.between(),
            scripts=None if self.script is None else frozenset(self.script),
            has=frozenset(self.has or ()),
            lacks=frozenset(self.lacks or ()),
            tags={name: frozenset(values) for name, values in self.tags.items()},
            regions=None if self.region is None else frozenset(self.region),
            latency_ms=self.max_latency_ms,
            cost=None if cost is None else nanos(cost),
            strategies=None if self.strategy is None else frozenset(self.strategy),
            checks=None if self.checks is None else frozenset(self.checks),
            hours=None if self.hours is None else self.hours.hours(),
        )


class Rule(Stanza):
    name: Name
    """What it is called in an explanation."""
    when: When = When()
    """Conditions, all of which must hold. Default: none, so that it always holds."""
    tiers: tuple[Name, ...]
    """The tiers to climb, in order."""
    strategy: Strategy | None = None
    """Default: the route's."""
    checks: tuple[OneCheck, ...] | None = None
    """Default: the route's."""
    order: Ordering | None = None
    """Default: the route's."""


class Cache(Stanza):
    ttl_s: Seconds = 3_600.0
    """For how long an answer is kept."""
    most_bytes: Count = 1_000_000
    """The largest answer that is kept, as it is kept."""
    per: Annotated[Per, BeforeValidator(one_of(CACHED_PER)), enum_schema(CACHED_PER)] = "tenant"
    """Whom an answer is kept for: all of the `tenant`, or only the same `user` of a request."""


class Route(Stanza):
    tiers: tuple[Name, ...]
    """The tiers to climb, in order."""
    strategy: Strategy = Field(default_factory=lambda: CLIMB)
    """How to climb: a name, or a mapping of it to its options, with `then` for the strategy that
    goes on where it has no answer: `{vote: {voters: 3}, then: cascade}`. See the table of
    strategies."""
    checks: tuple[OneCheck, ...] = ()
    """What an answer must pass; a poor one climbs to the next tier."""
    order: Ordering = "listed"
    """Whom of a tier to ask first: as `listed`, the `cheapest` at this hour, the `fastest` or the
    `least_busy` as observed. Between equals, who has the prompt in its cache."""
    rules: tuple[Rule, ...] = ()
    """Looked at in order: the first whose conditions hold says what is climbed instead."""
    cache: Cache | None = None
    """Keep good answers, and give them to the same tenant for requests that are exactly the same.
    They are stored beside the ledger. Default: nothing is kept."""
    guard: Guard | None = None
    """Measure whether what is answered below the last tier is as good as what that one says, and
    switch those below off where it is not. `guard: {}` is one with its defaults. Default: none."""
    shadow: Shadow | None = None
    """Ask another route as well, behind the answers. Default: none."""
    canary: Canary | None = None
    """Move a share of the tenants to another route. Default: none."""
    learned: Learning | None = None
    """Begin at the tier with the least expected cost whose answer is likely to pass. Default:
    always at the first."""
    timeout_s: Seconds = TIMEOUT_S
    """A request as a whole, all attempts. Must be less than `redis.hold_ttl_s`. A request for a
    tier or a model has 120 s, or nine tenths of `redis.hold_ttl_s` where that is less.
    """
    on_disconnect: Annotated[
        OnDisconnect, BeforeValidator(one_of(ON_DISCONNECT)), enum_schema(ON_DISCONNECT)
    ] = "cancel"
    """When the client goes away: `cancel` the call that is being made, or `drain`: read on to its
    usage, so that what it costs is what the provider says."""
    drain_s: Seconds = 30.0
    """How long `drain` reads on. With `timeout_s`, less than `redis.hold_ttl_s`."""

    def route(self, name: str, begins: Learned | None = None) -> catalog.Route:
        return catalog.Route(
            name=name,
            tiers=self.tiers,
            strategy=self.strategy,
            checks=_checks(self.checks),
            timeout_s=self.timeout_s,
            on_disconnect=self.on_disconnect,
            drain_s=self.drain_s,
            order=self.order,
            cache=None if self.cache is None else catalog.Cache(**dict(self.cache)),
            rules=tuple(map(self._rule, self.rules)),
            learned=begins or (None if self.learned is None else self.learned.learned()),
            guard=None if self.guard is None else self.guard.settings(),
            compares=Compares() if self.guard is None else self.guard.compares(),
            shadow=None if self.shadow is None else self.shadow.shadow(),
            canary=None if self.canary is None else self.canary.canary(),
        )

    def _rule(self, rule: Rule) -> catalog.Rule:
        return catalog.Rule(
            name=rule.name,
            when=rule.when.when(),
            tiers=rule.tiers,
            strategy=rule.strategy or self.strategy,
            checks=_checks(self.checks if rule.checks is None else rule.checks),
            order=rule.order or self.order,
        )


def _checks(stanzas: tuple[OneCheck, ...]) -> tuple[catalog.Check, ...]:
    return tuple(each.check() for each in stanzas)


def _minute(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
