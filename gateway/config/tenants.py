"""Who may ask, and what they may spend: tenants, their organisations, keys and budgets."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.config.price import Day
from gateway.config.scalars import (
    Flag,
    Name,
    Per,
    Text,
    Usd,
    enum_schema,
    integer,
    integer_schema,
    invalid_hidden,
    json_schema,
    one_of,
)
from gateway.config.stanza import Stanza
from gateway.config.zones import Timezone
from gateway.core.catalog import Meter, Mode

_HASH: Final = r"(hmac-)?sha256:[0-9a-fA-F]{64}"
_MAX_CAP: Final = 10**15
"""Of tokens or requests. The ledger counts up to 2^53 exactly."""
_MAX_AT_ONCE: Final = 1_000_000
METERS: Final[tuple[Meter, ...]] = get_args(Meter)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
ON_LEDGER_UNAVAILABLE: Final = ("deny", "allow_local")


def _hash(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_HASH, value, re.ASCII):
        raise invalid_hidden(
            'must be "sha256:" or "hmac-sha256:" and 64 hex digits, as `tollgate key new` prints it'
        )
    return value.lower()


KeyHash = Annotated[str, BeforeValidator(_hash), json_schema({
    "type": "string", "pattern": rf"^{_HASH}$|\$\{{",
})]  # fmt: skip
Cap = Annotated[int, BeforeValidator(integer(1, _MAX_CAP)), integer_schema(1, _MAX_CAP)]
Places = Annotated[int, BeforeValidator(integer(1, _MAX_AT_ONCE)), integer_schema(1, _MAX_AT_ONCE)]
BudgetMode = Annotated[Mode, BeforeValidator(one_of(MODES)), enum_schema(MODES)]
OnLedgerUnavailable = Annotated[
    Literal["deny", "allow_local"],
    BeforeValidator(one_of(ON_LEDGER_UNAVAILABLE)),
    enum_schema(ON_LEDGER_UNAVAILABLE),
]


class Budget(Stanza):
    stand_ins: ClassVar[Mapping[str, str]] = {**dict.fromkeys(METERS, "1"), "per": "day"}

    usd: Usd | None = None
    """The cap in US dollars. A budget has exactly one of `usd`, `tokens`, `requests` and
    `at_once`."""
    tokens: Cap | None = None
    """The cap in tokens, prompt and answer together."""
    requests: Cap | None = None
    """The cap in requests. A request with several calls counts once, with its first call."""
    at_once: Places | None = None
    """The cap in concurrent requests. It takes no `per`."""
    per: Per | None = None
    """The calendar period, in the `timezone` of the tenant or organisation; `total` never ends."""
    rolling: Flag = False
    """If true, the period is a sliding window instead: 60 seconds, an hour, 24 hours, 7 days or
    30 days."""
    mode: BudgetMode = "hard"
    """`hard` refuses requests above the cap. `soft` only warns at 80 % and 100 %: in a header, a
    metric and `alerts.webhook`. `shadow` only counts what it would have refused."""

    @model_validator(mode="after")
    def _fits(self) -> "Budget":
        given = [meter for meter in METERS if getattr(self, meter) is not None]
        if len(given) != 1:
            raise invalid_hidden(f"must have exactly one of {', '.join(METERS)}")
        if self.at_once is not None:
            if self.per is not None:
                raise invalid_hidden("at_once goes without per: it is of every moment")
            if self.rolling:
                raise invalid_hidden("at_once goes without rolling: it is of every moment")
        elif self.per is None:
            raise invalid_hidden("per is required")
        elif self.per == "total" and self.rolling:
            raise invalid_hidden("rolling needs a per that ends, not total")
        return self

    @property
    def meter(self) -> Meter:
        return next(meter for meter in METERS if getattr(self, meter) is not None)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        ref = super().__get_pydantic_json_schema__(core, handler)
        definition = handler.resolve_ref_schema(ref)
        # "exactly one of these is there", as every editor understands it
        definition["oneOf"] = [
            {"required": [meter, "per"]} if meter != "at_once" else {"required": [meter]}
            for meter in METERS
        ]
        return ref


Budgets = dict[str, tuple[Budget, ...]]


class Key(Stanza):
    id: Name
    """Its name in reports, unique within the tenant."""
    hash: KeyHash
    """`sha256:` and the SHA-256 of the key in hex, as `tollgate key new` prints it; or
    `hmac-sha256:` and the HMAC-SHA256 of the key with `keys.pepper`."""
    budgets: tuple[Budget, ...] = ()
    """Budgets of this key."""
    models: tuple[Text, ...] | None = None
    """What this key may ask for, within the tenant's `models`. Default: all of them."""
    regions: tuple[Name, ...] | None = None
    """Where the data of this key may go, within the tenant's `regions`. Default: all of them."""
    expires: Day | None = None
    """The day, in UTC, from which on it is invalid."""


class Organisation(Stanza):
    budgets: tuple[Budget, ...] = ()
    """Budgets of all its tenants together."""
    model_budgets: Budgets = Field(default_factory=dict)
    """Budgets of one model, by its name. `"*"` is a budget for each model."""
    provider_budgets: Budgets = Field(default_factory=dict)
    """Budgets of one provider, by its name. `"*"` is a budget for each provider."""
    timezone: Timezone = "UTC"
    """The time zone in which the periods of these budgets begin: an IANA name."""


class Tenant(Stanza):
    keys: tuple[Key, ...] = ()
    """Its API keys."""
    organisation: Name | None = None
    """The organisation whose budgets it shares: a name under `organisations`."""
    budgets: tuple[Budget, ...] = ()
    """Budgets of the whole tenant. At most one of the same unit, period and mode."""
    user_budgets: tuple[Budget, ...] = ()
    """Budgets of each value of the request's `user`."""
    tag_budgets: Budgets = Field(default_factory=dict)
    """Budgets of each value of a tag, by the tag's name under `tags`."""
    model_budgets: Budgets = Field(default_factory=dict)
    """Budgets of one model, by its name. `"*"` is a budget for each model."""
    provider_budgets: Budgets = Field(default_factory=dict)
    """Budgets of one provider, by its name. `"*"` is a budget for each provider."""
    max_request_usd: Usd | None = None
    """The most that all calls of one request together may cost."""
    on_ledger_unavailable: OnLedgerUnavailable = "deny"
    """What to do while the ledger cannot be reached: `deny` requests; or `allow_local`: let each
    process spend its share of what was last known to be left."""
    timezone: Timezone = "UTC"
    """The time zone in which its periods begin: an IANA name."""
    models: tuple[Text, ...] = ("*",)
    """The routes, tiers and models that it may ask for. `*` matches any text."""
    regions: tuple[Name, ...] | None = None
    """The regions where its data may go. Default: all."""
    anonymous: Flag = False
    """Whether requests without a key, or with an unknown one, belong to it. Allowed for one tenant
    only."""
