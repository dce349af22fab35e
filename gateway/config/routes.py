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
    pattern_schema,
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
    pattern_schema(f"^({_CLOCK})$"),
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
        **{"from": (Clock, Field(description="Start, such as `22:00`."))},
    )


class Hours(_From):
    to: Clock
    """End. If it is at or before `from`, it is on the next day."""
    zone: Timezone = "UTC"
    """The time zone: an IANA name."""

    def hours(self) -> rules.Hours:
        return rules.Hours(_minute(getattr(self, "from")), _minute(self.to), self.zone)


class When(Stanza):
    prompt_tokens: Span | None = None
    """Tokens of the prompt: the upper bound that is held, above the true count."""
    output_tokens: Span | None = None
    """The output limit that the client set. Never met if it set none."""
    tools: Span | None = None
    """The number of declared tools."""
    script: Scripts | None = None
    """The script of the last user message is one of these."""
    has: Things | None = None
    """The request contains all of these."""
    lacks: Things | None = None
    """The request contains none of these."""
    tags: dict[Naming, Values] = Field(default_factory=dict)
    """Configured tags, each with its accepted values."""
    region: Regions | None = None
    """The region that the client asked for is one of these. If it asked for none, all regions that
    the tenant or its key allows are."""
    max_latency_ms: Count | None = None
    """The client set a `max_latency_ms` of at most this."""
    max_cost_usd: Usd | None = None
    """The client set a `max_cost_usd` of at most this."""
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
    """Its name in explanations."""
    when: When = When()
    """Conditions, all of which must hold. Default: none, so that the rule always holds."""
    tiers: tuple[Name, ...]
    """The tiers, in order of escalation."""
    strategy: Strategy | None = None
    """Default: the route's."""
    checks: tuple[OneCheck, ...] | None = None
    """Default: the route's."""
    order: Ordering | None = None
    """Default: the route's."""


class Cache(Stanza):
    ttl_s: Seconds = 3_600.0
    """How long an answer is cached."""
    most_bytes: Count = 1_000_000
    """The largest answer to cache, in bytes as stored."""
    per: Annotated[Per, BeforeValidator(one_of(CACHED_PER)), enum_schema(CACHED_PER)] = "tenant"
    """Who gets a cached answer: the whole `tenant`, or only the same `user` of it."""


class Route(Stanza):
    tiers: tuple[Name, ...]
    """The tiers, in order of escalation."""
    strategy: Strategy = Field(default_factory=lambda: CLIMB)
    """How to escalate: a name, or the name with options. `then` is the strategy that continues if
    the first has no answer: `{vote: {voters: 3}, then: cascade}`. See the table of strategies."""
    checks: tuple[OneCheck, ...] = ()
    """Checks that an answer must pass. If it fails, the next tier is called."""
    order: Ordering = "listed"
    """Which model of a tier is called first: as `listed`, the `cheapest` at this hour, or the
    `fastest` or `least_busy` as observed. Among equals, one that has the prompt in its cache."""
    rules: tuple[Rule, ...] = ()
    """Evaluated in order. The first rule whose conditions hold replaces the tiers."""
    cache: Cache | None = None
    """Cache good answers, and return them to the same tenant for exactly the same request. They are
    stored beside the ledger. Default: no cache."""
    guard: Guard | None = None
    """Measure whether answers from below the last tier are as good as the last tier's, and switch
    the lower tiers off if not. `guard: {}` uses the defaults. Default: none."""
    shadow: Shadow | None = None
    """Send a share of the requests to another route as well, in the background. Default: none."""
    canary: Canary | None = None
    """Serve a share of the tenants by another route. Default: none."""
    learned: Learning | None = None
    """Begin at the tier with the lowest expected cost whose answer is likely to pass. Default:
    begin at the first tier."""
    timeout_s: Seconds = TIMEOUT_S
    """Deadline of a request with all its attempts. Must be less than `redis.hold_ttl_s`. Requests
    for a tier or a model have 120 s, or nine tenths of `redis.hold_ttl_s` if that is less."""
    on_disconnect: Annotated[
        OnDisconnect, BeforeValidator(one_of(ON_DISCONNECT)), enum_schema(ON_DISCONNECT)
    ] = "cancel"
    """What to do if the client disconnects: `cancel` the call; or `drain`: read on to the usage
    that the provider reports, and charge that."""
    drain_s: Seconds = 30.0
    """How long `drain` reads on. Together with `timeout_s`, less than `redis.hold_ttl_s`."""

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
