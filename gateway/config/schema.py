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
    NAME_OR_ENV_SCHEMA,
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
    json_schema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^({_CUTOFF})$|\$\{{"},
                {"type": "integer", "minimum": 1000, "maximum": 9999},
            ]
        }
    ),
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
    """Its wire format."""
    base_url: BaseUrl
    """The base URL of its API, without credentials and query. A trailing slash is dropped."""
    api_key: ApiKey | None = None
    """Its API key, best as `${NAME}`. Leave it out if the host needs none."""
    auth: Auth | None = None
    """How calls are authenticated: one of the keys below. Default: `api_key`, in the dialect's own
    header."""
    proxy: ProxyUrl | None = None
    """Its CONNECT proxy: `http://user:password@host:port`, or `https://...`, best as `${NAME}`; or
    `none`. Default: the top-level `proxy`, if `base_url` is `https`. Never shown."""
    regions: tuple[Name, ...] = ()
    """The regions where it processes data. Tenants and requests can be limited to regions."""
    quirks: tuple[Quirk, ...] = ()
    """How it differs from the dialect; see the table of quirks."""
    lacks: tuple[Name, ...] = ()
    """Request fields that it does not support, such as `seed`. They are never sent to it."""
    cache_lifetime_s: Seconds = 300.0
    """How long its prompt cache keeps an unused prefix. Until then a route with an `order` assumes
    that the prefix is cached."""
    forward_traceparent: Flag = False
    """Whether calls carry the trace in the header `traceparent`. Only with `otel`."""
    optional: Flag = False
    """If true, it is left out while a variable that it names is unset or empty, and so are the
    models that only it serves. If false, an unset variable is a fault."""
    unsupported: Unsupported = "drop"
    """What to do with request fields that it does not support and that the answer is valid
    without: `drop` them, and list them in `x-gateway-dropped`; or `refuse` to call it."""


class Deployment(Stanza):
    provider: Name
    """A name under `providers`."""
    upstream: Text | None = None
    """The model's name at that provider. Default: the model's own name."""
    regions: tuple[Name, ...] | None = None
    """The regions of this deployment. Default: the provider's."""
    weight: Weight | None = None
    """Its share of the traffic, relative to the other deployments with a weight. A conversation
    stays where its prompt cache is warm."""
    price: Price | None = None
    """Its price. Default: the model's price, else that of genai-prices."""
    quirks: tuple[Quirk, ...] = ()
    """Quirks of this model, in addition to the provider's. `max_tokens` or `max_completion_tokens`
    here replaces the provider's."""
    lacks: tuple[Name, ...] = ()
    """Request fields that this model does not support there, in addition to the provider's
    `lacks`: for example `temperature`, for models that reject it."""


class Deprecated(Stanza):
    since: Day
    """The first day of the deprecation."""
    use_instead: Name
    """The model to use instead."""


class Model(Stanza):
    deployments: tuple[Deployment, ...]
    """Where it is served, in order of preference. At most one per provider."""
    context: Tokens | None = None
    """Its published context window, in tokens, input and output together. Default: that of
    genai-prices. Required if genai-prices does not know the model."""
    usable_context: Tokens | None = None
    """The part of the window that is used. Longer prompts go elsewhere. Default: `context`."""
    max_output: Tokens | None = None
    """The longest answer, in tokens. It is also held if the client sets no limit. Default: 16,384
    or the window, whichever is less."""
    capabilities: tuple[Capability, ...] = ("tools", "json_schema")
    """What it can do. A request that needs more goes elsewhere."""
    price: Price | None = None
    """Its price, or `free`. Default: that of genai-prices, for each deployment."""
    fallbacks: tuple[Name, ...] = ()
    """Models to call if a client asks for this one by name and it fails."""
    token_factor: TokenFactor = 1.0
    """The most tokens that its tokenizer makes of one token of others. What is held of a budget is
    multiplied by it."""
    image_tokens: Tokens | None = None
    """The most tokens that one image is billed as, held before the call. Default, by the model's
    name: 48,169 (gpt-4o-mini), 36,000 (GPT-5.6 and later), 12,000 (GPT-5.5, and GPT-5.4 except
    mini and nano), 3,779 (other models of OpenAI), 16,386 (Qwen), 5,000 (Claude), else 6,404."""
    cutoff: Cutoff | None = None
    """The end of its training data: `2026-01`, `2025`, or `late 2025`. For information."""
    latency: Latency | None = None
    """How long a typical answer takes: `fast` is under 2 seconds, `slow` over 5. `order: fastest`
    uses it until answers were observed."""
    deprecated: Deprecated | None = None
    """Marks it as deprecated. It still answers, with the header `x-gateway-deprecated`."""


