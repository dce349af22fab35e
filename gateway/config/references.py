"""What the schema cannot say: names that must exist, be unique, or fit each other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.config import schema
from gateway.config.accounts import check_accounts
from gateway.config.auth import NEVER_KEYLESS
from gateway.config.checks import OneCheck
from gateway.config.faults import Path, did_you_mean, listed, quoted, quoted_if_needed
from gateway.config.optional import configured_deployments
from gateway.config.routes import Route
from gateway.config.rules import check_rules
from gateway.config.strategy_faults import check_strategies
from gateway.config.tenants import Tenant
from gateway.config.tree import Tree
from gateway.config.trial_faults import check_trials
from gateway.config.validate import Parts
from gateway.core.patterns import allowed

_ADDED: Final[Mapping[str, str]] = {
    "openai": "/chat/completions",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
"""By dialect: the path of a call, which is added to `base_url`."""


def check_references(tree: Tree, parts: Parts) -> None:
    """Notes every fault in the tree. Entries that are at fault themselves still count as named."""
    _ReferenceChecks(tree, parts).run()


def check_models(tree: Tree, parts: Parts) -> None:
    """The same for providers and models alone."""
    _ReferenceChecks(tree, parts).providers_and_models()


class _ReferenceChecks:
    def __init__(self, tree: Tree, parts: Parts) -> None:
        self.tree, self.parts = tree, parts
        self.names = {
            section: list(entries) if isinstance(entries := tree.root.get(section), dict) else []
            for section in ("providers", "models", "tiers", "routes", "organisations", "tags")
        }

    def run(self) -> None:
        self.collisions()
        self.providers_and_models()
        for name, tier in self.parts.tiers.items():
            models = [entry.model for entry in tier.models]
            self.references(("tiers", name, "models"), models, "models")
            self.judges(("tiers", name, "checks"), tier.checks)
        for name, route in self.parts.routes.items():
            self.references(("routes", name, "tiers"), route.tiers, "tiers")
            self.judges(("routes", name, "checks"), route.checks)
            self.rules(("routes", name), route)
            check_trials(self.tree, ("routes", name), route, self.reference)
            check_strategies(self.tree, self.parts, ("routes", name), route)
            here, longest = ("routes", name, "timeout_s"), self.parts.redis.hold_ttl_s
            sure = not self.tree.doubtful(here, ("redis", "hold_ttl_s"))
            if sure and route.timeout_s >= longest:
                self.tree.fault(here, f"must be less than redis.hold_ttl_s ({longest:g})")
            elif sure and route.on_disconnect == "drain":
                self.drain(("routes", name), route, longest)
        check_accounts(self.tree, self.parts, self.reference)
        for name, tenant in self.parts.tenants.items():
            self.reach(("tenants", name), tenant)

    def judges(self, path: Path, checks: Sequence[OneCheck]) -> None:
        """A judge is a known route, tier or model."""
        sections = ("routes", "tiers", "models")
        known = [name for section in sections for name in self.names[section]]
        if any((section,) in self.tree.doubts for section in sections):
            return
        for place, check in zip(self.tree.sound_items(path), checks, strict=True):
            if check.judge is not None and check.judge.model not in known:
                here = self.tree.written_part((*place, "judge", "model"))
                name = check.judge.model
                hidden = here in self.tree.masked
                subject = "" if hidden else f" {quoted(name)}"
                hint = "" if hidden else did_you_mean(name, known)
                self.tree.fault(here, f"names an unknown route, tier or model{subject}{hint}")

    def rules(self, path: Path, route: Route) -> None:
        for place, rule in zip(self.tree.sound_items((*path, "rules")), route.rules, strict=True):
            self.references((*place, "tiers"), rule.tiers, "tiers")
            self.judges((*place, "checks"), rule.checks or ())
        check_rules(self.tree, path, route, self.parts.tags, self.reference, self.regions_served)

    def drain(self, path: Path, route: Route, longest: float) -> None:
        doubtful = self.tree.doubtful((*path, "on_disconnect"), (*path, "drain_s"))
        if not doubtful and route.timeout_s + route.drain_s >= longest:
            message = f"with timeout_s must be less than redis.hold_ttl_s ({longest:g})"
            self.tree.fault((*path, "drain_s"), message)

    def providers_and_models(self) -> None:
        for name, provider in self.parts.providers.items():
            self.provider(("providers", name), provider)
        for name, model in self.parts.models.items():
            self.model(name, model)

    def provider(self, path: Path, provider: schema.Provider) -> None:
        """A key that is not used, or missing, is a mistake in how calls are signed; the path of a
        call at the end of `base_url` would be there twice.
        """
        auth, key, dialect, url = ((*path, k) for k in ("auth", "api_key", "dialect", "base_url"))
        added = _ADDED.get(provider.dialect)
        sure = not self.tree.doubtful(dialect, url)
        if added and sure and provider.base_url.endswith(added):
            self.tree.fault(url, f"must not end in {added}, which is added to it")
        if provider.auth is None:
            sure = not self.tree.doubtful(auth, key, dialect)
            if sure and provider.api_key is None and provider.dialect in NEVER_KEYLESS:
                who = NEVER_KEYLESS[provider.dialect]
                message = f"{provider.dialect} needs auth.{who}, or a key in api_key"
                self.tree.fault(path, message)
            return
        if not self.tree.doubtful(dialect, url):
            for where, message in provider.auth.conflicts(provider.dialect, provider.base_url):
                self.tree.fault((*path, *where), message)
        if self.tree.doubtful(key):
            return
        way, keyed = provider.auth.scheme, provider.api_key is not None
        if keyed and way not in provider.auth.needs_key:
            self.tree.fault((*path, "api_key"), f"is not used with auth.{way}: remove it")
        elif not keyed and way in provider.auth.needs_key:
            self.tree.fault((*path, "auth"), f"{way} needs the provider's api_key")

    def collisions(self) -> None:
        """`model` in a request is a route, a tier or a model: one name, one meaning."""
        owner: dict[str, str] = {}
        for section in ("models", "tiers", "routes"):
            for name in self.names[section]:
                if name in owner:
                    other = self.tree.keys[owner[name], name]
                    message = f"is also the name under {owner[name]} in {other}; rename one"
                    self.tree.fault((section, name), message, self.tree.keys[section, name])
                owner.setdefault(name, section)

    def references(self, path: Path, names: Sequence[str], section: str) -> None:
        """A list of names of a section: not empty, each known, none twice."""
        self.at_least_one(path, names)
        for i, (place, name) in enumerate(zip(self.tree.sound_items(path), names, strict=True)):
            # An item is a name alone, or a mapping that has it under `model`.
            here = self.tree.written_part((*place, "model"))
            if name in names[:i]:
                self.tree.fault(here, "is in the list already")
            else:
                self.reference(here, name, section)

    def at_least_one(self, path: Path, items: Sequence[object]) -> None:
        if not items and not self.tree.doubtful(path):
            self.tree.fault(path, "at least one is required")

    def reference(self, path: Path, name: str, section: str) -> None:
        known = self.names[section]
        if name not in known and (section,) not in self.tree.doubts:
            hidden = path in self.tree.masked
            subject = "" if hidden else f" {quoted(name)}"
            hint = "" if hidden else did_you_mean(name, known)
            message = f"names an unknown {section[:-1]}{subject}{hint} (known: {listed(known)})"
            self.tree.fault(path, message)

    def model(self, name: str, model: schema.Model) -> None:
        path: Path = ("models", name)
        self.at_least_one((*path, "deployments"), model.deployments)
        first: dict[str, int | str] = {}
        places = self.tree.sound_items((*path, "deployments"))
        for place, deployment in zip(places, model.deployments, strict=True):
            here: Path = (*place, "provider")
            provider = deployment.provider
            if provider in first:
                message = f"is in deployments[{first[provider]}] already: {quoted_if_needed(name)}"
                self.tree.fault(here, f"{message} can be deployed once at each provider")
            else:
                self.reference(here, provider, "providers")
                first[provider] = place[-1]
        places = self.tree.sound_items((*path, "fallbacks"))
        for i, (here, other) in enumerate(zip(places, model.fallbacks, strict=True)):
            if other == name:
                self.tree.fault(here, "must be another model")
            elif other in model.fallbacks[:i]:
                self.tree.fault(here, "is in the list already")
            else:
                self.reference(here, other, "models")

    def reach(self, path: Path, tenant: Tenant) -> None:
        """A tenant that can reach nothing is taken for a mistake."""
        names = [*self.names["routes"], *self.names["tiers"], *self.names["models"]]
        models_path = (*path, "models")
        if not tenant.models and not self.tree.doubtful(models_path):
            self.tree.fault(models_path, "must not be empty; leave it out to allow all")
        if any((section,) in self.tree.doubts for section in ("routes", "tiers", "models")):
            names = []
        # Left out, it is all of them, and has no place of its own.
        for here, pattern in zip(self.tree.sound_items(models_path), tenant.models, strict=False):
            if names and not any(allowed((pattern,), name) for name in names):
                hidden = here in self.tree.masked
                subject = "" if hidden else f"{quoted(pattern)} "
                hint = "" if hidden else did_you_mean(pattern, names)
                self.tree.fault(here, f"{subject}matches no route, tier or model{hint}")
        if tenant.regions is not None and not self.tree.doubtful((*path, "regions")):
            self.regions((*path, "regions"), tenant.regions)
        if tenant.regions is None and not self.tree.left_out:  # a provider may be another's
            for here, key in zip(self.tree.sound_items((*path, "keys")), tenant.keys, strict=True):
                if key.regions and not self.tree.doubtful((*here, "regions")):
                    self.regions_served((*here, "regions"), key.regions)

    def regions(self, path: Path, regions: Sequence[str]) -> None:
        if not regions:
            self.tree.fault(path, "must not be empty; leave it out to allow any region")
        self.regions_served(path, regions)

    def regions_served(self, path: Path, regions: Sequence[str]) -> None:
        known_regions = set(self._served_regions())
        if regions and self._know_regions() and known_regions.isdisjoint(regions):
            known = listed(self.tree.showable(known_regions))
            self.tree.fault(path, f"no deployment is in any of these regions (known: {known})")

    def _know_regions(self) -> bool:
        """Whether nothing that is at fault could add a region."""
        counts = {s: len(getattr(self.parts, s)) for s in ("providers", "models")}
        counts["providers"] += len(self.tree.left_out)
        places: list[Path] = [("providers", name, "regions") for name in self.parts.providers]
        for name, model in self.parts.models.items():
            if any(each.provider not in self.names["providers"] for each in model.deployments):
                return False
            places.append(("models", name, "deployments"))
        whole = all(len(self.names[section]) == number for section, number in counts.items())
        return whole and not self.tree.doubtful(*places)

    def _served_regions(self) -> Iterable[str]:
        for model in self.parts.models.values():
            for deployment in configured_deployments(self.tree, model):
                provider = self.parts.providers.get(deployment.provider)
                if deployment.regions is not None:
                    yield from deployment.regions
                elif provider is not None:
                    yield from provider.regions
