"""`tollgate key`: clients' keys, and those of the admin API, made, listed, rotated and revoked.

A key that is not saved is only printed, with the stanza for its hash; the others are stored with
the ledger, and every gateway that uses it accepts them at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.table import Table

from gateway.app import open_issuer
from gateway.config.faults import ConfigError, Fault
from gateway.config.scalars import name
from gateway.core.keys import EVERYTHING, SECRET_BYTES, Actor, Right, digest_of, key_text
from gateway.core.snapshot import Snapshot
from gateway.stores import open_keys
from gateway.web.admin_json import key_json
from gateway.web.issuer import Issued, Issuer, Wish

T = TypeVar("T")
_OPERATOR: Final = Actor("command-line", EVERYTHING)
_COLUMNS: Final = (
    "id", "tenant", "kept in", "last 4", "created", "last used", "expires", "may",
)  # fmt: skip
_NO_WRAP: Final = frozenset({"id", "last 4", "created", "last used", "expires"})


def new_key(
    tenant: str,
    token_bytes: Callable[[int], bytes],
    *,
    pepper: str | None = None,
    admin: Sequence[Right] = (),
) -> tuple[str, str]:
    """The key, to be shown once, and the YAML to add under `tenants`, or under `admin`.

    `token_bytes` is secrets.token_bytes: the 32 bytes asked of it are the whole strength of the
    key. Raises ConfigError for a tenant's name that is not valid.
    """
    if tenant or not admin:
        try:
            name(tenant)
        except ValueError as error:
            raise ConfigError([Fault("tenant", None, None, "", f"the name {error}")]) from None
    key = key_text(tenant, token_bytes(SECRET_BYTES), admin=bool(admin))
    fields = f'id: k{token_bytes(3).hex()}, hash: "{digest_of(key, pepper)}"'
    # Quoted: a name such as 1.0 or yes is a text here, but not to every reader of YAML.
    if admin:
        whose = f', tenant: "{tenant}"' if tenant else ""
        return key, f"admin:\n  keys:\n    - {{{fields}, scopes: [{', '.join(admin)}]{whose}}}\n"
    return key, f'tenants:\n  "{tenant}":\n    keys:\n      - {{{fields}}}\n'


def save(snapshot: Snapshot, wish: Wish) -> dict[str, Any]:
    """Create and store a key; the answer of the admin API. Raises GatewayError."""
    return _run_with_issuer(snapshot, lambda issuer: issuer.create(_OPERATOR, wish), _issued_json)


def rotate(snapshot: Snapshot, key_id: str, overlap_s: float) -> dict[str, Any]:
    """Replace a key; the former one stays valid for `overlap_s` seconds."""
    return _run_with_issuer(
        snapshot, lambda issuer: issuer.rotate(_OPERATOR, key_id, overlap_s), _issued_json
    )


def revoke(snapshot: Snapshot, key_id: str) -> dict[str, Any]:
    result = {"id": key_id, "object": "key", "deleted": True}
    return _run_with_issuer(
        snapshot, lambda issuer: issuer.revoke(_OPERATOR, key_id), lambda _: result
    )


def list_keys(snapshot: Snapshot, tenant: str | None) -> dict[str, Any]:
    """Those that are stored, and those of the configuration."""
    return _run_with_issuer(
        snapshot,
        lambda issuer: issuer.all(_OPERATOR, tenant),
        lambda found: {"object": "list", "data": [key_json(each) for each in found]},
    )


def show(listed: Mapping[str, Any], console: Console) -> None:
    """Print a line for each key."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in _NO_WRAP)
    for key in listed["data"]:
        table.add_row(
            key["id"],
            key["tenant"] or "all",
            key["kept_in"],
            key["last4"] or "",
            _time(key["created_at"]),
            _time(key["last_used_at"]) or "never",
            _time(key["expires_at"]) or "never",
            _rights(key),
        )
    console.print(table, markup=False)


def _rights(key: Mapping[str, Any]) -> str:
    parts = [f"admin {', '.join(key['admin'])}"] if key["admin"] else []
    if key["models"] != ["*"]:
        parts.append(f"models {', '.join(key['models'])}")
    if key["regions"] is not None:
        parts.append(f"regions {', '.join(key['regions'])}")
    return "; ".join(parts) or "all that its tenant may"


def _time(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _issued_json(issued: Issued) -> dict[str, Any]:
    return key_json(issued.record) | {"key": str(issued.key)}


def _run_with_issuer(
    snapshot: Snapshot,
    action: Callable[[Issuer], Awaitable[T]],
    to_json: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    async def run() -> T:
        async with open_keys(snapshot) as store:
            return await action(open_issuer(snapshot, store))

    return to_json(asyncio.run(run()))
