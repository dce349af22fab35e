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
    """The cap in US dollars. A budget has one of `usd`, `tokens`, `requests` and `at_once`."""
    tokens: Cap | None = None
    """The cap in tokens, prompt and answer."""
    requests: Cap | None = None
    """The cap in requests. One that makes several calls is counted once, with the first."""
    at_once: Places | None = None
    """How many requests may be under way at the same time. It has no `per`."""
    per: Per | None = None
    """The calendar period, in the time zone of whose budget it is; `total` never ends."""
    rolling: Flag = False
    """Not a calendar period but any span of its length: 60 seconds, an hour, 24 hours, 7 days,
    30 days."""
    mode: BudgetMode = "hard"
    """`hard` refuses. `soft` warns at 80 % and 100 %: a header, a metric, `alerts.webhook`.
    `shadow` only counts what it would have refused."""

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
    """Its name in reports; unique in the tenant."""
    hash: KeyHash
    """`sha256:` and the SHA-256 of the key in hex, as `tollgate key new` prints it; or
    `hmac-sha256:` and its HMAC-SHA256 under `keys.pepper`."""
    budgets: tuple[Budget, ...] = ()
    """What may be spent with this key."""
    models: tuple[Text, ...] | None = None
    """Of what the tenant may ask for, all that this key may. Default: all of it."""
    regions: tuple[Name, ...] | None = None
    """Of the tenant's regions, those of this key. Default: all of them."""
    expires: Day | None = None
    """The day, of UTC, from which on it is worth nothing."""


class Organisation(Stanza):
    budgets: tuple[Budget, ...] = ()
    """What all of its tenants may spend together."""
    model_budgets: Budgets = Field(default_factory=dict)
    """What they may spend at one model, by its name; `"*"` is each model by itself."""
    provider_budgets: Budgets = Field(default_factory=dict)
    """What they may spend at one provider, by its name; `"*"` is each by itself."""
    timezone: Timezone = "UTC"
    """Where the days and months of these budgets begin: an IANA name."""


class Tenant(Stanza):
    keys: tuple[Key, ...] = ()
    """Who may spend its money."""
    organisation: Name | None = None
    """A name under `organisations`, whose budgets it shares."""
    budgets: tuple[Budget, ...] = ()
    """What may be spent in all. Of the same unit, period and mode, one at most."""
    user_budgets: tuple[Budget, ...] = ()
    """What each value of the request's `user` may spend."""
    tag_budgets: Budgets = Field(default_factory=dict)
    """What each value of a tag may spend, by the tag's name under `tags`."""
    model_budgets: Budgets = Field(default_factory=dict)
    """What may be spent at one model, by its name; `"*"` is each model by itself."""
    provider_budgets: Budgets = Field(default_factory=dict)
    """What may be spent at one provider, by its name; `"*"` is each by itself."""
    max_request_usd: Usd | None = None
    """The most that all calls of one request may cost together."""
    on_ledger_unavailable: OnLedgerUnavailable = "deny"
    """While the ledger cannot be reached: `deny` its requests, or `allow_local`: let each
    gateway spend up to what it last knew to be left."""
    timezone: Timezone = "UTC"
    """Where its days and months begin: an IANA name."""
    models: tuple[Text, ...] = ("*",)
    """Routes, tiers and models that may be asked for; `*` stands for any text."""
    regions: tuple[Name, ...] | None = None
    """Where its data may go. Default: anywhere."""
    anonymous: Flag = False
    """Requests with no key, or an unknown one, belong to it. At most one tenant."""
