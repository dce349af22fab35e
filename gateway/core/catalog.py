"""What can answer, and who may ask: the checked configuration as plain values."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.core.learned import Learned
from gateway.core.money import Nanos, Price
from gateway.core.order import Order
from gateway.core.rules import When
from gateway.core.tariff import Tariff
from gateway.core.tokens import IMAGE_TOKENS
from gateway.core.trials import Canary, Compares, GuardSettings, Shadow

NO_OPTIONS: Final[Mapping[str, Any]] = {}


class Check(Struct, frozen=True):
    """A check by name, with its options: {"pattern": ...} for `regex` and `citation`."""

    name: str
    options: Mapping[str, Any] = NO_OPTIONS


class Tactic(Struct, frozen=True):
    """A strategy by its name, with its options, and the one that climbs on where it has no answer.

    `options` are those of OPTIONS in core/strategies, checked.
    """

    name: str = "cascade"
    options: Mapping[str, Any] = NO_OPTIONS
    then: "Tactic | None" = None


CASCADE: Final = Tactic()
TIMEOUT_S: Final = 120.0
"""For a request as a whole, where nothing else is configured."""
BALLOTS: Final = ("arbitrate", "vote")
"""Names of those that ask several models and compare what they say."""


class Deployment(Struct, frozen=True):
    """A model at one provider. `name` is "provider/model", unique in the catalog."""

    name: str
    provider: str
    upstream: str
    """The model's name at that provider."""
    regions: frozenset[str] = frozenset()
    weight: int | None = None
    """Deployments with a weight share the traffic by it, ahead of those without, in their order."""
    tariff: Tariff | None = None
    """What it charges there, where that is not simply the model's price."""
    quirks: frozenset[str] | None = None
    """All that this model's calls have there; None: the provider's."""
    lacks: frozenset[str] | None = None
    """All request fields that this model does not know there; None: the provider's."""
    cache_s: float = 300.0
    """How long its prompt cache holds a beginning that nobody asks for again: five minutes at most
    hosts."""
    caches_unasked: bool = False
    """Whether it writes a prompt cache of its own accord, at more than what is read, as OpenAI does
    from GPT-5.6 on."""
    listed_price: bool = False
    """Whether its price is all as genai-prices lists it, and nothing of it was written."""


class Deprecation(Struct, frozen=True):
    """`since` is a day, 2026-01-31. `use_instead` need not be in the catalog."""

    since: str
    use_instead: str


class Card(Struct, frozen=True):
    """What is known of a model that no decision needs."""

    cutoff: str | None = None
    """When its knowledge ends: "2026-01", "late 2025"."""
    latency: str | None = None
    """One of snapshot.LATENCIES."""
    batch: str | None = None
    """What a batch costs of the price, such as "0.5"."""
    source: str | None = None
    """Where a price of the catalog was read."""
    as_of: str | None = None
    """On which day: 2026-01-31."""
    deprecated: Deprecation | None = None


NO_CARD: Final = Card()


class Model(Struct, frozen=True):
    """A model, wherever it is deployed. Sizes are in tokens."""

    name: str
    deployments: tuple[Deployment, ...]
    price: Price
    """Of its first deployment, for a short prompt at the dearest hour."""
    context: int
    usable_context: int
    max_output: int
    """What is held, and sent as the limit, while the client sets none."""
    capabilities: frozenset[str] = frozenset()
    fallbacks: tuple[str, ...] = ()
    """Other models that may stand in when a client asks for this one by name."""
    price_from: str = "catalog"
    """Who said the price: "catalog", "free" or "genai-prices"."""
    output_stated: bool = True
    """Whether `max_output` is the model's own bound, or only our default."""
    token_factor: float = 1.0
    """How many tokens its tokenizer makes of what others make one of, at most."""
    card: Card = NO_CARD
    image_tokens: int = IMAGE_TOKENS
    """The most that it may be billed at for an image."""


class TierModel(Struct, frozen=True):
    """A model's place in a tier; see Deployment.weight."""

    model: str
    weight: int | None = None


class Tier(Struct, frozen=True):
    name: str
    models: tuple[TierModel, ...]
    checks: tuple[Check, ...] = ()


class Rule(Struct, frozen=True):
    """What is climbed instead of a route's own tiers when a request meets the conditions."""

    name: str
    when: When
    tiers: tuple[str, ...]
    strategy: Tactic = CASCADE
    checks: tuple[Check, ...] = ()
    order: Order = "listed"


OnDisconnect = Literal["cancel", "drain"]
"""When the client goes away: close the call that is being made, or read on to its usage."""


Per = Literal["tenant", "user"]


