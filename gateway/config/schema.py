"""The YAML as pydantic models: strict, one class a stanza. The JSON Schema comes from these.

Values come as texts (see tree.py); `expand` writes out an empty or a short form.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field
from pydantic.json_schema import GenerateJsonSchema

from gateway.config.admin import Admin, Keys
from gateway.config.alerts import Alerts
from gateway.config.auth import Auth
from gateway.config.checks import OneCheck
from gateway.config.log import Log
from gateway.config.otel import Otel
from gateway.config.price import Day, Price
from gateway.config.proxy import ProxyUrl
from gateway.config.routes import Route
from gateway.config.scalars import (
    NAME_SCHEMA,
    ApiKey,
    BaseUrl,
    Capability,
    Client,
    Count,
    Depth,
    Dialect,
    Flag,
    Milliseconds,
    Name,
    Naming,
    OnUnsafe,
    Quirk,
    RedisUrl,
    Seconds,
    Text,
    Tokens,
    Unsupported,
    Usd,
    Weight,
    decimal,
    enum_schema,
    json_schema,
    matching,
    number_schema,
    one_of,
)
from gateway.config.server import Server
from gateway.config.stanza import Stanza, with_nulls, without_nulls
from gateway.config.tags import TagValues
from gateway.config.tenants import Organisation, Tenant
from gateway.config.usage import Usage
from gateway.core.snapshot import LATENCIES

_CUTOFF: Final = r"((early|mid|late) )?[0-9]{4}|[0-9]{4}-(0[1-9]|1[0-2])"
Cutoff = Annotated[
    str,
    BeforeValidator(matching(_CUTOFF, "must be such as 2026-01, 2025 or late 2025")),
    json_schema({"anyOf": [{"type": "string", "pattern": f"^({_CUTOFF})$"}, {"type": "integer"}]}),
]
Latency = Annotated[str, BeforeValidator(one_of(LATENCIES)), enum_schema(LATENCIES)]
TokenFactor = Annotated[
    float,
    BeforeValidator(lambda v: float(_token_factor(v))),
    number_schema(minimum=1, maximum=10),
]
_token_factor: Final = decimal("a factor from 1 to 10, such as 1.35", lambda f: 1 <= f <= 10)


class Provider(Stanza):
    dialect: Dialect
    """The wire format it speaks."""
    base_url: BaseUrl
    """Where its API begins. No credentials, no query; a trailing slash is dropped."""
    api_key: ApiKey | None = None
    """Its key, best as `${NAME}`. Leave it out for a host that asks for none."""
    auth: Auth | None = None
    """How calls are signed: one of the keys below. Default: the dialect's own way, with
    `api_key`."""
    proxy: ProxyUrl | None = None
    """The CONNECT proxy on the way there: `http://user:password@host:port`, or `https://`, best as
    `${NAME}`; or `none`. Default: the file's own, where `base_url` is `https`. Never shown."""
    regions: tuple[Name, ...] = ()
    """Where it processes data. Tenants and requests can ask for a region."""
    quirks: tuple[Quirk, ...] = ()
    """Its departures from the dialect; see the table of quirks."""
    lacks: tuple[Name, ...] = ()
    """Request fields that it does not know, such as `seed`: they are never sent to it."""
    cache_lifetime_s: Seconds = 300.0
    """How long its prompt cache holds a beginning that nobody asks for again. Until then a route
    with an `order` counts on it."""
    forward_traceparent: Flag = False
    """Whether a call tells it which trace it belongs to, in `traceparent`. Only with `otel`."""
    optional: Flag = False
    """Whether it is left out, with the models that only it serves, while a variable that it
    names is not set. Otherwise that is a fault."""
    unsupported: Unsupported = "drop"
    """When a request has fields that it cannot honour, and the answer is valid without them:
    `drop` them and name them in `x-gateway-dropped`, or `refuse` to ask it."""


