"""Keys made, listed, rotated and revoked: the same for the admin API and the command line.

Whoever asks gives away no more than it has, and touches nothing beyond its tenant: a key of
another tenant is not there, as far as it can tell.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Literal

from msgspec import Struct

from gateway.core.catalog import Budget, Key, Tenant
from gateway.core.errors import Conflict, InvalidRequest, NotFound, NotPermitted
from gateway.core.keys import (
    NEVER,
    SECRET_BYTES,
    Actor,
    KeyRecord,
    KeyStore,
    Right,
    Scopes,
    digest_of,
    key_text,
    narrowed,
    rotated,
    wider,
)
from gateway.core.ports import Clock
from gateway.core.snapshot import Secret, Snapshot

MOST_OVERLAP_S: Final = 90 * 86_400.0
_ID_BYTES: Final = 6
_SHOWN: Final = 4
_PLAIN: Final = "sha256:"
_PEPPERED: Final = "hmac-sha256:"

_log: Final = logging.getLogger("gateway")


class Wish(Struct, frozen=True):
    """The key that is asked for. What is left out is as its creator's."""

    tenant: str
    models: tuple[str, ...] | None = None
    regions: frozenset[str] | None = None
    admin: frozenset[Right] = frozenset()
    expires_in_s: float | None = None
    budgets: tuple[Budget, ...] = ()


class Issued(Struct, frozen=True):
    """A key that was made, or made anew: the only time that it is seen."""

    record: KeyRecord
    key: Secret


class Listed(Struct, frozen=True):
    """`last_used` in Unix seconds, to the minute; None is never."""

    record: KeyRecord
    kept_in: Literal["config", "store"]
    last_used: float | None = None