class TierModel(Stanza):
    short: ClassVar[dict[str, Any]] = NAME_OR_ENV_SCHEMA

    model: Name
    """A name under `models`."""
    weight: Weight | None = None
    """Its share of the traffic, relative to the tier's other models with a weight."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


class Tier(Stanza):
    models: tuple[TierModel, ...]
    """Models in order of preference, each by name or as `{model, weight}`."""
    checks: tuple[OneCheck, ...] = ()
    """Checks that its answers must pass, in addition to the route's."""


class Lease(Stanza):
    usd: Usd
    """The most that one process reserves in advance for one tenant, or for a whole organisation.
    Others cannot spend it meanwhile. If the process is killed, it is charged."""
    calls_per_s: Count = 20
    """The calls per second, of the same accounts in one process, from which on a lease is used."""


class Redis(Stanza):
    url: RedisUrl = "embedded"
    """`embedded` (a private server), `memory` (nothing is stored), or a URL: redis://, rediss://,
    unix://, redis+sentinel://host,host/service or redis+cluster://host,host."""
    data_dir: Text = ".tollgate"
    """The folder for the embedded server's files, and for the spending under `allow_local`."""
    timeout_ms: Milliseconds = 250
    """Timeout of one operation. After it the ledger counts as unreachable."""
    hold_ttl_s: Seconds = 600.0
    """Lifetime of a hold. A hold that is not settled by then is charged in full."""
    on_unsafe: OnUnsafe = "warn"
    """What to do at the start if the server can lose money (no append-only file, eviction of keys,
    no writes accepted, older than 6.2): log a warning, or refuse to start."""
    replicas: Count = 1
    """The number of processes that share the ledger: all workers of all gateways. With
    `allow_local`, each may spend that fraction of what is left. If the number is too low, they
    can exceed a cap together."""
    lease: Lease | None = None
    """Lets busy tenants spend a reserved slice of their budgets without a request to the server for
    each call. Default: none."""


class Timeouts(Stanza):
    connect_s: Seconds = 5.0
    """Time to open a connection to a provider."""
    answer_s: Seconds = 60.0
    """Time for one call: to the whole answer, or to the first piece of a flowing stream."""
    idle_s: Seconds = 30.0
    """Time between two pieces of a flowing stream."""


class Limits(Stanza):
    body_bytes: Count = 10_000_000
    """The largest request body, in bytes."""
    json_depth: Depth = 64
    """The deepest nesting of a request's JSON."""
    in_flight: Count = 1_000
    """Concurrent requests in one process."""
    in_flight_per_key: Count = 64
    """Concurrent requests with one key, in one process."""
    cache_bytes: Count = 16_000_000
    """The size of all cached answers of one tenant, in bytes."""


class Config(Stanza):
    redis: Redis = Redis()
    """The ledger: where spending is counted."""
    providers: dict[Naming, Provider]
    """The hosts that can be called. An OpenAI-compatible provider needs a stanza and no code."""
    models: dict[Naming, Model]
    """The models, with their deployments at providers."""
    tiers: dict[Naming, Tier] = Field(default_factory=dict)
    """Groups of equivalent models. Their order here is the order of escalation."""
    routes: dict[Naming, Route] = Field(default_factory=dict)
    """How requests escalate through tiers. Clients ask for a route by its name in `model`."""
    tenants: dict[Naming, Tenant]
    """Who may send requests, and what they may spend."""
    organisations: dict[Naming, Organisation] = Field(default_factory=dict)
    """Groups of tenants with shared budgets."""
    tags: dict[Naming, TagValues] = Field(default_factory=dict)
    """Request tags for chargeback, each with its values: `[rag, chat]`, or `any`. A value that is
    not listed counts as `other`. Only tags with a list are labels of metrics."""
    alerts: Alerts = Alerts()
    """Notifications about budgets that run out."""
    usage: Usage = Usage()
    """Where usage records are stored."""
    otel: Otel | None = None
    """OpenTelemetry traces. Default: none."""
    log: Log | None = None
    """A request log, one line of JSON for each request. Default: none."""
    keys: Keys = Keys()
    """How keys are stored: those of the tenants, and those made at run time."""
    admin: Admin | None = None
    """The admin API for keys and budgets, on its own port. Default: none."""
    timeouts: Timeouts = Timeouts()
    """Timeouts of calls to providers, in seconds."""
    limits: Limits = Limits()
    """Limits of requests."""
    server: Server = Server()
    """Shutdown, connections, and reload of changed files."""
    client: Client = "own"
    """The HTTP client for calls to providers: the gateway's `own`, or `aiohttp`. Neither uses a
    proxy that is not configured here."""
    proxy: ProxyUrl | None = None
    """The CONNECT proxy for each `https` provider without a `proxy` of its own; or `none`. Never
    shown."""


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
