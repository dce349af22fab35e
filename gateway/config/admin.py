"""Keys beyond those of the tenants: their pepper, and the admin API with its own keys."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, get_args

from pydantic import BeforeValidator, PlainValidator

from gateway.config.faults import Path, quoted
from gateway.config.price import Day
from gateway.config.scalars import (
    Name,
    Text,
    enum_schema,
    integer,
    integer_schema,
    invalid_hidden,
    json_schema,
    one_of,
)
from gateway.config.stanza import Stanza
from gateway.config.tenants import Key, KeyHash, Tenant
from gateway.config.tree import Tree
from gateway.core.catalog import Key as CatalogKey
from gateway.core.keys import KeyRecord, Right, Scopes, is_peppered
from gateway.core.patterns import allowed
from gateway.core.snapshot import Admin as AdminPlace
from gateway.core.snapshot import Secret

RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
_SHORTEST: Final = 16


def _pepper(value: object) -> Secret:
    if not isinstance(value, str) or not re.fullmatch(rf"[!-~]{{{_SHORTEST},}}", value):
        raise invalid_hidden(
            f"must be at least {_SHORTEST} characters of printable ASCII, without spaces; "
            "best 32 that nobody can guess"
        )
    return Secret(value)


Pepper = Annotated[
    Secret,
    PlainValidator(_pepper),
    json_schema({"type": "string", "pattern": rf"^.{{{_SHORTEST},}}$|\$\{{"}),
]
Port = Annotated[int, BeforeValidator(integer(0, 65_535)), integer_schema(0, 65_535)]
AdminRight = Annotated[Right, BeforeValidator(one_of(RIGHTS)), enum_schema(RIGHTS)]


class Keys(Stanza):
    pepper: Pepper | None = None
    """A secret that keys are hashed with, best as `${TOLLGATE_PEPPER}`: without it, the hashes are
    useless to an attacker. Changing it makes every `hmac-sha256:` hash invalid."""


class AdminKey(Stanza):
    id: Name
    """Its name in the log, and in the keys that it makes."""
    hash: KeyHash
    """As for a tenant's key; `tollgate key new --admin read --admin write` makes one."""
    scopes: tuple[AdminRight, ...] = ("read",)
    """`read`: list keys and budgets. `write`: make, rotate and revoke keys, and reload."""
    tenant: Name | None = None
    """The only tenant whose keys and budgets it may access. Default: all tenants."""
    models: tuple[Text, ...] = ("*",)
    """Upper bound on the `models` of the keys that it makes."""
    regions: tuple[Name, ...] | None = None
    """Upper bound on the `regions` of the keys that it makes. Default: all."""
    expires: Day | None = None
    """The day, in UTC, from which on it is invalid."""


class Admin(Stanza):
    host: Text = "127.0.0.1"
    """The address to listen on. Never use a public one."""
    port: Port = 4001
    """The port to listen on; 0 picks a free one."""
    keys: tuple[AdminKey, ...] = ()
    """Its keys. More can be made at run time."""


def check_keys(tree: Tree, keys: Keys, admin: Admin | None, tenants: Mapping[str, Tenant]) -> None:
    """Notes what does not fit together in the tree."""
    checker = _KeyChecks(tree, peppered=keys.pepper is not None)
    hashes: set[str] = set()
    for name, tenant in tenants.items():
        places = tree.sound_items(("tenants", name, "keys"))
        for here, key in zip(places, tenant.keys, strict=True):
            checker.check_hash(here, key.hash)
            checker.check_limits(here, key, tenant)
            hashes.add(key.hash)
    if admin is not None:
        checker.check_admin_keys(admin.keys, hashes, tenants)


class _KeyChecks:
    def __init__(self, tree: Tree, *, peppered: bool) -> None:
        self.tree = tree
        self.peppered = peppered

    def check_hash(self, path: Path, digest: str) -> None:
        here = (*path, "hash")
        doubtful = self.tree.doubtful(here, ("keys",), ("keys", "pepper"))
        if is_peppered(digest) and not self.peppered and not doubtful:
            self.tree.fault(here, "needs keys.pepper, with which it was made")

    def check_limits(self, path: Path, key: Key, tenant: Tenant) -> None:
        """A key that its tenant does not let reach what it names is a mistake."""
        here = (*path, "models")
        self.check_not_empty(here, key.models)
        for place, pattern in zip(self.tree.sound_items(here), key.models or (), strict=False):
            if not allowed(tenant.models, pattern) and not self.tree.doubtful(
                (*path[:2], "models")
            ):
                subject = "" if place in self.tree.masked else f"{quoted(pattern)} "
                self.tree.fault(place, f"{subject}is not within the tenant's models")
        here = (*path, "regions")
        self.check_not_empty(here, key.regions)
        home = tenant.regions
        for place, region in zip(self.tree.sound_items(here), key.regions or (), strict=False):
            if home is not None and region not in home:
                self.tree.fault(place, "is not one of the tenant's regions")

    def check_not_empty(self, path: Path, items: Sequence[str] | None) -> None:
        if items is not None and not items and not self.tree.doubtful(path):
            self.tree.fault(path, "must not be empty; leave it out to allow all of the tenant's")

    def check_admin_keys(
        self, keys: Sequence[AdminKey], hashes: set[str], tenants: Mapping[str, Tenant]
    ) -> None:
        ids: set[str] = set()
        for path, key in zip(self.tree.sound_items(("admin", "keys")), keys, strict=True):
            self.check_hash(path, key.hash)
            if key.id in ids and not self.tree.doubtful((*path, "id")):
                self.tree.fault((*path, "id"), "is the id of another admin key already")
            ids.add(key.id)
            if key.hash in hashes and not self.tree.doubtful((*path, "hash")):
                self.tree.fault((*path, "hash"), "is the hash of another key already")
            hashes.add(key.hash)
            here = (*path, "tenant")
            unknown = key.tenant is not None and key.tenant not in tenants
            if unknown and not self.tree.doubtful(here) and ("tenants",) not in self.tree.doubts:
                self.tree.fault(here, "names an unknown tenant")
            for field in ("scopes", "models", "regions"):
                if getattr(key, field) == () and not self.tree.doubtful((*path, field)):
                    self.tree.fault((*path, field), "must not be empty")


def build_admin(admin: Admin | None) -> AdminPlace | None:
    """Only for what has no fault."""
    if admin is None:
        return None
    return AdminPlace(admin.host, admin.port, tuple(map(_record, admin.keys)))


def limits_of(key: Key) -> CatalogKey:
    """A tenant's key, without its budgets."""
    return CatalogKey(
        key.id,
        key.hash.rpartition(":")[2],
        peppered=is_peppered(key.hash),
        models=None if key.models is None else tuple(key.models),
        regions=None if key.regions is None else frozenset(key.regions),
        expires=_unix_seconds(key.expires),
    )


def _record(key: AdminKey) -> KeyRecord:
    regions = None if key.regions is None else frozenset(key.regions)
    scopes = Scopes(tuple(key.models), regions, frozenset(key.scopes), _unix_seconds(key.expires))
    return KeyRecord(key.id, key.tenant or "", key.hash, "", 0.0, scopes)


def _unix_seconds(day: str | None) -> float | None:
    """When a day begins, in Unix seconds."""
    return None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
