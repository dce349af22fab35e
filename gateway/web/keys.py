"""Who is asking: a bearer key to its tenant and the purse it spends from."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Key, Tenant
from gateway.core.errors import Unauthenticated

_BEARER: Final = b"bearer "


class Caller:
    """A tenant, and the key it came with; None where anybody may come."""

    def __init__(self, tenant: Tenant, key: Key | None) -> None:
        self.tenant = tenant
        self.key = key
        self._own = self._purse(None)

    def purse(self, user: str | None) -> Purse:
        """Every account that a request of this caller spends from."""
        return self._own if user is None or not self.tenant.user_budgets else self._purse(user)

    def _purse(self, user: str | None) -> Purse:
        tenant, key = self.tenant, self.key
        owner, zone = tenant.name, tenant.timezone
        accounts = [Account("tenant", owner, tenant.budgets, owner, zone)]
        if user is not None:
            accounts.append(Account("user", user, tenant.user_budgets, owner, zone))
        if key is not None and key.budgets:
            accounts.append(Account("key", key.id, key.budgets, owner, zone))
        return Purse(owner, tuple(accounts))


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
