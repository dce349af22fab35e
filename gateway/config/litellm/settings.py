"""All but the models: who may ask, where money is counted, how long is waited."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from gateway.config.litellm.given import Notes, Section, reference, variable
from gateway.config.litellm.groups import Groups
from gateway.config.litellm.periods import budget

TENANT: Final = "main"
SHARED: Final = "everyone"
"""The organisation that limits of models and providers belong to: more tenants can share them."""
_PLACEHOLDER: Final = f"${{TOLLGATE_KEY_HASH:-sha256:{'0' * 64}}}"
_REDIS: Final = ("url", "host", "port", "username", "password", "ssl", "db")


def keys(
    general: Section, env: Mapping[str, str], notes: Notes
) -> tuple[dict[str, Any], str | None]:
    """What the tenant has, and the hash of the admin key."""
    path, master = general.at("master_key"), general.text("master_key")
    if master is None:
        text = "there is no master_key, so whoever reaches it may ask, as it was: anonymous"
        notes.add("check", path, text)
        return {"anonymous": "true"}, None
    text = f"it is an admin key, and answers no questions; for clients: tollgate key new {TENANT}"
    notes.add("changed", path, text)
    tenant = {"keys": [{"id": "k1", "hash": _PLACEHOLDER}]}
    name = variable(master)
    value = master if name is None else env.get(name)
    if not value:
        text = f"{name} is not set here, so there is no admin key: set it and import again"
        notes.add("lost", path, text)
        return tenant, None
    return tenant, f"sha256:{sha256(value.encode()).hexdigest()}"


def redis(router: Section, cache: Section, notes: Notes) -> str | None:
    """The URL of theirs, which counts here what is spent."""
    for section, prefix in ((router, "redis_"), (cache, "")):
        kind = section.text("type") if section is cache else None
        if kind is not None and not kind.startswith("redis"):
            notes.add(
                "lost",
                section.at("type"),
                f"{kind}: answers are kept in memory, by a route's cache",
            )
            continue
        url = _special(section, notes) or _url(section, prefix, notes)
        if url is None and kind is not None:
            url = "redis://${REDIS_HOST:-localhost}:${REDIS_PORT:-6379}"
            notes.add("check", section.at("type"), "REDIS_HOST and REDIS_PORT say where it is")
        if url is not None:
            text = "it keeps money and keys here: it needs a log (AOF) and the policy noeviction"
            notes.add("check", section.path, text)
            return url
    return None


def _url(section: Section, prefix: str, notes: Notes) -> str | None:
    at = {key: section.text(prefix + key) for key in _REDIS}
    if at["url"] is not None and "@" in at["url"]:
        text = "the secret is not copied: set the variable REDIS_URL to it"
        notes.add("check", section.at(f"{prefix}url"), text)
        return "${REDIS_URL}"
    if at["url"] is not None:
        return reference(at["url"])
    if at["host"] is None:
        return None
    user, password = at["username"], at["password"]
    login = ""
    if password is not None:
        if variable(password) is None:
            text = "the secret is not copied: set the variable REDIS_PASSWORD to it"
            notes.add("check", section.at(f"{prefix}password"), text)
            password = "os.environ/REDIS_PASSWORD"  # noqa: S105 - the name of a variable
        login = f"{reference(user) if user else ''}:{reference(password)}@"
    scheme = "rediss" if (at["ssl"] or "").lower() == "true" else "redis"
    path = f"/{reference(at['db'])}" if at["db"] else ""
    return f"{scheme}://{login}{reference(at['host'])}:{reference(at['port'] or '6379')}{path}"


def _special(section: Section, notes: Notes) -> str | None:
    """Sentinels, or the nodes of a cluster."""
    login = ""
    for key, scheme in (("sentinel_nodes", "sentinel"), ("redis_startup_nodes", "cluster")):
        nodes = section.take(key)
        if not isinstance(nodes, list):
            continue
        places = [[n.get("host"), n.get("port")] if isinstance(n, Mapping) else n for n in nodes]
        if not all(
            isinstance(place, list) and len(place) > 1 and None not in place for place in places
        ):
            notes.add("lost", section.at(key), "it must be a list of hosts and ports")
            continue
        hosts = ",".join(":".join(reference(str(part)) for part in place[:2]) for place in places)
        password = section.text("password")
        if password is not None:
            known = variable(password) or "REDIS_PASSWORD"
            login = f":${{{known}}}@"
            if variable(password) is None:
                text = "the secret is not copied: set the variable REDIS_PASSWORD to it"
                notes.add("check", section.at("password"), text)
        service = section.text("service_name")
        return f"redis+{scheme}://{login}{hosts}" + (f"/{service}" if service else "")
    return None


def timeouts(
    settings: Section, router: Section, models: Mapping[str, str | None]
) -> dict[str, str]:
    """One for all calls: of the settings, else the longest of a model. `models` are by path."""
    stated = router.number("timeout")
    general = None if stated is not None else settings.number("request_timeout")
    seconds = general if stated is None else stated
    own = [float(each) for each in models.values() if each is not None and _is_number(each)]
    if seconds is None and not own:
        return {}
    answer_s = f"{seconds:f}" if seconds is not None else f"{max(own):g}"
    return {"answer_s": answer_s} if float(answer_s) > 0 else {}


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and float(text) > 0


def user_budgets(settings: Section, notes: Notes) -> list[dict[str, Any]]:
    """What each `user` of a request may spend, in all."""
    return budget(settings, "max_end_user_budget", "", notes)


def limits(
    general: Section, settings: Section, router: Section, groups: Groups, notes: Notes
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The tenant's budgets, and the organisation of all that tenants share."""
    spend = budget(settings, "max_budget", "budget_duration", notes)
    shared: dict[str, Any] = {}
    at_once = general.count("global_max_parallel_requests")
    if at_once is not None:
        shared["budgets"] = [{"at_once": str(at_once)}]
    stated = router.part("provider_budget_config")
    for prefix, names in groups.prefixes.items():
        if not stated.has(prefix):
            continue
        caps = budget(stated.part(prefix), "budget_limit", "time_period", notes)
        for name in names if caps else ():
            groups.provider_limits.setdefault(name, []).extend(caps)
        if caps and len(names) > 1:
            text = f"each of {', '.join(names)} has it by itself: it was of all together"
            notes.add("changed", stated.at(prefix), text)
    if groups.model_limits:
        shared["model_budgets"] = groups.model_limits
    if groups.provider_limits:
        shared["provider_budgets"] = groups.provider_limits
    return spend, shared
