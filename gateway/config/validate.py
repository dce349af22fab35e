"""A tree against the schema: what is right as models, what is wrong as faults, entry by entry."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.config import schema
from gateway.config.admin import Admin, Keys
from gateway.config.alerts import Alerts
from gateway.config.checks import OneCheck
from gateway.config.faults import Path, closest, did_you_mean, listed, quoted, safe_key
from gateway.config.learned import check_learned
from gateway.config.log import Log
from gateway.config.mend import mend
from gateway.config.otel import Otel
from gateway.config.price import Price
from gateway.config.proxy import proxy_url
from gateway.config.routes import Route
from gateway.config.scalars import name as check_name
from gateway.config.scalars import one_of
from gateway.config.server import Server
from gateway.config.stanza import Stanza, owner_of
from gateway.config.tags import tag_value, tag_values
from gateway.config.tenants import Organisation, Tenant
from gateway.config.tree import EMPTY, Tree
from gateway.config.usage import Usage
from gateway.core.ladder import NO_TIER
from gateway.core.learned import Learned
from gateway.core.snapshot import CLIENTS, Secret
from gateway.core.tags import MOST

S = TypeVar("S", bound=Stanza)
T = TypeVar("T")
REQUIRED: Final = ("providers", "models", "tenants")
# Under these keys a wrong value may be a secret, or a secret in the wrong place.
_SECRET: Final = frozenset(
    {
        "api_key",
        "auth",
        "hash",
        "id",
        "url",
        "base_url",
        "sink",
        "webhook",
        "pepper",
        "headers",
        "endpoint",
        "proxy",
    }
)


class Parts(Struct):
    """The entries, by name. Those with faults are mended: to judge the rest by, never to build."""

    providers: dict[str, schema.Provider]
    models: dict[str, schema.Model]
    tiers: dict[str, schema.Tier]
    routes: dict[str, Route]
    tenants: dict[str, Tenant]
    organisations: dict[str, Organisation]
    tags: dict[str, tuple[str, ...]]
    alerts: Alerts
    usage: Usage
    log: Log | None
    otel: Otel | None
    keys: Keys
    admin: Admin | None
    redis: schema.Redis
    timeouts: schema.Timeouts
    limits: schema.Limits
    server: Server
    client: str
    proxy: Secret | None = None
    begins: dict[str, Learned] = {}
    """Of routes that learned where to begin."""


def validate(tree: Tree, required: Iterable[str] = REQUIRED) -> Parts:
    """Notes every fault in the tree. `required` are the sections that must not be empty."""
    for key in tree.root:
        if key not in schema.Config.model_fields:
            _note_unknown_key(tree, (key,), schema.Config)
            meant = closest(key, schema.Config.model_fields)
            if meant and meant not in tree.root:
                tree.doubts.add((meant,))
    parts = Parts(
        providers=_section(tree, "providers", schema.Provider),
        models=_section(tree, "models", schema.Model),
        tiers=_section(tree, "tiers", schema.Tier),
        routes=_section(tree, "routes", Route),
        tenants=_section(tree, "tenants", Tenant),
        organisations=_section(tree, "organisations", Organisation),
        tags=_tags(tree),
        alerts=_entry(tree, ("alerts",), Alerts) or Alerts(),
        usage=_entry(tree, ("usage",), Usage) or Usage(),
        log=_entry(tree, ("log",), Log),
        otel=_entry(tree, ("otel",), Otel),
        keys=_entry(tree, ("keys",), Keys) or Keys(),
        admin=_entry(tree, ("admin",), Admin),
        redis=_entry(tree, ("redis",), schema.Redis) or schema.Redis(),
        timeouts=_entry(tree, ("timeouts",), schema.Timeouts) or schema.Timeouts(),
        limits=_entry(tree, ("limits",), schema.Limits) or schema.Limits(),
        server=_entry(tree, ("server",), Server) or Server(),
        client=_client(tree),
        proxy=_proxy(tree),
    )
    for name, route in parts.routes.items():
        begins = check_learned(tree, ("routes", name), route.learned, route.tiers)
        if begins is not None:
            parts.begins[name] = begins
    for section in required:
        if tree.root.get(section, EMPTY) in (EMPTY, {}) and (section,) not in tree.doubts:
            tree.fault((section,), "at least one is required")
    return parts


def validate_prices(tree: Tree) -> dict[str, Price]:
    """A tree that is nothing but models by name, each with its price. Notes every fault."""
    prices = {name: _entry(tree, (name,), Price) for name in tree.root}
    for name, price in prices.items():
        if price is not None and price.input is None and (name,) not in tree.broken:
            tree.fault((name,), "needs input and output")
    return {name: price for name, price in prices.items() if price is not None}


def _client(tree: Tree) -> str:
    """With `proxy` the only keys of the file itself that are no mapping."""
    value = tree.root.get("client", CLIENTS[0])
    if ("client",) in tree.broken:
        return CLIENTS[0]
    return _parse(tree, ("client",), value, one_of(CLIENTS)) or CLIENTS[0]


def _proxy(tree: Tree) -> Secret | None:
    if "proxy" not in tree.root or ("proxy",) in tree.broken:
        return None
    return _parse(tree, ("proxy",), tree.root["proxy"], proxy_url)


def _tags(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Each tag is `any` or a list of texts. Those with faults are left out."""
    tags = {}
    for name, value in _entries(tree, "tags").items():
        path = ("tags", name)
        if any(broken[:2] == path for broken in tree.broken):
            continue
        before = len(tree.faults)
        values = _parse(tree, path, value, tag_values)
        items = value if isinstance(value, list) else []
        for i, item in enumerate(items):
            if _parse(tree, (*path, i), item, tag_value) and item in items[:i]:
                tree.fault((*path, i), "is in the list already")
        if values is not None and len(tree.faults) == before:
            tags[name] = values
    if len(tags) > MOST:
        tree.fault(("tags",), f"must be at most {MOST}: a request can have no more")
    return tags