class Deployment(Stanza):
    provider: Name
    """A name under `providers`."""
    upstream: Text | None = None
    """The model's name at that provider. Default: the model's own name."""
    regions: tuple[Name, ...] | None = None
    """Default: the provider's."""
    weight: Weight | None = None
    """Its share of the traffic, beside the other deployments with a weight. A conversation stays
    where its prompt cache is warm."""
    price: Price | None = None
    """What it costs there. Default: the model's price, else what genai-prices says."""
    quirks: tuple[Quirk, ...] = ()
    """This model's own, beside the provider's. Of `max_tokens` and `max_completion_tokens`, one
    that is named here replaces one that is named there."""
    lacks: tuple[Name, ...] = ()
    """Request fields that this model does not know there, beside those that the provider lacks:
    `temperature` of a model that refuses to be steered."""


class Deprecated(Stanza):
    since: Day
    """From which day."""
    use_instead: Name
    """What its provider, or you, would have in its place."""


class Model(Stanza):
    deployments: tuple[Deployment, ...]
    """Where it can be asked, in order of preference; at most one for each provider."""
    context: Tokens | None = None
    """Its published window, input and output. Default: what genai-prices knows, else required."""
    usable_context: Tokens | None = None
    """How much of the window is trusted. Default: `context`."""
    max_output: Tokens | None = None
    """The longest answer. Also what is held when a client sets no limit.
    Default: 16,384 or the window, whichever is less."""
    capabilities: tuple[Capability, ...] = ("tools", "json_schema")
    """What it can do; a request that needs more goes elsewhere."""
    price: Price | None = None
    """`free`, or the price. Default: looked up once in genai-prices, for each deployment."""
    fallbacks: tuple[Name, ...] = ()
    """Models that may stand in when a client asks for this one by name and it fails."""
    token_factor: TokenFactor = 1.0
    """How many tokens, at most, its tokenizer makes of what others make one of: what is held of
    a budget grows by it."""
    image_tokens: Tokens | None = None
    """The most tokens that an image is billed at, for what is held. Default: by its name 48,169
    (gpt-4o-mini), 36,000 (GPT-5.6 and later), 12,000 (GPT-5.5, and GPT-5.4 but for mini and nano),
    3,779 (other models of OpenAI), 16,386 (Qwen), 5,000 (Claude), else 6,404."""
    cutoff: Cutoff | None = None
    """When its knowledge ends: `2026-01`, `2025`, or `late 2025`."""
    latency: Latency | None = None
    """How long a typical answer takes: under 2 seconds is `fast`, over 5 `slow`."""
    deprecated: Deprecated | None = None
    """It still answers, with `x-gateway-deprecated` in the reply."""


class TierModel(Stanza):
    short: ClassVar[dict[str, Any]] = NAME_SCHEMA

    model: Name
    """A name under `models`."""
    weight: Weight | None = None
    """Its share of the traffic, beside the tier's other models with a weight."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


class Tier(Stanza):
    models: tuple[TierModel, ...]
    """Names of models, in order of preference, each alone or as `{model, weight}`."""
    checks: tuple[OneCheck, ...] = ()
    """What its answers must pass, beside the route's checks."""


class Lease(Stanza):
    usd: Usd
    """The most that one process holds ahead for one tenant, or for all of an organisation. Nobody
    else can spend it meanwhile; a process that is killed leaves it charged."""
    calls_per_s: Count = 20
    """From so many calls a second on, of the same accounts in one process, they have a lease."""


