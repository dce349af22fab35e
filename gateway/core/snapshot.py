"""The whole checked configuration as one immutable value: swapped whole, never changed."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from gateway.core.catalog import Catalog, Tenant
from gateway.core.keys import KeyRecord


class Secret(str):
    """A text that must not be shown. It is an ordinary str to whoever sends it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


GOOGLE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


class AzureAuth(Struct, frozen=True):
    """`api-key: <key>`, and the path of a deployment: `base_url` ends in /openai, then comes
    /deployments/<upstream>/chat/completions?api-version=<api_version>.
    """

    api_version: str


class AwsAuth(Struct, frozen=True):
    """Signature Version 4 for the service bedrock. Without keys: those of the profile, or what
    AWS's own tools would find in the environment, the shared files or the machine's role.
    """

    region: str
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    profile: str | None = None


class GoogleAuth(Struct, frozen=True):
    """A token that google-auth gets: from a file (service account, workload identity), or as
    Google's own tools would find it.
    """

    credentials: str | None = None
    scopes: tuple[str, ...] = (GOOGLE_SCOPE,)


class BearerAuth(Struct, frozen=True):
    """`authorization: Bearer <key>`, whatever the dialect's own way is."""


Auth = AzureAuth | AwsAuth | GoogleAuth | BearerAuth


class Provider(Struct, frozen=True):
    """Where calls go. Only the configuration can say so, never a request."""

    name: str
    dialect: str
    base_url: str
    api_key: Secret | None = None
    regions: frozenset[str] = frozenset()
    quirks: frozenset[str] = frozenset()
    """The provider's named departures from its dialect."""
    lacks: frozenset[str] = frozenset()
    """Request fields that it does not know: they are never sent to it."""
    unsupported: str = "drop"
    """What becomes of a request with fields that it cannot honour: they are dropped and named in
    a header, or it is not asked at all ("refuse")."""
    forward_traceparent: bool = False
    """Whether it is told which trace a call belongs to, where requests are traced."""
    auth: Auth | None = None
    """How calls are signed. None is the dialect's own way, with `api_key`."""
    proxy: Secret | None = None
    """`http://user:password@host:port` of the CONNECT proxy on the way there; None is straight."""


class Leasing(Struct, frozen=True):
    """Slices of the budgets of those who send much are held ahead: in each process for a tenant, or
    an organisation, at most `nanos` at a time. `calls_per_s` of one purse are much.

    A slice is at most the `share`th part of what a budget has left before anybody is warned of it;
    where that has no room for `least` calls at their ceilings, nothing is held ahead.
    """

    nanos: int
    calls_per_s: int = 20
    share: int = 100
    least: int = 4


class Ledger(Struct, frozen=True):
    """Where money is counted. `url` is "embedded", "memory", or a Redis URL."""

    url: str = "embedded"
    data_dir: str = ".tollgate"
    timeout_s: float = 0.25
    hold_ttl_s: float = 600.0
    """A hold that nobody settled is charged in full after so long."""
    on_unsafe: str = "warn"
    """What a start does with a server that can lose money: one of ON_UNSAFE."""
    replicas: int = 1
    """How many processes share it: what each may spend of the rest while it is away."""
    lease: Leasing | None = None


class Timeouts(Struct, frozen=True):
    """Seconds. A route's own `timeout_s` bounds a request as a whole."""

    connect_s: float = 5.0
    answer_s: float = 60.0
    """One call: until the whole answer, or the first delta of a flowing one."""
    idle_s: float = 30.0
    """Between two pieces of a flowing answer."""


class Limits(Struct, frozen=True):
    """What one client may send, and how many requests are served at once."""

    body_bytes: int = 10_000_000
    json_depth: int = 64
    in_flight: int = 1_000
    in_flight_per_key: int = 64
    cache_bytes: int = 16_000_000
    """What is kept of each tenant's answers, where a route keeps them."""


class Server(Struct, frozen=True):
    """How it stops, in seconds: for how long it accepts requests though it is not ready, and for
    how long it then finishes them. For how long a client's connection may wait for a request.
    Whether it looks if its files have changed.
    """

    drain_delay_s: float = 0.0
    drain_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    watch: bool = True


class Alerts(Struct, frozen=True):
    """Who is told of budgets that come to their end. The URL may hold a secret."""

    webhook: Secret | None = None


class Usage(Struct, frozen=True):
    """Where usage records are written on to: `jsonl:folder`, `parquet:folder`, a PostgreSQL URL,
    or None, nowhere. The URL may hold a secret. `every_s` None is the sink's own.
    """

    sink: Secret | None = None
    keep_days: int | None = None
    every_s: float | None = None


