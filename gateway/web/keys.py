"""Who is asking: a bearer key to its tenant and the purse it spends from."""

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from gateway.core.accounts import Account, Purse, Scope
from gateway.core.catalog import Budgets, Key, Organisation, Tenant
from gateway.core.errors import Unauthenticated

_BEARER: Final = b"bearer "
_NO_TAGS: Final[Mapping[str, str]] = {}


class Caller:
    """A tenant, and the key it came with; None where anybody may come."""

    def __init__(self, tenant: Tenant, key: Key | None) -> None:
        self.tenant = tenant
        self.key = key
        self._own = self._purse(None, _NO_TAGS)

    def purse(self, user: str | None, tags: Mapping[str, str] = _NO_TAGS) -> Purse:
        """Every account that a request of this caller spends from."""
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
    """The accounts of models and providers: those of the organisation first."""
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


class Keyring:
    """Keys are known by their SHA-256 only: they are long and random, so it needs no salt."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._callers: dict[str, Caller] = {}
        self._anybody: Caller | None = None
        for tenant in tenants:
            for key in tenant.keys:
                self._callers[key.sha256] = Caller(tenant, key)
            if tenant.anonymous:
                self._anybody = Caller(tenant, None)

    def caller(self, authorization: bytes) -> Caller:
        """Whose key this Authorization header carries. Raises Unauthenticated."""
        if authorization[:7].lower() == _BEARER:
            digest = sha256(authorization[7:].strip()).hexdigest()
            found = self._callers.get(digest)
            known = found.key.sha256 if found is not None and found.key is not None else ""
            # The lookup leaks at most a prefix of a hash; the decision is constant-time.
            if found is not None and hmac.compare_digest(known, digest):
                return found
        if self._anybody is not None:
            return self._anybody
        if not authorization:
            raise Unauthenticated(
                "No API key was given. Send it as 'Authorization: Bearer <key>'; "
                "make one with `tollgate key new <tenant>`."
            )
        raise Unauthenticated("The API key is not known here.")