class Cache(Struct, frozen=True):
    """How a route keeps its answers for requests that are the same: for `ttl_s` seconds, those of
    at most so many bytes, for whom. See core/response_cache.py.
    """

    ttl_s: float = 3_600.0
    most_bytes: int = 1_000_000
    per: Per = "tenant"
    mark: str = ""
    """A digest of all that is configured and can change an answer."""


class Route(Struct, frozen=True):
    """Tiers to climb, cheapest first. A rung is judged by the route's checks and its tier's.

    Seconds: `timeout_s` bounds a request, `drain_s` how long is read on for nobody.
    """

    name: str
    tiers: tuple[str, ...]
    strategy: Tactic = CASCADE
    checks: tuple[Check, ...] = ()
    timeout_s: float = TIMEOUT_S
    on_disconnect: OnDisconnect = "cancel"
    drain_s: float = 30.0
    order: Order = "listed"
    """Which candidate of a rung is asked first; see core/order.py."""
    rules: tuple[Rule, ...] = ()
    """Looked at in order before the route's own tiers: the first that holds is taken."""
    cache: Cache | None = None
    learned: Learned | None = None
    """Where to begin, by what was learned; see core/first_rung.py."""
    guard: GuardSettings | None = None
    compares: Compares = Compares()
    """How its guard, and its shadow, compare."""
    shadow: Shadow | None = None
    canary: Canary | None = None


class Catalog(Struct, frozen=True):
    """Everything that `model` in a request can name. `tiers` is in climbing order."""

    models: Mapping[str, Model]
    tiers: Mapping[str, Tier]
    routes: Mapping[str, Route]
    left_out: Mapping[str, str] = {}
    """Models that cannot be asked, and why: none of their providers is configured."""
    timeout_s: float = TIMEOUT_S
    """Seconds that a request for a tier or a model may take: only a route has its own."""


Period = Literal["minute", "hour", "day", "week", "month", "total"]
Meter = Literal["usd", "tokens", "requests", "at_once"]
Mode = Literal["hard", "soft", "shadow"]


class Budget(Struct, frozen=True, cache_hash=True):
    """No more than `cap` in each period: nano-dollars, tokens, requests, or requests at once (whose
    period is "total").

    A period is of the calendar, in the account's time zone; a rolling one is any span of its
    length (24 hours, 7 days, 30 days). A hard budget refuses. A soft one warns: in a header, a
    metric and a webhook. One in shadow mode only counts what it would have refused.
    """

    cap: int
    per: Period
    meter: Meter = "usd"
    rolling: bool = False
    mode: Mode = "hard"


class Key(Struct, frozen=True):
    """A client's key: its SHA-256 in hex, never the key itself.

    `peppered`: it is the HMAC-SHA256 under the configuration's pepper. `models` and `regions` are
    all that the key may reach of what its tenant may; None is all of it. From `expires` on, in
    Unix seconds, it is worth nothing.
    """

    id: str
    sha256: str
    budgets: tuple[Budget, ...] = ()
    peppered: bool = False
    models: tuple[str, ...] | None = None
    regions: frozenset[str] | None = None
    expires: float | None = None


Budgets = Mapping[str, tuple[Budget, ...]]
_NO_BUDGETS: Final[Budgets] = {}


class Organisation(Struct, frozen=True):
    """Tenants that also spend from shared budgets."""

    name: str
    budgets: tuple[Budget, ...] = ()
    model_budgets: Budgets = _NO_BUDGETS
    """By model; "*" is each model by itself."""
    provider_budgets: Budgets = _NO_BUDGETS
    timezone: str = "UTC"


class Tenant(Struct, frozen=True):
    """Whose money is spent, and what it may be spent on."""

    name: str
    keys: tuple[Key, ...] = ()
    budgets: tuple[Budget, ...] = ()
    user_budgets: tuple[Budget, ...] = ()
    """For each value of the request's `user` field."""
    max_request: Nanos | None = None
    """The most that all calls of one request may cost together."""
    timezone: str = "UTC"
    models: tuple[str, ...] = ("*",)
    """Patterns of the route, tier and model names that may be asked for."""
    regions: frozenset[str] | None = None
    """Where its data may go: a hard filter. None is anywhere."""
    anonymous: bool = False
    """Whether a request with no known key belongs to it. At most one tenant."""
    organisation: Organisation | None = None
    tag_budgets: Budgets = _NO_BUDGETS
    """By tag: for each value of it."""
    model_budgets: Budgets = _NO_BUDGETS
    """By model; "*" is each model by itself."""
    provider_budgets: Budgets = _NO_BUDGETS
    on_ledger_unavailable: Literal["deny", "allow_local"] = "deny"