class Redis(Stanza):
    url: RedisUrl = "embedded"
    """`embedded` (a private server), `memory` (nothing is kept), or a URL: redis://, rediss://,
    unix://, redis+sentinel://host,host/service or redis+cluster://host,host."""
    data_dir: Text = ".tollgate"
    """Where the embedded server keeps its files, and every gateway what `allow_local` has spent."""
    timeout_ms: Milliseconds = 250
    """One operation; after it the ledger counts as unreachable."""
    hold_ttl_s: Seconds = 600.0
    """A hold that nobody settled is charged in full after so long."""
    on_unsafe: OnUnsafe = "warn"
    """What a start does with a server that can lose money: one that writes no log, may forget
    keys when its memory is full, takes no writes, or is older than 6.2."""
    replicas: Count = 1
    """How many processes share it, all workers of all gateways: with `allow_local` each may spend
    so small a part of what is left. Fewer than there are lets them pass a cap together."""
    lease: Lease | None = None
    """Lets those who send much spend a slice of their budgets without asking the server for each
    call. Default: each call asks."""


class Timeouts(Stanza):
    connect_s: Seconds = 5.0
    """Opening a connection to a provider."""
    answer_s: Seconds = 60.0
    """One call: until the whole answer, or the first piece of a flowing one."""
    idle_s: Seconds = 30.0
    """Between two pieces of a flowing answer."""


class Limits(Stanza):
    body_bytes: Count = 10_000_000
    """The largest request body."""
    json_depth: Depth = 64
    """The deepest nesting of a request."""
    in_flight: Count = 1_000
    """Requests at once."""
    in_flight_per_key: Count = 64
    """Requests at once with one key."""
    cache_bytes: Count = 16_000_000
    """What the answers may take that routes with a `cache` keep for one tenant, in bytes."""


class Config(Stanza):
    redis: Redis = Redis()
    """Where money is counted."""
    providers: dict[Naming, Provider]
    """Who can be asked. A provider is data: an OpenAI-compatible one is a stanza."""
    models: dict[Naming, Model]
    """What can answer."""
    tiers: dict[Naming, Tier] = Field(default_factory=dict)
    """Groups of equals. Their order here is the order of climbing."""
    routes: dict[Naming, Route] = Field(default_factory=dict)
    """Ways to climb: what clients usually ask for."""
    tenants: dict[Naming, Tenant]
    """Who may ask, and what they may spend."""
    organisations: dict[Naming, Organisation] = Field(default_factory=dict)
    """Tenants that also share budgets."""
    tags: dict[Naming, TagValues] = Field(default_factory=dict)
    """What requests are told apart by for charging back, each with its values: `[rag, chat]`, or
    `any`. Another value of a list counts as `other`. Those with a list are labels of metrics."""
    alerts: Alerts = Alerts()
    """Who is told of budgets that come to their end."""
    usage: Usage = Usage()
    """Where records of calls are written on to."""
    otel: Otel | None = None
    """Where traces are sent, by OpenTelemetry. Default: nowhere."""
    log: Log | None = None
    """A line of JSON for each request. Default: none."""
    keys: Keys = Keys()
    """How keys are kept: those of the tenants, and those that are made while it runs."""
    admin: Admin | None = None
    """An API of its own port for keys and budgets. Default: none."""
    timeouts: Timeouts = Timeouts()
    """How long to wait, in seconds."""
    limits: Limits = Limits()
    """What one client may send."""
    server: Server = Server()
    """How the service stops, and whether it looks at its own files."""
    client: Client = "own"
    """What makes the calls to providers: connections of our `own`, or `aiohttp`. Neither asks a
    proxy that is not named here."""
    proxy: ProxyUrl | None = None
    """The CONNECT proxy on the way to each provider that is `https` and names none of its own; or
    `none`. It is never shown."""


def schema() -> dict[str, Any]:
    """JSON Schema of the whole configuration, for editors."""
    generated = Config.model_json_schema()
    for name, section in generated["properties"].items():
        if "patternProperties" in section:
            section["additionalProperties"] = False
        if section.get("type") == "object" and name not in generated["required"]:
            section["type"] = ["object", "null"]
    without_nulls(generated, generated["$defs"])
    with_nulls(generated, generated["$defs"])
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Tollgate configuration",
        **generated,
    }