class Log(Struct, frozen=True):
    """A line for each life, to stdout, stderr or a file. `content` is one of LOG_CONTENT in
    core/life_log/words.py; `sample` is the share of lives whose words are kept.
    """

    to: str = "stdout"
    content: str = "off"
    sample: float = 0.01


class Otel(Struct, frozen=True):
    """Where spans are sent, by OTLP over HTTP. Its headers may hold a key. `content`: with words;
    `sample` is the share of the traces that begin here.
    """

    endpoint: str
    headers: Mapping[str, Secret] = {}
    service: str = "tollgate"
    sample: float = 1.0
    content: bool = False


class Admin(Struct, frozen=True):
    """Where the admin API is, and the keys for it that the configuration knows."""

    host: str
    port: int
    keys: tuple[KeyRecord, ...] = ()


class Snapshot(Struct, frozen=True):
    catalog: Catalog
    providers: Mapping[str, Provider]
    tenants: Mapping[str, Tenant]
    ledger: Ledger = Ledger()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    tags: Mapping[str, tuple[str, ...]] = {}
    """The configured tags, and the values that each may have as a label; see core/tags.py."""
    alerts: Alerts = Alerts()
    usage: Usage = Usage()
    otel: Otel | None = None
    """None: nothing is traced."""
    log: Log | None = None
    """None: no lines are written."""
    pepper: Secret | None = None
    """What keys are hashed with; None is plain SHA-256."""
    admin: Admin | None = None
    """None: there is no admin API."""
    client: str = "own"
    """Which client makes the calls to providers: one of CLIENTS."""
    server: Server = Server()
    not_configured: Mapping[str, str] = {}
    """Optional providers that are left out, and why."""


ON_UNSAFE: Final = ("warn", "refuse")
CLIENTS: Final = ("own", "aiohttp")
DIALECTS: Final = (
    "anthropic",
    "anthropic-vertex",
    "bedrock",
    "bedrock-invoke",
    "gemini",
    "ollama",
    "openai",
)
QUIRKS: Final[Mapping[str, str]] = {
    "echo_reasoning": "It expects its reasoning back: `reasoning_content`, `reasoning` and similar "
    "fields stay in earlier turns, and in a chat with tools each answer has its `reasoning` as "
    "`reasoning_content`, or an empty one if the client sent none. Without the quirk these fields "
    "are not sent: many providers refuse them.",
    "gs_uris": (
        "Google: requests may name files in Cloud Storage (`gs://...`) and data stores (the "
        "tools `retrieval` and `fileSearch`). Google reads them with the rights of your key or "
        "account, for every tenant. Without the quirk such requests are refused."
    ),
    "max_completion_tokens": (
        "It needs `max_completion_tokens`: it refuses `max_tokens`, as OpenAI does for "
        "reasoning models, ignores it, or does not count reasoning tokens by it."
    ),
    "max_tokens": "It supports only `max_tokens`, not `max_completion_tokens`.",
    "no_developer_role": "It does not support the role `developer`: `system` is sent instead.",
    "no_stream_usage": "It refuses `stream_options`, which ask for the usage of a stream.",
    "no_user_after_tool": (
        "It refuses a `user` message right after a tool's result: a short `assistant` message "
        "is inserted."
    ),
    "random_seed": "Its `seed` is called `random_seed`.",
    "s3_uris": (
        "AWS: requests may name files in S3 (`s3Location`). AWS reads them with the rights of "
        "your account, for every tenant. Without the quirk such requests are refused."
    ),
    "short_tool_ids": (
        "It accepts only ids of tool calls with 9 letters and digits. Other ids are replaced, "
        "each always by the same one."
    ),
    "short_unstreamed": (
        "It refuses an output limit above 4,096 tokens without streaming, as Fireworks does. "
        "If the client sets no limit, 4,096 is sent."
    ),
    "takes_reasoning": (
        "It accepts `reasoning` in earlier turns. It is not sent to other providers, since "
        "many refuse it."
    ),
    "takes_reasoning_content": "The same for `reasoning_content`.",
    "takes_reasoning_details": "The same for `reasoning_details`, which has signed reasoning.",
    "thought_signatures": "It is Google's OpenAI-compatible endpoint, with a model that signs its "
    "tool calls (Gemini 3): signatures go back to it in `extra_content`, and the first call of a "
    "turn that has none gets Google's stand-in. To others they are not sent.",
}
"""A provider's departures from its dialect that must be known before it is asked. What it
leaves out or adds in its answers is understood without being named here."""
LIMIT_QUIRKS: Final = frozenset({"max_completion_tokens", "max_tokens"})
"""Those of which a host has one at most: how it calls the output limit."""
UNSUPPORTED: Final = ("drop", "refuse")
LATENCIES: Final = ("fast", "normal", "slow")
CAPABILITIES: Final = (
    "audio",
    "files",
    "json_schema",
    "reasoning",
    "tools",
    "vision",
)