class Issuer:
    """`random` is secrets.token_bytes, `wall` Unix seconds; `changed` is awaited after a change.

    Beside its own, each method raises KeysDown.
    """

    def __init__(
        self,
        store: KeyStore,
        snapshot: Snapshot,
        *,
        random: Callable[[int], bytes],
        wall: Clock,
        changed: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._store = store
        self._random = random
        self._wall = wall
        self._changed = changed
        self.reconfigure(snapshot)

    def reconfigure(self, snapshot: Snapshot) -> None:
        """Go by this configuration from now on."""
        self._tenants = snapshot.tenants
        self._all_configured = not snapshot.not_configured
        self._regions = frozenset(
            region
            for model in snapshot.catalog.models.values()
            for deployment in model.deployments
            for region in deployment.regions
        )
        self._pepper = snapshot.pepper
        self._admins = () if snapshot.admin is None else snapshot.admin.keys

    async def create(self, by: Actor, wish: Wish) -> Issued:
        """Raises InvalidRequest, or NotPermitted for what the creator does not have itself."""
        may(by, "write")
        if by.tenant not in {"", wish.tenant}:
            raise NotPermitted(f"This key may only make keys of tenant {by.tenant}.")
        if wish.tenant not in self._tenants and (wish.tenant or not wish.admin):
            raise InvalidRequest("'tenant' must be a tenant of the configuration.", param="tenant")
        now = self._wall()
        scopes = self._scopes(by, wish, now)
        key = Secret(key_text(wish.tenant, self._random(SECRET_BYTES), admin=bool(wish.admin)))
        record = KeyRecord(
            id=f"key_{self._random(_ID_BYTES).hex()}",
            tenant=wish.tenant,
            digest=digest_of(key, self._pepper),
            last4=key[-_SHOWN:],
            created=now,
            scopes=scopes,
            budgets=wish.budgets,
            made_by=by.id,
        )
        if not await self._store.save(record):
            raise Conflict("There is a key of this id already; try again.")
        await self._done("made", record, by)
        return Issued(record, key)

    async def rotate(
        self, by: Actor, key_id: str, overlap_s: float, tenant: str | None = None
    ) -> Issued:
        """A new key in its place; the one before stays valid for so long. Who rotates a key gets
        it, so it must be no wider than what they have.
        """
        may(by, "write")
        if not 0 <= overlap_s <= MOST_OVERLAP_S:
            raise InvalidRequest(
                f"'overlap_s' must be 0 to {MOST_OVERLAP_S:.0f}.", param="overlap_s"
            )
        before = await self._stored(by, key_id, tenant)
        _within(before.scopes, by)
        now = self._wall()
        if before.scopes.expires is not None and before.scopes.expires <= now:
            raise Conflict(f"The key {key_id} has expired: make another one.")
        random = self._random(SECRET_BYTES)
        key = Secret(key_text(before.tenant, random, admin=bool(before.scopes.admin)))
        digest = digest_of(key, self._pepper)
        try:
            record = rotated(before, digest, key[-_SHOWN:], now, overlap_s)
        except ValueError as error:
            raise Conflict(f"The key {key_id} cannot be rotated now: {error}.") from None
        if not await self._store.save(record):
            raise Conflict(f"The key {key_id} was changed meanwhile; look at it again.")
        await self._done("rotated", record, by)
        return Issued(record, key)

    async def revoke(self, by: Actor, key_id: str, tenant: str | None = None) -> None:
        may(by, "write")
        record = await self._stored(by, key_id, tenant)
        await self._store.remove(key_id)
        await self._done("revoked", record, by)

    async def find(self, by: Actor, key_id: str, tenant: str | None = None) -> Listed:
        """`tenant` tells keys of the configuration apart that have one id."""
        may(by, "read")
        found = await self._find(by, key_id, tenant)
        used = (await self._store.last_used()).get(_name(found))
        return Listed(found.record, found.kept_in, used)

    async def all(self, by: Actor, tenant: str | None = None) -> list[Listed]:
        """Those that it may see, by tenant, the oldest first."""
        may(by, "read")
        changes = await self._store.changes(NEVER)
        stored = [] if changes is None else [Listed(each, "store") for each in changes.records]
        used = await self._store.last_used()
        found = [
            Listed(each.record, each.kept_in, used.get(_name(each)))
            for each in (*self._configured(), *stored)
            if _sees(by, each.record) and tenant in {None, each.record.tenant}
        ]
        return sorted(found, key=lambda each: (each.record.tenant, each.record.created))

    def _scopes(self, by: Actor, wish: Wish, now: float) -> Scopes:
        mine = by.scopes
        if wish.expires_in_s is not None and not wish.expires_in_s > 0:
            raise InvalidRequest("'expires_in_s' must be above 0.", param="expires_in_s")
        scopes = Scopes(
            mine.models if wish.models is None else wish.models,
            mine.regions if wish.regions is None else wish.regions,
            wish.admin,
            mine.expires if wish.expires_in_s is None else now + wish.expires_in_s,
        )
        _within(scopes, by)
        if wish.tenant and not wish.admin:
            reach = narrowed(self._tenants[wish.tenant], scopes.models, scopes.regions)
            if not reach.models:
                raise InvalidRequest(
                    f"Nothing of these models may be asked for by tenant {wish.tenant}.",
                    param="models",
                )
            if reach.regions is not None and not reach.regions:
                raise InvalidRequest(
                    f"None of these regions is one of tenant {wish.tenant}.", param="regions"
                )
            served = reach.regions is None or not reach.regions.isdisjoint(self._regions)
            if not served and self._all_configured:  # else it may be served elsewhere
                raise InvalidRequest("No deployment is in any of these regions.", param="regions")
        return scopes

    async def _stored(self, by: Actor, key_id: str, tenant: str | None) -> KeyRecord:
        found = await self._find(by, key_id, tenant)
        if found.kept_in == "config":
            raise Conflict(f"The key {key_id} is in the configuration: change it there.")
        return found.record

    async def _find(self, by: Actor, key_id: str, tenant: str | None) -> Listed:
        record = await self._store.find(key_id)
        stored = [] if record is None else [Listed(record, "store")]
        found = [
            each
            for each in (*self._configured(), *stored)
            if each.record.id == key_id
            and _sees(by, each.record)
            and tenant in {None, each.record.tenant}
        ]
        if len(found) > 1:
            raise InvalidRequest(
                "Several tenants have a key of this id: name one as 'tenant'.", param="tenant"
            )
        if not found:
            raise NotFound("There is no key of this id.")
        return found[0]

    def _configured(self) -> Iterator[Listed]:
        for tenant in self._tenants.values():
            yield from (Listed(_of_config(tenant, key), "config") for key in tenant.keys)
        yield from (Listed(record, "config") for record in self._admins)

    async def _done(self, what: str, record: KeyRecord, by: Actor) -> None:
        whose = record.tenant or "all tenants"
        _log.info("key %s of %s was %s by %s", record.id, whose, what, by.id)
        if self._changed is not None:
            await self._changed()


def may(by: Actor, right: Right) -> None:
    """Raises NotPermitted."""
    if right not in by.scopes.admin:
        raise NotPermitted(f"This key has no right to {right} here.")


def _within(scopes: Scopes, by: Actor) -> None:
    more = wider(scopes, by.scopes)
    if more is not None:
        raise NotPermitted(f"A key cannot give what it does not have ({more}).")


def _sees(by: Actor, record: KeyRecord) -> bool:
    return by.tenant in {"", record.tenant}


def _of_config(tenant: Tenant, key: Key) -> KeyRecord:
    models = ("*",) if key.models is None else key.models
    digest = (_PEPPERED if key.peppered else _PLAIN) + key.sha256
    scopes = Scopes(models, key.regions, expires=key.expires)
    return KeyRecord(key.id, tenant.name, digest, "", 0.0, scopes, key.budgets)


def _name(listed: Listed) -> str:
    """As the keyring names it when it is used."""
    record = listed.record
    if listed.kept_in == "store":
        return record.id
    return f"/{record.id}" if record.scopes.admin else f"{record.tenant}/{record.id}"
