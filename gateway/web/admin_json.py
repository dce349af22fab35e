"""What the admin API reads and writes: JSON to values, and back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.accounts import Balance
from gateway.core.catalog import Budget, Meter, Mode, Period
from gateway.core.changes import Reloaded
from gateway.core.keys import KeyRecord, Right
from gateway.core.money import MAX_USD, nanos, usd
from gateway.web.issuer import Listed, Wish
from gateway.web.refuse import refuse, wrong_type

_MOST: Final = 10**15
_MOST_AT_ONCE: Final = 1_000_000
_MOST_ITEMS: Final = 100
_MOST_CHANGES: Final = 1_000
_LONGEST: Final = 128
_LONGEST_LIFE_S: Final = 100 * 366 * 86_400.0
OVERLAP_S: Final = 3_600.0


class _Budget(Struct, forbid_unknown_fields=True):
    """One of the meters, as in the configuration."""

    usd: Decimal | None = None
    tokens: int | None = None
    requests: int | None = None
    at_once: int | None = None
    per: Period | None = None
    rolling: bool = False
    mode: Mode = "hard"


class _NewKey(Struct, forbid_unknown_fields=True):
    tenant: str = ""
    models: list[str] | None = None
    regions: list[str] | None = None
    admin: list[Right] = []
    expires_in_s: float | None = None
    budgets: list[_Budget] = []


class _Rotation(Struct, forbid_unknown_fields=True):
    overlap_s: float = OVERLAP_S


_new_key: Final = msgspec.json.Decoder(_NewKey).decode
_rotation: Final = msgspec.json.Decoder(_Rotation).decode


def read_wish(body: bytes) -> Wish:
    """The key that a body asks for. Raises InvalidRequest."""
    fields = _read(_new_key, body)
    expires_in_s = fields.expires_in_s
    if expires_in_s is not None and not 0 < expires_in_s <= _LONGEST_LIFE_S:
        refuse("expires_in_s", "must be above 0 and at most 100 years, in seconds")
    models, regions = _names("models", fields.models), _names("regions", fields.regions)
    return Wish(
        fields.tenant,
        models,
        None if regions is None else frozenset(regions),
        frozenset(fields.admin),
        expires_in_s,
        _budgets(fields.budgets),
    )


def read_overlap(body: bytes) -> float:
    """For how many seconds the former key stays valid; no body is an hour."""
    return _read(_rotation, body).overlap_s if body.strip() else OVERLAP_S


def key_json(found: Listed | KeyRecord) -> dict[str, Any]:
    """A key, without its digest. Times are Unix seconds."""
    listed = Listed(found, "store") if isinstance(found, KeyRecord) else found
    record = listed.record
    scopes = record.scopes
    return {
        "id": record.id,
        "object": "key",
        "tenant": record.tenant or None,
        "kept_in": listed.kept_in,
        "last4": record.last4 or None,
        "created_at": int(record.created) or None,
        "last_used_at": _seconds(listed.last_used),
        "expires_at": _seconds(scopes.expires),
        "models": list(scopes.models),
        "regions": None if scopes.regions is None else sorted(scopes.regions),
        "admin": sorted(scopes.admin),
        "budgets": [_budget_json(budget) for budget in record.budgets],
        "former_until": [_seconds(former.until) for former in record.former],
        "made_by": record.made_by or None,
    }


def balance_json(balance: Balance) -> dict[str, Any]:
    """Where a budget stands, in US dollars, tokens or requests."""
    account, budget = balance.account, balance.budget
    left = max(budget.cap - balance.spent - balance.held, 0)
    amounts = {"cap": budget.cap, "spent": balance.spent, "held": balance.held, "left": left}
    return {
        "scope": account.scope,
        "name": account.name,
        "meter": budget.meter,
        "per": budget.per,
        "rolling": budget.rolling,
        "mode": budget.mode,
        **{name: _amount(budget.meter, amount) for name, amount in amounts.items()},
    }


def reloaded_json(done: Reloaded) -> dict[str, Any]:
    """What a reload changed, by name; at first a thousand of them."""
    shown = [{"path": each.path, "change": each.what} for each in done.changes[:_MOST_CHANGES]]
    return {
        "object": "reload",
        "result": "changed" if done.changes else "unchanged",
        "hash": done.hash,
        "at": int(done.at),
        "changes": shown,
        "changes_in_all": len(done.changes),
    }


def _read(decode: Any, body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        wrong_type(error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse("body", "must be a JSON object")


def _names(field: str, given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not given or len(given) > _MOST_ITEMS:
        refuse(field, f"must have 1 to {_MOST_ITEMS} items; leave it out for as much as you have")
    if any(not 0 < len(name) <= _LONGEST or not name.isprintable() for name in given):
        refuse(field, f"must be of 1 to {_LONGEST} printable characters each")
    return tuple(dict.fromkeys(given))


def _budgets(given: Sequence[_Budget]) -> tuple[Budget, ...]:
    if len(given) > _MOST_ITEMS:
        refuse("budgets", f"must have at most {_MOST_ITEMS} items")
    budgets = tuple(_budget(f"budgets[{at}]", each) for at, each in enumerate(given))
    if len({(b.meter, b.per, b.rolling, b.mode) for b in budgets}) < len(budgets):
        refuse("budgets", "must have one of a kind: two would be one, at the lower cap")
    return budgets


def _budget(place: str, given: _Budget) -> Budget:
    caps: dict[Meter, Decimal | int | None] = {
        "usd": given.usd,
        "tokens": given.tokens,
        "requests": given.requests,
        "at_once": given.at_once,
    }
    found = [(meter, cap) for meter, cap in caps.items() if cap is not None]
    if len(found) != 1:
        refuse(place, f"must have exactly one of {', '.join(caps)}")
    meter, cap = found[0]
    most = int(MAX_USD) if meter == "usd" else _MOST_AT_ONCE if meter == "at_once" else _MOST
    finite = not isinstance(cap, Decimal) or cap.is_finite()
    if not finite or not 0 < cap <= most:
        refuse(f"{place}.{meter}", f"must be above 0 and at most {most:,}")
    if meter == "at_once":
        if given.per is not None or given.rolling:
            refuse(place, "at_once goes without per and rolling")
        return Budget(int(cap), "total", meter, mode=given.mode)
    if given.per is None:
        refuse(f"{place}.per", "is required")
    if given.per == "total" and given.rolling:
        refuse(f"{place}.per", "must be a period that ends, as it is rolling")
    number = nanos(cap) if meter == "usd" else int(cap)
    return Budget(number, given.per, meter, given.rolling, given.mode)


def _budget_json(budget: Budget) -> Mapping[str, Any]:
    """As in the configuration."""
    fields: dict[str, Any] = {budget.meter: _amount(budget.meter, budget.cap), "mode": budget.mode}
    return (
        fields
        if budget.meter == "at_once"
        else {**fields, "per": budget.per, "rolling": budget.rolling}
    )


def _amount(meter: Meter, amount: int) -> int | Raw:
    return Raw(usd(amount).encode()) if meter == "usd" else amount


def _seconds(at: float | None) -> int | None:
    return None if at is None else int(at)