def _parse(tree: Tree, path: Path, value: object, parse: Callable[[object], T]) -> T | None:
    """None when it is at fault."""
    if value is EMPTY:
        tree.fault(path, "has no value: write one, or remove it")
        return None
    try:
        return parse(value)
    except PydanticCustomError as error:
        known = (error.context or {}).get("known", ())
        suffix = (
            _describe_value(tree, path, value, known) if error.type in ("wrong", "one_of") else ""
        )
        tree.fault(path, error.message() + suffix)
        return None


def _section(tree: Tree, section: str, spec: type[S]) -> dict[str, S]:
    entries = {name: _entry(tree, (section, name), spec) for name in _entries(tree, section)}
    return {name: entry for name, entry in entries.items() if entry is not None}


def _entries(tree: Tree, section: str) -> dict[str, Any]:
    """The entries of a section as they were written, by name."""
    entries = tree.root.get(section, EMPTY)
    if entries is EMPTY:
        return {}
    if not isinstance(entries, dict):
        tree.fault((section,), f"must be a mapping, not {_kind(entries)}")
        tree.doubts.add((section,))
        return {}
    for name in entries:
        try:
            check_name(name)
        except PydanticCustomError as error:
            place = tree.keys[section, name]
            tree.fault((section, name), f"the name {error.message()}", place)
        if section == "tiers" and name == NO_TIER:
            why = "is what headers, metrics and records say of a model that is in no tier"
            tree.fault((section, name), f"the name {why}", tree.keys[section, name])
    return entries


def _entry(tree: Tree, path: Path, spec: type[S]) -> S | None:
    """One stanza, mended when it is at fault; None when it is left out or was not written."""
    if tree.written_part(path) != path:
        return None
    faulty = [place[len(path) :] for place in tree.broken if place[: len(path)] == path]
    entry = None
    try:
        entry = spec.model_validate(tree.at(path))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note_error(tree, path, spec, detail)
            faulty.append(detail["loc"])
    if not faulty:
        return entry
    if len(path) > 1 and path[0] == "providers" and path[1] in tree.left_out:
        return None
    return mend(tree, path, spec, faulty)


def _note_error(tree: Tree, start: Path, spec: type[Stanza], detail: ErrorDetails) -> None:
    """One of pydantic's errors, in our words and at its place."""
    path = (*start, *detail["loc"])
    written = tree.written_part(path)
    if any(written[: len(broken)] == broken for broken in tree.broken):
        return
    kind, value = detail["type"], detail.get("input")
    if kind == "missing" and written in tree.doubts:
        return
    if kind == "missing":
        tree.fault(written, f"{path[-1]} is required")
    elif kind == "extra_forbidden":
        _note_unknown_key(tree, path, owner_of(spec, detail["loc"]))
    elif value is EMPTY:
        tree.fault(path, "has no value: write one, or remove it")
    elif kind in ("model_type", "dict_type", "model_attributes_type"):
        tree.fault(written, f"must be a mapping, not {_kind(value)}")
    elif kind == "tuple_type":
        tree.fault(written, f"must be a list, not {_kind(value)}")
    else:
        context = detail.get("ctx", {})
        message = str(context.get("message", detail["msg"]))
        if kind in ("wrong", "one_of"):
            message += _describe_value(tree, written, value, context.get("known", ()))
        tree.fault(written, message)


def _note_unknown_key(tree: Tree, path: Path, owner: type[BaseModel] | None) -> None:
    """An unknown key; or, written as a text alone, an unknown check."""
    name = str(path[-1])
    shown_name = safe_key(name)
    known = sorted(owner.model_fields) if owner else []
    if owner is not None and issubclass(owner, Stanza) and name in owner.later:
        tree.fault(path, "is not supported yet", tree.keys.get(path))
        return
    written = tree.written_part(path)
    hidden = written != path and written in tree.masked
    what = "check" if owner is OneCheck else "key"
    hint = "" if hidden else did_you_mean(name, known)
    subject = "" if written == path or hidden else f"{quoted(shown_name)} "
    message = f"{subject}is not a known {what}{hint} (known: {listed(known)})"
    shown = (*path[:-1], shown_name) if written == path else written
    tree.fault(shown, message, tree.keys.get(path))


def _describe_value(tree: Tree, path: Path, value: object, known: tuple[str, ...]) -> str:
    """`, not "x"; did you mean y?`: never for what may be a secret."""
    if not isinstance(value, str):
        return f", not {_kind(value)}"
    if path in tree.masked or not _SECRET.isdisjoint(path):
        return ""
    return f", not {quoted(value)}{did_you_mean(value, known)}"


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a mapping"
