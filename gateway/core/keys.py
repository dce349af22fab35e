"""Keys that are made while the gateway runs: what is kept of one, and what it may do.

Nobody keeps a key: only its digest, HMAC-SHA256 under the pepper of the configuration, or plain
SHA-256 where there is none. A scope only ever takes away from what its creator, and its tenant,
may do.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Final, Literal, Protocol

from msgspec import Meta, Struct, structs

from gateway.core.catalog import Budget, Key, Tenant
from gateway.core.patterns import allowed

Right = Literal["read", "write"]
"""What an admin key may do with other keys: see them; make, rotate and revoke them."""

SECRET_BYTES: Final = 32
"""The whole strength of a key: its text is these, in base64."""
LONGEST: Final = 512
"""Bytes of what is looked up as a key: longer is none of ours."""
PREFIX: Final = "tg-"
ADMIN_PREFIX: Final = "tg-admin-"
_PLAIN: Final = "sha256:"
_PEPPERED: Final = "hmac-sha256:"
_OVERLAPS: Final = 8


class Scopes(Struct, frozen=True):
    """What a key may do, at most. Its tenant, and what the configuration says of it, hold as well.

    `models` are patterns of routes, tiers and models, `regions` None for any. A key with `admin`
    rights opens the admin API, and nothing else: then the others bound the keys that it makes.
    """

    models: tuple[str, ...] = ("*",)
    regions: frozenset[str] | None = None
    admin: frozenset[Right] = frozenset()
    expires: float | None = None
    """Unix seconds, from which on it is worth nothing."""


EVERYTHING: Final = Scopes(admin=frozenset(("read", "write")))


class Actor(Struct, frozen=True):
    """Who asks for a change: an admin key, or who sits at the machine."""

    id: str
    scopes: Scopes
    tenant: str = ""
    """The only one whose keys it may touch; "" is all of them."""


Digest = Annotated[str, Meta(pattern="^(hmac-)?sha256:[0-9a-f]{64}$")]
"""What is kept of a key: "hmac-sha256:" under a pepper, or "sha256:", and hex."""


class Former(Struct, frozen=True):
    """What a rotated key was before, valid `until` (Unix seconds)."""

    digest: Digest
    until: float


class KeyRecord(Struct, frozen=True, omit_defaults=True):
    """What is kept of a key. Times are Unix seconds.

    `revision` counts its changes. An admin key of all tenants has the tenant "".
    """

    id: str
    tenant: str
    digest: Digest
    last4: str
    created: float
    scopes: Scopes = Scopes()
    budgets: tuple[Budget, ...] = ()
    former: tuple[Former, ...] = ()
    made_by: str = ""
    revision: int = 1


Version = tuple[str, int]
"""How often the keys of a store were changed, and the name of the data that this is true of."""
NEVER: Final[Version] = ("", 0)


class Changes(Struct, frozen=True):
    """What has changed in a store up to a version. `whole`: all that there is is in `records`."""

    version: Version
    records: tuple[KeyRecord, ...]
    gone: tuple[str, ...] = ()
    whole: bool = False


class KeyStore(Protocol):
    """Where keys are kept. Raises KeysDown, and nothing else."""

    async def changes(self, since: Version) -> Changes | None:
        """What changed since a version; None when nothing did, which costs little to ask."""
        ...

    async def find(self, key_id: str) -> KeyRecord | None: ...

    async def save(self, record: KeyRecord) -> bool:
        """Keep a record of the revision after the one that is kept; 1 is a new one. False, with
        nothing done, when another is. Saving the same again changes nothing, and is True.
        """
        ...

    async def remove(self, key_id: str) -> bool:
        """Whether it was there."""
        ...

    async def touch(self, used: Mapping[str, float]) -> None:
        """Note when keys were last used; the later time stays. A key of the configuration is
        named "tenant/id"; of others, by their id, those that are gone are left out.
        """
        ...

    async def last_used(self) -> Mapping[str, float]: ...

    async def aclose(self) -> None: ...


def key_text(tenant: str, random: bytes, *, admin: bool = False) -> str:
    """The key itself, to be shown once. `random` are SECRET_BYTES that nobody can guess."""
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a key is made of {SECRET_BYTES} random bytes")
    secret = base64.urlsafe_b64encode(random).rstrip(b"=").decode()
    return f"{ADMIN_PREFIX}{secret}" if admin else f"{PREFIX}{tenant}-{secret}"


def digest_of(key: str, pepper: str | None) -> str:
    """What is kept of a key."""
    if pepper is None:
        return _PLAIN + sha256(key.encode()).hexdigest()
    return _PEPPERED + hmac.digest(pepper.encode(), key.encode(), "sha256").hex()


def is_peppered(digest: str) -> bool:
    return digest.startswith(_PEPPERED)


def wider(child: Scopes, creator: Scopes) -> str | None:
    """What a scope reaches that its creator's does not; None when nothing."""
    for pattern in child.models:
        # A * in the inner pattern is matched by a * of the outer only: so this is containment.
        if not allowed(creator.models, pattern):
            return f"models: {pattern}"
    if creator.regions is not None:
        if child.regions is None:
            return "regions: all"
        if more := child.regions - creator.regions:
            return f"regions: {', '.join(sorted(more))}"
    if rights := child.admin - creator.admin:
        return f"admin: {', '.join(sorted(rights))}"
    if creator.expires is not None and (child.expires is None or child.expires > creator.expires):
        return "expires: later than its creator"
    return None


def narrowed(tenant: Tenant, models: Sequence[str], regions: frozenset[str] | None) -> Tenant:
    """A tenant that may ask for no more than it may itself, nor than these.

    Of two patterns where one holds the other, the inner one stays. Of two that only overlap
    (gpt-* and *-mini) nothing does: too little is safer than too much.
    """
    inner = [pattern for pattern in models if allowed(tenant.models, pattern)]
    inner += [mine for mine in tenant.models if allowed(tuple(models), mine)]
    home = tenant.regions
    if home is None or regions is None:
        home = regions if home is None else home
    else:
        home &= regions
    patterns = tuple(dict.fromkeys(inner))
    if patterns == tenant.models and home == tenant.regions:
        return tenant
    return structs.replace(tenant, models=patterns, regions=home)


def rotated(record: KeyRecord, digest: str, last4: str, now: float, overlap_s: float) -> KeyRecord:
    """The record with a new key; the one before is valid for so long still.

    Raises ValueError when too many former keys are valid already.
    """
    former = [each for each in record.former if each.until > now]
    if overlap_s > 0:
        former.append(Former(record.digest, now + overlap_s))
    if len(former) > _OVERLAPS:
        raise ValueError(f"{_OVERLAPS} former keys are valid still")
    return structs.replace(
        record, digest=digest, last4=last4, former=tuple(former), revision=record.revision + 1
    )


def client_key(record: KeyRecord, digest: str, until: float | None = None) -> Key:
    """One of a record's digests as a key of its tenant; a former one is valid `until` then."""
    scopes = record.scopes
    return Key(
        record.id,
        digest.rpartition(":")[2],
        record.budgets,
        is_peppered(digest),
        scopes.models,
        scopes.regions,
        expiry(record, until),
    )


def expiry(record: KeyRecord, until: float | None) -> float | None:
    """From when on a digest that is valid `until` then is worth nothing; None: never."""
    first = record.scopes.expires
    if first is None or until is None:
        return until if first is None else first
    return min(first, until)
