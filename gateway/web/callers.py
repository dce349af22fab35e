"""Callers, each a tenant with the key that it used, and the holders of keys' digests."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Final

from gateway.core.accounts import Account, Purse, Scope
from gateway.core.catalog import Budgets, Key, Organisation, Tenant
from gateway.core.keys import Actor, KeyRecord, client_key, expiry, is_peppered, narrowed

_NO_TAGS: Final[Mapping[str, str]] = {}


class Caller:
    """A tenant, and the key that it used; None if anonymous."""

    def __init__(self, tenant: Tenant, key: Key | None) -> None:
        self.tenant = tenant
        self.key = key
        self.key_id = key.id if key else ""
        self.organisation = tenant.organisation.name if tenant.organisation else ""
        self.name = f"{tenant.name}/{self.key_id}"
        """Unique."""
        self.holder: Holder | None = None
        """Of its key."""
        self._own = self._purse(None, _NO_TAGS)
        self._varies = bool(tenant.user_budgets or tenant.tag_budgets)

    def purse(self, user: str | None, tags: Mapping[str, str] = _NO_TAGS) -> Purse:
        """All accounts that a request of this caller spends from."""
        if not self._varies:
            return self._own
        tenant = self.tenant
        of_user = user is not None and tenant.user_budgets
        if not of_user and not any(tag in tags for tag in tenant.tag_budgets):
            return self._own
        return self._purse(user, tags)

    def _purse(self, user: str | None, tags: Mapping[str, str]) -> Purse:
        tenant, key, shared = self.tenant, self.key, self.tenant.organisation
        owner, zone = tenant.name, tenant.timezone
        accounts = []
        if shared is not None and shared.budgets:
            name = shared.name
            accounts.append(Account("organisation", name, shared.budgets, "", shared.timezone))
        accounts.append(Account("tenant", owner, tenant.budgets, owner, zone))
        if user is not None and tenant.user_budgets:
            accounts.append(Account("user", user, tenant.user_budgets, owner, zone))
        if key is not None and key.budgets:
            accounts.append(Account("key", key.id, key.budgets, owner, zone))
        for tag, budgets in tenant.tag_budgets.items():
            if tag in tags:
                accounts.append(Account("tag", f"{tag}={tags[tag]}", budgets, owner, zone))
        return Purse(owner, tuple(accounts), shared.name if shared else "", _per_call(tenant))


def _per_call(tenant: Tenant) -> tuple[Account, ...]:
    """The accounts of models and providers, the organisation's first."""
    shared = tenant.organisation
    found = _of(shared, "", shared.timezone) if shared is not None else ()
    return (*found, *_of(tenant, tenant.name, tenant.timezone))


def _of(whose: Tenant | Organisation, owner: str, zone: str) -> tuple[Account, ...]:
    scopes: tuple[tuple[Scope, Budgets], ...] = (
        ("model", whose.model_budgets),
        ("provider", whose.provider_budgets),
    )
    return tuple(
        Account(scope, name, budgets, owner, zone)
        for scope, by_name in scopes
        for name, budgets in by_name.items()
    )


class Holder:
    """The holder of a key, known by its digest: valid `until` (Unix seconds), and its `name` in the
    record of the keys last used.

    `plain` is the SHA-256 by which it is found; for a peppered digest only once the key was used.
    `who` is made at first use: for ten thousand keys at once that would take long. `held` marks the
    keyring that it belongs to.
    """

    __slots__ = ("_make", "digest", "held", "name", "peppered", "plain", "until", "who")

    def __init__(
        self,
        digest: str,
        make: Callable[[], Caller | Actor],
        until: float | None,
        name: str,
        *,
        peppered: bool,
    ) -> None:
        self.digest = bytes.fromhex(digest)
        self.peppered = peppered
        self.plain = None if peppered else self.digest
        self.who: Caller | Actor | None = None
        self.until = inf if until is None else until
        self.name = name
        self.held: object = None
        self._make = make

    def admit(self) -> None:
        self.who = self._make()
        if isinstance(self.who, Caller):
            self.who.holder = self


def of_tenant(tenant: Tenant, key: Key) -> Holder:
    """The holder of a key in the configuration."""
    make, name = partial(_caller, tenant, key), f"{tenant.name}/{key.id}"
    return Holder(key.sha256, make, key.expires, name, peppered=key.peppered)


def of_admin(record: KeyRecord) -> Holder:
    """The holder of an admin key in the configuration."""
    return stored(record, None, record.digest, None, f"/{record.id}")


def stored(
    record: KeyRecord, tenant: Tenant | None, digest: str, until: float | None, name: str
) -> Holder:
    """The holder for one of a record's digests; without a tenant, of an admin key."""
    make: Callable[[], Caller | Actor]
    if tenant is None:
        make = partial(Actor, record.id, record.scopes, record.tenant)
    else:
        make = partial(_stored, tenant, record, digest, until)
    raw = digest.rpartition(":")[2]
    return Holder(raw, make, expiry(record, until), name, peppered=is_peppered(digest))


def _stored(tenant: Tenant, record: KeyRecord, digest: str, until: float | None) -> Caller:
    return _caller(tenant, client_key(record, digest, until))


def _caller(tenant: Tenant, key: Key) -> Caller:
    models = tenant.models if key.models is None else key.models
    return Caller(narrowed(tenant, models, key.regions), key)
