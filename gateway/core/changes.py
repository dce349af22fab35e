"""What one configuration has that another has not: by names, never by values."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.core.catalog import Catalog, Tenant
from gateway.core.snapshot import Snapshot

What = Literal["added", "removed", "changed"]


class Change(Struct, frozen=True):
    """`path` is a place in the configuration: "tenants.acme", "limits.in_flight"."""

    path: str
    what: What

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


class ConfigRead(Struct, frozen=True):
    """An event, not of one life. `result` is start, changed, unchanged or refused; `hash` is that
    of what is served now, 12 hexadecimal digits, and `at` when it was read, in Unix seconds.
    """

    result: str
    hash: str
    at: float


class Reloaded(Struct, frozen=True):
    """What a reload came to. `hash` names the texts of the files, `at` is Unix seconds."""

    hash: str
    at: float
    changes: tuple[Change, ...] = ()


_NAMES: Final[Mapping[str, str]] = {
    "ledger": "redis",
    "pepper": "keys.pepper",
    "ledger.timeout_s": "redis.timeout_ms",
}
"""Where the configuration says otherwise than the snapshot."""
_AT_START: Final = ("redis", "usage", "admin", "log", "otel")
"""What is opened once. Of the admin API only its place: its keys can change."""


def changes(old: Snapshot, new: Snapshot) -> tuple[Change, ...]:
    """All of them, section by section."""
    return tuple(_within("", old, new))


def fixed(began: Snapshot, new: Snapshot) -> tuple[str, ...]:
    """The fields that cannot change after a start with `began`, and that `new` would change."""
    paths = [each.path for each in _within("", began, new)]
    held = [path for path in paths if path.partition(".")[0] in _AT_START and path != "admin.keys"]
    return (*held, *_newly_local(began, new))


def _newly_local(began: Snapshot, new: Snapshot) -> list[str]:
    """Who would go on without the ledger, where nobody did when it was opened."""
    if began.ledger.url == "memory" or any(map(_alone, began.tenants.values())):
        return []
    alone = [name for name, tenant in new.tenants.items() if _alone(tenant)]
    return [f"tenants.{name}.on_ledger_unavailable" for name in alone]


def _alone(tenant: Tenant) -> bool:
    return tenant.on_ledger_unavailable == "allow_local"


def _within(path: str, old: Struct, new: Struct) -> Iterator[Change]:
    """Between two values of one class."""
    for field in old.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if before == after and not isinstance(after, Mapping | Catalog):
            continue
        here = f"{path}.{field}" if path else field
        where = _NAMES.get(here) or f"{_NAMES.get(path, path)}.{field}".lstrip(".")
        if isinstance(before, Catalog):
            yield from _within("", before, after)
        elif before is None or after is None:
            yield Change(where, "added" if before is None else "removed")
        elif isinstance(after, Mapping):
            yield from _entries(where, before, after)
        elif isinstance(after, Struct) and not path:
            yield from _within(here, before, after)
        else:
            yield Change(where, "changed")


def _entries(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in (*old, *(each for each in new if each not in old)):
        if name not in new:
            yield Change(f"{section}.{name}", "removed")
        elif name not in old:
            yield Change(f"{section}.{name}", "added")
        elif old[name] != new[name]:
            yield Change(f"{section}.{name}", "changed")
    if old.keys() == new.keys() and [*old] != [*new]:
        yield Change(f"{section} (their order)", "changed")
