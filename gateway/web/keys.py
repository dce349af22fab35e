"""Authenticates callers: from a bearer key to its tenant, and the purse it spends from."""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from math import inf
from typing import Final

from gateway.core.catalog import Tenant
from gateway.core.errors import KeysDown, Unauthenticated
from gateway.core.keys import LONGEST, PREFIX, Actor, KeyRecord, is_peppered
from gateway.web.callers import Caller, Holder, of_admin, of_tenant, stored

_BEARER: Final = b"bearer "
_OURS: Final = PREFIX.encode()


async def _nothing_new() -> bool:
    return True


def _no_clock() -> float:
    return inf


class Keyring:
    """Keys are known by their digests only: they are long and random, so these need no salt.

    `wall` gives Unix seconds; without it, keys with an end have expired. `look` waits until all
    keys that the store has now are known here; it gives False when the store cannot be asked.
    """

    def __init__(
        self,
        tenants: Iterable[Tenant],
        *,
        pepper: str | None = None,
        admins: Iterable[KeyRecord] = (),
        wall: Callable[[], float] = _no_clock,
    ) -> None:
        self.look: Callable[[], Awaitable[bool]] = _nothing_new
        self.records: dict[str, KeyRecord] = {}
        """Of the store, by id."""
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._pepper = None if pepper is None else pepper.encode()
        self._wall = wall
        self._anybody: Caller | None = None
        self._used: set[str] = set()
        self._stored: dict[str, tuple[Holder, ...]] = {}
        self._fixed: list[Holder] = []
        for tenant in self._tenants.values():
            for key in tenant.keys:
                self._fixed.append(of_tenant(tenant, key))
            if tenant.anonymous:
                self._anybody = Caller(tenant, None)
        self._fixed += map(of_admin, admins)
        self._mark = object()
        """Marks the holders of this keyring."""
        self._plain: dict[bytes, Holder] = {}
        self._peppered: dict[bytes, Holder] = {}
        self.replace(())

    def known(self, authorization: bytes) -> Caller | None:
        """The caller of an Authorization header; None if its key is not known yet."""
        found = self._holder(authorization)
        if found is None:
            return None
        who = found.who
        return who if isinstance(who, Caller) else None

    def still_valid(self, caller: Caller) -> bool:
        """Whether the key of a caller that was found earlier is still good."""
        holder = caller.holder
        if holder is None or holder.held is not self._mark:
            return False
        if holder.until != inf and holder.until <= self._wall():
            return False
        self._used.add(holder.name)
        return True

    async def admit(self, authorization: bytes) -> Caller:
        """The caller, even if its key is not known yet: another replica may have just made it.

        Raises Unauthenticated, or KeysDown if the store cannot be asked.
        """
        found = self._holder(authorization)
        if found is not None and isinstance(found.who, Caller):
            return found.who
        if found is None and authorization:
            await self._looked(authorization)
        return self.caller(authorization)

    async def admit_admin(self, authorization: bytes) -> Actor:
        """The same for an admin key."""
        found = self._holder(authorization)
        if found is None and authorization:
            await self._looked(authorization)
            found = self._holder(authorization)
        if found is not None and isinstance(found.who, Actor):
            return found.who
        raise Unauthenticated("The admin API needs an admin key: 'Authorization: Bearer <key>'.")

    def caller(self, authorization: bytes) -> Caller:
        """The caller of an Authorization header. Raises Unauthenticated."""
        found = self.known(authorization) or self._anybody
        if found is not None:
            return found
        if authorization[:7].lower() != _BEARER or not authorization[7:].strip():
            raise Unauthenticated(
                "No API key was given. Send it as 'Authorization: Bearer <key>'; "
                "make one with `tollgate key new <tenant>`."
            )
        raise Unauthenticated("The API key is not known here.")

    def put(self, record: KeyRecord) -> None:
        """Add a key of the store, new or changed."""
        if record.id in self.records:
            self.drop(record.id)
        self.records[record.id] = record
        holders = self._holders_of(record)
        for holder in holders:
            self._hold(holder)
        if holders:
            self._stored[record.id] = holders

    def drop(self, key_id: str) -> None:
        """Remove a key that the store no longer has."""
        self.records.pop(key_id, None)
        for holder in self._stored.pop(key_id, ()):
            holder.held = None
            if self._peppered.get(holder.digest) is holder:
                del self._peppered[holder.digest]
            if holder.plain is not None and self._plain.get(holder.plain) is holder:
                del self._plain[holder.plain]

    def replace(self, records: Iterable[KeyRecord]) -> None:
        """Replace all keys of the store."""
        self._plain, self._peppered, self._stored, self.records = {}, {}, {}, {}
        self._mark = object()
        for holder in self._fixed:
            self._hold(holder)
        for record in records:
            self.put(record)

    def catch_up(self, records: Mapping[str, KeyRecord]) -> None:
        """Take over the records of another keyring."""
        for key_id in self.records.keys() - records.keys():
            self.drop(key_id)
        for key_id, record in records.items():
            if self.records.get(key_id) is not record:
                self.put(record)

    def used(self) -> set[str]:
        """The names of keys that were used since the last call."""
        used, self._used = self._used, set()
        return used

    def _holder(self, authorization: bytes) -> Holder | None:
        if authorization[:7].lower() != _BEARER:
            return None
        key = authorization[7:].strip()
        if len(key) > LONGEST:
            return None
        digest = sha256(key).digest()
        found = self._plain.get(digest) or self._lookup_peppered(key, digest)
        # The lookup leaks at most a prefix of a digest; the decision is constant-time.
        if found is None or not hmac.compare_digest(found.plain or b"", digest):
            return None
        if found.until != inf and found.until <= self._wall():
            return None
        if found.who is None:
            found.admit()
        self._used.add(found.name)
        return found

    def _lookup_peppered(self, key: bytes, plain: bytes) -> Holder | None:
        """Find a peppered key that was not used before. From now on it is found by its SHA-256: an
        HMAC for each request would cost more than all the rest.
        """
        if self._pepper is None:
            return None
        digest = hmac.digest(self._pepper, key, "sha256")
        found = self._peppered.get(digest)
        if found is None or not hmac.compare_digest(found.digest, digest):
            return None
        found.plain = plain
        self._plain[plain] = found
        return found

    async def _looked(self, authorization: bytes) -> None:
        """Read the store again, if the key may be in it: we made all of those, and a look takes as
        long as 20 requests. Raises KeysDown if the key may still be good.
        """
        if authorization[7:].strip().startswith(_OURS) and not await self.look():
            raise KeysDown("Whether this API key is good cannot be told now.")

    def _hold(self, holder: Holder) -> None:
        """The first holder of a digest stays: keys of the configuration come first."""
        holder.held = self._mark
        if holder.peppered:
            self._peppered.setdefault(holder.digest, holder)
        else:
            self._plain.setdefault(holder.digest, holder)

    def _holders_of(self, record: KeyRecord) -> tuple[Holder, ...]:
        """Holders for the key and each former one; none if its tenant does not exist any more."""
        admin = record.scopes.admin
        tenant = None if admin else self._tenants.get(record.tenant)
        if tenant is None and not admin:
            return ()
        digests = [(record.digest, None), *((each.digest, each.until) for each in record.former)]
        return tuple(
            stored(record, tenant, digest, until, record.id)
            for digest, until in digests
            if self._pepper is not None or not is_peppered(digest)
        )
